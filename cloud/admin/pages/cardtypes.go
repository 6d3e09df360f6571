package pages

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"latchkey/access"
	"latchkey/cloud"
	"latchkey/cloud/admin/signin"
)

func (s *server) cardTypeRoutes() {
	s.get("cards", signin.Viewer, cardTypes)
	s.get("cards/type", signin.Admin, badgeType)
	s.post("cards/type", signin.Admin, saveBadgeType)
	s.post("cards/type/delete", signin.Admin, deleteBadgeType)
	s.get("cards/pool", signin.Admin, pool)
	s.post("cards/pool", signin.Admin, savePool)
	s.post("cards/pool/delete", signin.Admin, deletePool)
}

// A cardTypesPage is the badge types and where mobile keys get their numbers.
type cardTypesPage struct {
	Types []badgeLine
	Pools []poolLine
}

// A badgeLine is a badge type with its format in words.
type badgeLine struct {
	cloud.BadgeType
	Format string
}

// A poolLine is where the mobile keys of one technology get their numbers.
type poolLine struct {
	cloud.PoolStatus
	Name   string // of the technology
	Format string
}

func cardTypes(c *call) (answer, error) {
	types, err := c.cloud.BadgeTypes(c.Context(), c.Org)
	if err != nil {
		return nil, err
	}
	pools, err := c.cloud.Pools(c.Context(), c.Org)
	if err != nil {
		return nil, err
	}
	formats := c.cloud.CardFormats()
	v := cardTypesPage{}
	for _, b := range types {
		v.Types = append(v.Types, badgeLine{b, formatText(formats, b.Format)})
	}
	for _, p := range pools {
		line := poolLine{PoolStatus: p, Name: technologyName(p.Technology)}
		if p.Pool != nil {
			line.Format = formatText(formats, p.Pool.Format)
		}
		v.Pools = append(v.Pools, line)
	}
	return page{template: "cards", title: "Card types", data: v}, nil
}

// formatText is a card format for people: "H10302, 37 bits".
func formatText(formats []cloud.CardFormat, name string) string {
	for _, f := range formats {
		if f.Name == name {
			return fmt.Sprintf("%s, %d bits", f.Name, f.Bits)
		}
	}
	return name
}

func technologyName(technology string) string {
	if technology == access.TechBLE {
		return "Bluetooth keys"
	}
	return "Apple Wallet passes"
}

// sortedFormats are all card formats, those of few bits first.
func sortedFormats(c *call) []cloud.CardFormat {
	all := c.cloud.CardFormats()
	slices.SortStableFunc(all, func(a, b cloud.CardFormat) int { return a.Bits - b.Bits })
	return all
}

// A badgeForm is a badge type as somebody enters it.
type badgeForm struct {
	Was      string // its id; empty for a new one
	ID       string
	Format   string
	Facility string
	Default  bool // this one is it, as the cloud has it
	Make     bool // it is to be the default
	Shared   bool
	Formats  []cloud.CardFormat
}

// badgeType is the form of the badge type id of the address, or of a new one.
func badgeType(c *call) (answer, error) {
	f := badgeForm{Was: c.text("id"), Format: "H10301"}
	if f.Was == "" {
		return f.page(c, nil), nil
	}
	b, err := theBadgeType(c, f.Was)
	if err != nil {
		return nil, err
	}
	f.ID, f.Format, f.Default, f.Make, f.Shared = b.ID, b.Format, b.Default, b.Default, b.Shared
	if b.Facility != nil {
		f.Facility = strconv.FormatUint(*b.Facility, 10)
	}
	return f.page(c, nil), nil
}

func (f badgeForm) page(c *call, wrong error) page {
	f.Formats = sortedFormats(c)
	title := "Badge type " + f.Was
	if f.Was == "" {
		title = "Add a badge type"
	}
	return page{template: "cardtype", title: title, data: f, problem: problem(as(wrong, map[string]string{"id": "name"}))}
}

// theBadgeType is one badge type: cloud.ErrNotFound.
func theBadgeType(c *call, id string) (cloud.BadgeType, error) {
	types, err := c.cloud.BadgeTypes(c.Context(), c.Org)
	if err != nil {
		return cloud.BadgeType{}, err
	}
	i := slices.IndexFunc(types, func(b cloud.BadgeType) bool { return b.ID == id })
	if i < 0 {
		return cloud.BadgeType{}, cloud.ErrNotFound
	}
	return types[i], nil
}

// saveBadgeType makes or changes a badge type. One that is there already is
// changed only by its own form.
func saveBadgeType(c *call) (answer, error) {
	f := badgeForm{Was: c.text("was"), Format: c.text("format"), Facility: c.text("facility"), Make: c.checked("default"), Shared: c.checked("shared")}
	f.ID = cmp.Or(f.Was, c.text("id"))
	old, err := theBadgeType(c, f.ID)
	switch {
	case err == nil && f.Was == "":
		return f.page(c, &cloud.Conflict{Attr: "id", Value: f.ID}), nil
	case err != nil && (f.Was != "" || !errors.Is(err, cloud.ErrNotFound)):
		return nil, err
	}
	f.Default = old.Default
	b := cloud.BadgeType{ID: f.ID, Format: f.Format, Default: f.Make || f.Default, Shared: f.Shared}
	if b.Facility, err = optionalNumber("facility", f.Facility); err == nil {
		_, err = c.cloud.PutBadgeType(c.Context(), c.Actor, c.Org, b)
	}
	if problem(err) != "" {
		return f.page(c, err), nil
	}
	if err != nil {
		return nil, err
	}
	return redirect{to: "cards", did: "badge-saved"}, nil
}

// optionalNumber is a whole number of a form, nil where it is empty.
func optionalNumber(name, text string) (*uint64, error) {
	if text == "" {
		return nil, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return nil, &cloud.Invalid{ScimType: cloud.InvalidValue, Attr: name, Detail: fmt.Sprintf("got %.40q, want a whole number", text)}
	}
	return &n, nil
}

func deleteBadgeType(c *call) (answer, error) {
	if err := c.cloud.DeleteBadgeType(c.Context(), c.Actor, c.Org, c.text("id")); err != nil {
		return nil, err
	}
	return redirect{to: "cards", did: "badge-deleted"}, nil
}

// A poolForm is a pool of numbers as somebody enters it.
type poolForm struct {
	Technology, Name string
	Format, Facility string
	First, Last      string
	There            bool // there is one to change
	Keys, Pending    int
	Formats          []cloud.CardFormat
}

// pool is the form of the pool of the technology of the address.
func pool(c *call) (answer, error) {
	f, err := thePool(c)
	if err != nil {
		return nil, err
	}
	return f.page(c, nil), nil
}

// thePool is the form as it stands: cloud.ErrNotFound where there is no such
// technology.
func thePool(c *call) (poolForm, error) {
	f := poolForm{Technology: c.text("technology"), Name: technologyName(c.text("technology")), Format: "H10302"}
	pools, err := c.cloud.Pools(c.Context(), c.Org)
	if err != nil {
		return f, err
	}
	i := slices.IndexFunc(pools, func(p cloud.PoolStatus) bool { return p.Technology == f.Technology })
	if i < 0 {
		return f, cloud.ErrNotFound
	}
	f.Keys, f.Pending = pools[i].Keys, pools[i].Pending
	if p := pools[i].Pool; p != nil {
		f.There, f.Format = true, p.Format
		f.First, f.Last = strconv.FormatUint(p.First, 10), strconv.FormatUint(p.Last, 10)
		if p.Facility != nil {
			f.Facility = strconv.FormatUint(*p.Facility, 10)
		}
	}
	return f, nil
}

func (f poolForm) page(c *call, wrong error) page {
	f.Formats = sortedFormats(c)
	return page{template: "pool", title: "Numbers of " + f.Name, data: f, problem: problem(wrong)}
}

func savePool(c *call) (answer, error) {
	f, err := thePool(c)
	if err != nil {
		return nil, err
	}
	f.Format, f.Facility, f.First, f.Last = c.text("format"), c.text("facility"), c.text("first"), c.text("last")
	p := cloud.Pool{Technology: f.Technology, Format: f.Format}
	first, wrongFirst := optionalNumber("first", cmp.Or(f.First, "0"))
	last, wrongLast := optionalNumber("last", cmp.Or(f.Last, "0"))
	if p.Facility, err = optionalNumber("facility", f.Facility); err == nil {
		err = cmp.Or(wrongFirst, wrongLast)
	}
	if err == nil {
		p.First, p.Last = *first, *last
		_, err = c.cloud.PutPool(c.Context(), c.Actor, c.Org, p)
	}
	if problem(err) != "" {
		return f.page(c, err), nil
	}
	if err != nil {
		return nil, err
	}
	return redirect{to: "cards", did: "pool-saved"}, nil
}

func deletePool(c *call) (answer, error) {
	if err := c.cloud.DeletePool(c.Context(), c.Actor, c.Org, c.text("technology")); err != nil {
		return nil, err
	}
	return redirect{to: "cards", did: "pool-deleted"}, nil
}
