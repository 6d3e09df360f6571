package cloudapp

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"latchkey/cloud"
	"latchkey/internal/program"
)

// A mappingCmd prints the mapping table. Without an organisation it needs no
// cloud that runs: the table is in the program.
type mappingCmd struct {
	remote
	Org  string `help:"Add the rules of this organisation that test each attribute." env:"LATCHKEY_ORG"`
	JSON bool   `name:"json" help:"As data."`
}

func (c *mappingCmd) Run(e *program.Env) error {
	table := cloud.MappingTable()
	if c.Org != "" {
		var err error
		if table, err = get[[]cloud.Mapping](c.remote, e, inOrg{Org: c.Org}.path("mapping")); err != nil {
			return err
		}
	}
	if c.JSON {
		text, err := json.Marshal(table)
		if err != nil {
			return err
		}
		return printJSON(e, text)
	}
	w := tabwriter.NewWriter(e.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "RESOURCE\tSCIM\tUSE\tFIELD\tAT THE SITE\tENTRA ID\tOKTA\tNOTE")
	for _, m := range table {
		note := m.Note
		if len(m.UsedBy) > 0 {
			note = strings.TrimSpace(note + " Tested by " + strings.Join(m.UsedBy, "; ") + ".")
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", m.Resource, m.SCIM, m.Use, dash(m.Field),
			dash(strings.Join(m.Site, ", ")), dash(m.Entra), dash(m.Okta), note)
	}
	return w.Flush()
}

func dash(s string) string { return cmp.Or(s, "-") }
