package pages

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"latchkey/cloud"
	"latchkey/cloud/admin/signin"
)

func (s *server) syncRoutes() {
	s.get(atDirectory+"/sync", signin.Viewer, syncStatus)
	s.get(atDirectory+"/unmapped", signin.Viewer, unmapped)
	s.get(atDirectory+"/mapping", signin.Viewer, mapping)
}

// A syncPage says how the directory gets on.
type syncPage struct {
	cloud.SyncStatus
	Token    string // label of the one that was used last
	Requests []requestLine
	Errors   []errorLine
	Frozen   []cloud.PropertyStatus
}

// A requestLine counts the answers of one class.
type requestLine struct {
	Name          string
	Reads, Writes int64
}

// An errorLine is what went wrong in one way.
type errorLine struct {
	Kind string
	*cloud.SyncError
}

func syncStatus(c *call) (answer, error) {
	st, err := c.cloud.SyncStatus(c.Context(), c.Org)
	if err != nil {
		return nil, err
	}
	p := syncPage{SyncStatus: st, Requests: requestLines(st.Requests), Errors: errorLines(st.SyncState.Errors)}
	tokens, err := c.cloud.Tokens(c.Context(), c.Org)
	if err != nil {
		return nil, err
	}
	if at := slices.IndexFunc(tokens, func(t cloud.Token) bool { return t.ID == st.LastToken }); at >= 0 {
		p.Token = tokens[at].Label
	}
	properties, err := c.cloud.Properties(c.Context(), c.Org)
	if err != nil {
		return nil, err
	}
	for _, property := range properties {
		if !property.Syncing {
			p.Frozen = append(p.Frozen, property)
		}
	}
	return page{template: "sync", title: "Sync status", data: p}, nil
}

// requestLines are the classes of answers that there were.
func requestLines(counts map[string]int64) []requestLine {
	lines := []requestLine{}
	for _, class := range []struct{ key, name string }{
		{"2xx", "done"}, {"3xx", "not changed"}, {"4xx", "refused"}, {"5xx", "failed here"},
	} {
		line := requestLine{class.name + " (" + class.key + ")", counts["reads "+class.key], counts["writes "+class.key]}
		if line.Reads+line.Writes > 0 {
			lines = append(lines, line)
		}
	}
	return lines
}

// errorLines are the kinds of errors, the newest first.
func errorLines(kinds map[string]*cloud.SyncError) []errorLine {
	lines := []errorLine{}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		lines = append(lines, errorLine{kind, kinds[kind]})
	}
	slices.SortStableFunc(lines, func(a, b errorLine) int { return b.Last.Compare(a.Last) })
	return lines
}

// An unmappedLine is an attribute that nobody declared, and the declared one
// that was most likely meant, if there is one.
type unmappedLine struct {
	cloud.Unmapped
	Meant string
}

func unmapped(c *call) (answer, error) {
	all, err := c.cloud.Unmapped(c.Context(), c.Org)
	if err != nil {
		return nil, err
	}
	known := wellKnown()
	lines := make([]unmappedLine, 0, len(all))
	for _, u := range all {
		lines = append(lines, unmappedLine{u, known[bareName(u.Attr)]})
	}
	return page{template: "unmapped", title: "Received, not mapped", data: lines}, nil
}

// wellKnown are the attributes of users that do something here, by their bare
// names.
func wellKnown() map[string]string {
	all := map[string]string{}
	for _, row := range cloud.MappingTable() {
		if row.Resource == "User" && row.Use != cloud.UseSystem && row.Use != cloud.UseIgnored && !strings.HasSuffix(row.SCIM, "NAME") {
			all[bareName(row.SCIM)] = row.SCIM
		}
	}
	return all
}

// bareName is the last name of an attribute's path as people mistype it: in
// lower case, without the dashes and underscores.
func bareName(attr string) string {
	attr = attr[strings.LastIndexAny(attr, ":.")+1:]
	return strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(attr))
}

// A mappingPart are the rows of one resource.
type mappingPart struct {
	Resource, Name string
	Rows           []mappingRow
}

// A mappingRow is a row of the table, its SCIM attribute in two parts, because
// namespaces are long.
type mappingRow struct {
	cloud.Mapping
	Namespace, Name string
}

func rowOf(m cloud.Mapping) mappingRow {
	at := strings.LastIndexByte(m.SCIM, ':') + 1
	return mappingRow{m, m.SCIM[:at], m.SCIM[at:]}
}

func mapping(c *call) (answer, error) {
	table, err := c.cloud.Mapping(c.Context(), c.Org)
	if err != nil {
		return nil, err
	}
	parts := []mappingPart{{Resource: "User", Name: "Users"}, {Resource: "Group", Name: "Groups"}}
	for _, row := range table {
		at := max(0, slices.IndexFunc(parts, func(p mappingPart) bool { return p.Resource == row.Resource }))
		parts[at].Rows = append(parts[at].Rows, rowOf(row))
	}
	return page{template: "mapping", title: "Mapping table", data: parts}, nil
}

// atSite is a field of a site's records in words; the field itself where there
// are none.
func atSite(field string) string {
	return cmp.Or(map[string]string{
		"person": "the person", "person.name": "the person's name", "person.state": "whether the person is active", "person.kind": "all doors or cabinets",
		"credential": "the card", "membership": "access groups",
	}[field], field)
}
