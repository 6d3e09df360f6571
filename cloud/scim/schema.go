package scim

import (
	"strings"
)

// The schemas and messages that this service speaks: RFC 7643 §8.7, RFC 7644 §8.2.
const (
	userURN       = "urn:ietf:params:scim:schemas:core:2.0:User"
	groupURN      = "urn:ietf:params:scim:schemas:core:2.0:Group"
	enterpriseURN = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

	listURN  = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
	patchURN = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
	errorURN = "urn:ietf:params:scim:api:messages:2.0:Error"

	searchURN       = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
	bulkRequestURN  = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
	bulkResponseURN = "urn:ietf:params:scim:api:messages:2.0:BulkResponse"
)

// attribute is one attribute of a schema, in the form of RFC 7643 §7.
type attribute struct {
	Name          string      `json:"name"`
	Type          string      `json:"type"`
	Multi         bool        `json:"multiValued"`
	Description   string      `json:"description,omitempty"`
	Required      bool        `json:"required"`
	Canonical     []string    `json:"canonicalValues,omitempty"`
	CaseExact     bool        `json:"caseExact"`
	Mutability    string      `json:"mutability"`
	Returned      string      `json:"returned"`
	Uniqueness    string      `json:"uniqueness"`
	References    []string    `json:"referenceTypes,omitempty"`
	SubAttributes []attribute `json:"subAttributes,omitempty"`
}

// The types of attributes that the engine treats differently.
const (
	typeString    = "string"
	typeBoolean   = "boolean"
	typeComplex   = "complex"
	typeReference = "reference"
	typeDateTime  = "dateTime"
	typeBinary    = "binary"
)

type schema struct {
	ID, Name, Description string
	Attributes            []attribute
}

// A resourceType is what one endpoint serves: its core schema and extensions.
type resourceType struct {
	name     string // "User"
	endpoint string // "/Users"
	core     schema
	ext      []schema
	external attribute // externalId, which every resource has and no schema lists
}

// schemas gives the core schema and the extensions.
func (rt *resourceType) schemas() []schema { return append([]schema{rt.core}, rt.ext...) }

func attr(name, typ, description string, sub ...attribute) attribute {
	a := attribute{Name: name, Type: typ, Description: description, Mutability: "readWrite", Returned: "default", Uniqueness: "none", SubAttributes: sub}
	// Digests, keys and links differ by case; what people type does not.
	a.CaseExact = typ == typeReference || typ == typeBinary
	return a
}

func (a attribute) with(f func(*attribute)) attribute {
	f(&a)
	return a
}

func multi(a *attribute)    { a.Multi = true }
func required(a *attribute) { a.Required = true }
func exact(a *attribute)    { a.CaseExact = true }

func readOnly(a *attribute) {
	a.Mutability = "readOnly"
	a.SubAttributes = append([]attribute(nil), a.SubAttributes...)
	for i := range a.SubAttributes {
		a.SubAttributes[i].Mutability = "readOnly"
	}
}

// plural is a multi-valued attribute with the usual sub-attributes of RFC 7643 §2.4.
func plural(name, valueType, description string, types ...string) attribute {
	return attr(name, typeComplex, description,
		attr("value", valueType, ""),
		attr("display", typeString, ""),
		attr("type", typeString, "", nil...).with(func(a *attribute) { a.Canonical = types }),
		attr("primary", typeBoolean, "At most one value is the primary one."),
	).with(multi)
}

// userType is the User resource type. What the schemas do not list is kept and
// returned all the same; only what is listed gets its spelling and type mended.
func userType() *resourceType {
	str := func(name, description string) attribute { return attr(name, typeString, description) }
	core := schema{ID: userURN, Name: "User", Description: "A person.", Attributes: []attribute{
		str("userName", "The person's main email address. Unique in the organisation, whatever its case.").with(required).with(func(a *attribute) { a.Uniqueness = "server" }),
		attr("name", typeComplex, "The parts of the person's name.",
			str("formatted", ""), str("familyName", ""), str("givenName", ""), str("middleName", ""), str("honorificPrefix", ""), str("honorificSuffix", "")),
		str("displayName", "The name as shown."),
		str("nickName", ""),
		attr("profileUrl", typeReference, "").with(func(a *attribute) { a.References = []string{"external"} }),
		str("title", ""),
		str("userType", "FULL for doors, SMARTBOX for key cabinets; absent means FULL.").with(func(a *attribute) { a.Canonical = []string{"FULL", "SMARTBOX"} }),
		str("preferredLanguage", ""), str("locale", ""), str("timezone", ""),
		attr("active", typeBoolean, "False takes all access at every site at once; nothing is forgotten."),
		plural("emails", typeString, "", "work", "home", "other"),
		plural("phoneNumbers", typeString, "", "work", "home", "mobile", "fax", "pager", "other"),
		plural("ims", typeString, ""),
		plural("photos", typeReference, "", "photo", "thumbnail").with(func(a *attribute) { a.SubAttributes[0].References = []string{"external"} }),
		attr("addresses", typeComplex, "",
			str("formatted", ""), str("streetAddress", ""), str("locality", ""), str("region", ""), str("postalCode", ""), str("country", ""),
			str("type", "").with(func(a *attribute) { a.Canonical = []string{"work", "home", "other"} }), attr("primary", typeBoolean, "")).with(multi),
		attr("groups", typeComplex, "The groups that have this person as a member; changed through them.",
			str("value", "").with(exact), attr("$ref", typeReference, "").with(func(a *attribute) { a.References = []string{"Group"} }), str("display", ""),
			str("type", "").with(func(a *attribute) { a.Canonical = []string{"direct"} })).with(multi).with(readOnly),
		plural("entitlements", typeString, ""),
		plural("roles", typeString, ""),
		plural("x509Certificates", typeBinary, ""),
	}}
	enterprise := schema{ID: enterpriseURN, Name: "EnterpriseUser", Description: "What an employer knows about a person, and the person's keycard.", Attributes: []attribute{
		str("employeeNumber", ""), str("costCenter", ""), str("organization", ""), str("division", ""), str("department", ""),
		attr("manager", typeComplex, "",
			str("value", "The id of the manager's User.").with(exact), attr("$ref", typeReference, "").with(func(a *attribute) { a.References = []string{"User"} }), str("displayName", "").with(readOnly)),
		str("cardNumber", "The number on the person's keycard: N, F-N, F:N, FORMAT:N, FORMAT:F-N or bits:LEN:HEX."),
	}}
	return &resourceType{name: "User", endpoint: "/Users", core: core, ext: []schema{enterprise}, external: attr("externalId", typeString, "").with(exact)}
}

// groupType is the Group resource type.
func groupType() *resourceType {
	core := schema{ID: groupURN, Name: "Group", Description: "A group of people, which rules turn into access.", Attributes: []attribute{
		attr("displayName", typeString, "").with(required),
		attr("members", typeComplex, "",
			attr("value", typeString, "The id of a User.").with(exact).with(func(a *attribute) { a.Mutability = "immutable" }),
			attr("$ref", typeReference, "").with(func(a *attribute) { a.References, a.Mutability = []string{"User"}, "immutable" }),
			attr("type", typeString, "").with(func(a *attribute) { a.Canonical, a.Mutability = []string{"User"}, "immutable" }),
			attr("display", typeString, "").with(readOnly)).with(multi),
	}}
	return &resourceType{name: "Group", endpoint: "/Groups", core: core, external: attr("externalId", typeString, "").with(exact)}
}

// find looks an attribute up by name, whatever its case.
func find(list []attribute, name string) *attribute {
	for i := range list {
		if strings.EqualFold(list[i].Name, name) {
			return &list[i]
		}
	}
	return nil
}

// A target is a Path seen through the schemas: where in a document it points.
type target struct {
	urn  string     // key of the extension in the document; "" for the core
	name string     // canonical spelling where the schema has one; "" for a whole extension
	sub  string     // likewise
	attr *attribute // nil where no schema lists it
	subA *attribute // nil without sub, or where no schema lists it
}

// card says whether the target is the keycard number (REQUIREMENTS K6: what
// happens when it goes is the organisation's choice, so it may go).
func (t target) card() bool { return t.urn == enterpriseURN && t.name == "cardNumber" }

// is says whether the target is the core attribute of that name, or inside it.
func (t target) is(name string) bool { return t.urn == "" && t.name == name }

// resolve finds the place of a path. A name that only an extension has needs no
// URN: Entra ID's own examples patch and filter by plain "manager".
func (rt *resourceType) resolve(urn, name, sub string) target {
	t := target{urn: urn, name: name, sub: sub}
	if strings.EqualFold(urn, rt.core.ID) {
		t.urn = ""
	}
	for i := range rt.ext {
		if strings.EqualFold(t.urn, rt.ext[i].ID) {
			t.urn = rt.ext[i].ID
		}
	}
	switch {
	case name == "":
		return t
	case t.urn == "":
		if t.attr = find(rt.core.Attributes, name); t.attr != nil {
			break
		}
		for _, common := range [...]string{"id", "externalId", "meta", "schemas", "password"} {
			if strings.EqualFold(name, common) {
				switch t.name = common; common {
				case "externalId":
					t.attr = &rt.external
				case "meta":
					t.sub = canonicalMeta(sub)
				}
				return t
			}
		}
		for i := range rt.ext {
			if t.attr = find(rt.ext[i].Attributes, name); t.attr != nil {
				t.urn = rt.ext[i].ID
				break
			}
		}
	default:
		for i := range rt.ext {
			if t.urn == rt.ext[i].ID {
				t.attr = find(rt.ext[i].Attributes, name)
			}
		}
	}
	if t.attr == nil {
		return t
	}
	t.name = t.attr.Name
	if t.subA = find(t.attr.SubAttributes, sub); t.subA != nil {
		t.sub = t.subA.Name
	}
	return t
}

func canonicalMeta(sub string) string {
	for _, s := range [...]string{"resourceType", "created", "lastModified", "location", "version"} {
		if strings.EqualFold(sub, s) {
			return s
		}
	}
	return sub
}

// key gives the key in m that equals name, whatever its case, and name itself
// where there is none.
func key(m map[string]any, name string) string {
	if _, ok := m[name]; ok {
		return name
	}
	for k := range m {
		if strings.EqualFold(k, name) {
			return k
		}
	}
	return name
}
