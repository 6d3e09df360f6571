package cloud

import (
	"cmp"
	"context"
	"slices"
	"strings"
)

// What becomes of an attribute that a directory sends.
const (
	UseRequired = "required"
	UseOptional = "optional"
	UseKept     = "kept"    // stored and returned; rules can test it
	UseSystem   = "system"  // made here: what a directory sends is not taken
	UseIgnored  = "ignored" // never stored
)

// A Mapping is one row of the mapping table: from the attribute in the
// directory to what reaches a site (REQUIREMENTS D8).
type Mapping struct {
	Resource string   `json:"resource"` // "User" or "Group"
	SCIM     string   `json:"scim"`     // path, as in PATCH and filters
	Entra    string   `json:"entra"`    // the usual source attribute in Microsoft Entra ID
	Okta     string   `json:"okta"`     // in Okta
	Field    string   `json:"field"`    // of the product; empty: none of its own
	Site     []string `json:"site"`     // fields of the records at a site that follow it
	Use      string   `json:"use"`
	Note     string   `json:"note,omitempty"`
	UsedBy   []string `json:"used_by,omitempty"` // rules that test it, as property: rule

	take func(*PersonRow, map[string]any)
}

// MappingTable is the whole mapping. What a directory says of a user is taken
// by these rows and by nothing else, so that the table cannot be wrong.
func MappingTable() []Mapping {
	table := slices.Concat(userMapping(), keptMapping(), groupMapping())
	for i := range table {
		table[i].Resource = cmp.Or(table[i].Resource, "User")
		if table[i].Site == nil {
			table[i].Site = []string{}
		}
	}
	return table
}

// userMapping are the attributes of a user that the product has fields for.
func userMapping() []Mapping {
	const ent = EnterpriseURN + ":"
	return []Mapping{
		{
			SCIM: "userName", Entra: "userPrincipalName", Okta: "login", Field: "user name", Use: UseRequired,
			Note: "The person's main email; unique, in any case of letters. Who signs in at the admin page is found by it.",
			take: func(p *PersonRow, a map[string]any) { p.UserName = strings.TrimSpace(text(a["userName"])) },
		},
		{
			SCIM: "externalId", Entra: "objectId or mailNickname", Okta: "id (by itself)", Field: "directory id", Use: UseOptional,
			Note: "By it a person who comes back is known.",
			take: func(p *PersonRow, a map[string]any) { p.ExternalID = text(a["externalId"]) },
		},
		{
			SCIM: "active", Entra: `Switch([IsSoftDeleted], , "False", "True", "True", "False")`, Okta: "status (by itself)", Field: "state",
			Site: []string{"person.state"}, Use: UseOptional, Note: "Absent is true. False takes all access at every site at once; nothing is forgotten.",
			take: func(p *PersonRow, a map[string]any) { p.Active, _ = activeOf(a) },
		},
		{
			SCIM: "displayName", Entra: "displayName", Okta: "displayName", Field: "name", Site: []string{"person.name"}, Use: UseOptional,
			Note: "Absent: name.formatted, or name.givenName and name.familyName, or userName.",
			take: func(p *PersonRow, a map[string]any) { p.Name = nameOf(a) },
		},
		{
			SCIM: "name", Entra: "givenName, surname", Okta: "firstName, lastName", Field: "name", Site: []string{"person.name"}, Use: UseOptional,
			Note: "Where there is no displayName.",
		},
		{
			SCIM: "userType", Entra: "an attribute of your choice", Okta: "userType", Field: "kind", Site: []string{"person.kind"}, Use: UseOptional,
			Note: "FULL, or SMARTBOX for key cabinets alone; absent is FULL.",
			take: func(p *PersonRow, a map[string]any) { p.Kind, _ = kindOf(a) },
		},
		{
			SCIM: ent + "cardNumber", Entra: "an attribute of your choice", Okta: "cardNumber, external namespace " + EnterpriseURN, Field: "card",
			Site: []string{"credential"}, Use: UseOptional, Note: "N, F-N, F:N, FORMAT:N, FORMAT:F-N or bits:LENGTH:HEX.",
			take: func(p *PersonRow, a map[string]any) { p.CardNumber, _ = cardOf(a) },
		},
		{
			SCIM: "emails", Entra: "mail", Okta: "email, secondEmail", Field: "email addresses", Use: UseOptional,
			Note: "People are found by them; one that nobody else has lets its owner sign in at the admin page.",
			take: func(p *PersonRow, a map[string]any) { p.Emails = emailsOf(a) },
		},
		{
			SCIM: ent + "manager", Entra: "manager", Okta: "managerId", Field: "manager", Use: UseOptional, Note: "The id of another user.",
			take: func(p *PersonRow, a map[string]any) { p.Manager = managerOf(a) },
		},
	}
}

// keptMapping are the attributes that are stored and returned, and that rules
// can test: known by name, without a field of their own.
func keptMapping() []Mapping {
	const ent = EnterpriseURN + ":"
	kept := func(scim, entra, okta string) Mapping {
		return Mapping{SCIM: scim, Entra: entra, Okta: okta, Use: UseKept}
	}
	metadata := kept("metadata.NAME", "an attribute of your choice", "external namespace empty, external name metadata.NAME")
	metadata.Note = "Any NAME."
	rows := []Mapping{
		kept(ent+"department", "department", "department"), kept("title", "jobTitle", "title"),
		kept(ent+"employeeNumber", "employeeId", "employeeNumber"), metadata,
		kept(ent+"costCenter", "", "costCenter"), kept(ent+"organization", "companyName", "organization"), kept(ent+"division", "", "division"),
		kept("nickName", "mailNickname", "nickName"), kept("preferredLanguage", "preferredLanguage", "preferredLanguage"), kept("locale", "", "locale"),
		kept("timezone", "", "timezone"), kept("phoneNumbers", "telephoneNumber, mobile, facsimileTelephoneNumber", "primaryPhone, mobilePhone"),
		kept("addresses", "streetAddress, city, state, postalCode, country, physicalDeliveryOfficeName", "streetAddress, city, state, zipCode, countryCode"),
		kept("roles", "appRoleAssignments", ""), kept("entitlements", "", ""), kept("ims", "", ""), kept("photos", "", ""), kept("profileUrl", "", "profileUrl"),
		kept("x509Certificates", "", ""),
	}
	for _, name := range systemAttrs {
		row := Mapping{SCIM: name, Use: UseSystem, Note: "Made by the system; never map it."}
		if name == "password" {
			row.Use, row.Note = UseIgnored, "Okta sends one; it is dropped unread."
		}
		if name == "groups" {
			row.Note = "The person's groups, for reading; memberships are changed through the groups."
		}
		rows = append(rows, row)
	}
	return rows
}

// groupMapping are the attributes of a group.
func groupMapping() []Mapping {
	rows := []Mapping{
		{SCIM: "displayName", Entra: "displayName", Okta: "name", Field: "directory group", Use: UseRequired,
			Note: "A rule that names a group binds to the first group of that name, and from then on to its id."},
		{SCIM: "members", Entra: "members", Okta: "the members who are assigned to the application", Field: "members", Use: UseOptional,
			Site: []string{"person", "membership", "credential"}, Note: "By the rules that ask for the group."},
		{SCIM: "externalId", Entra: "objectId", Okta: "", Field: "directory id", Use: UseOptional},
		{SCIM: "description", Okta: "description", Use: UseKept},
		{SCIM: "id", Use: UseSystem, Note: "Made by the system; never map it."},
	}
	for i := range rows {
		rows[i].Resource = "Group"
	}
	return rows
}

// A mapper takes in what directories say of users, by the mapping table.
type mapper struct {
	takes []func(*PersonRow, map[string]any)
	names []string // of the table's attributes of users; "metadata." for any below
}

func newMapper() mapper {
	var m mapper
	for _, row := range slices.Concat(userMapping(), keptMapping()) {
		m.names = append(m.names, strings.TrimSuffix(row.SCIM, "NAME"))
		if row.take != nil {
			m.takes = append(m.takes, row.take)
		}
	}
	return m
}

// take puts what a directory says of a user into p.
func (m *mapper) take(p *PersonRow, attrs map[string]any) {
	for _, take := range m.takes {
		take(p, attrs)
	}
}

// unmapped says whether the user attribute at path is in no row of the table.
func (m *mapper) unmapped(path string) bool {
	for _, name := range m.names {
		if len(path) < len(name) || !strings.EqualFold(path[:len(name)], name) {
			continue
		}
		if rest := path[len(name):]; rest == "" || strings.HasSuffix(name, ".") || rest[0] == '.' {
			return false
		}
	}
	return true
}

// Mapping is the mapping table with the rules of an organisation that test each
// attribute. Attributes that rules test and no row has are added.
func (s *Service) Mapping(ctx context.Context, org string) ([]Mapping, error) {
	var table []Mapping
	err := s.store.View(ctx, func(tx Tx) error {
		table = MappingTable()
		if _, err := tx.Org(org); err != nil {
			return err
		}
		sites, err := tx.Sites(org)
		if err != nil {
			return err
		}
		for _, site := range sites {
			rules, err := tx.Rules(site.ID)
			if err != nil {
				return err
			}
			for _, r := range rules {
				table = usedBy(table, site.ID+": "+cmp.Or(r.Name, r.ID), r.Conditions)
			}
		}
		return nil
	})
	return table, err
}

// usedBy notes in table which attributes a rule tests.
func usedBy(table []Mapping, rule string, conditions []Condition) []Mapping {
	for _, c := range conditions {
		at := slices.IndexFunc(table, func(m Mapping) bool { return m.tests(c) })
		if at < 0 {
			table = append(table, Mapping{Resource: "User", SCIM: c.Attr, Site: []string{}, Use: UseKept, Note: "In no schema; a rule tests it."})
			at = len(table) - 1
		}
		if !slices.Contains(table[at].UsedBy, rule) {
			table[at].UsedBy = append(table[at].UsedBy, rule)
		}
	}
	return table
}

// tests says whether m is what c is about. A bare name is an extension's, too.
func (m *Mapping) tests(c Condition) bool {
	if c.Attr == "" {
		return m.Resource == "Group" && m.SCIM == "displayName"
	}
	if m.Resource == "Group" {
		return false
	}
	bare := strings.TrimPrefix(m.SCIM, EnterpriseURN+":")
	for _, name := range []string{m.SCIM, bare} {
		if prefix, any := strings.CutSuffix(name, "NAME"); any && len(c.Attr) > len(prefix) && strings.EqualFold(c.Attr[:len(prefix)], prefix) {
			return true
		}
		if strings.EqualFold(c.Attr, name) || len(c.Attr) > len(name) && strings.EqualFold(c.Attr[:len(name)+1], name+".") {
			return true
		}
	}
	return false
}
