package pages

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"latchkey/cloud"
	"latchkey/cloud/admin/signin"
	"latchkey/cloud/okta"
)

// Okta reads the Okta of organisations by token, as okta.Service does.
type Okta interface {
	// Status is cloud.ErrNotFound where the organisation's Okta is not read.
	Status(ctx context.Context, org string) (okta.Status, error)
	Set(ctx context.Context, by cloud.Actor, org string, q okta.Request) (hook string, err error)
	Sync(ctx context.Context, org string) error
	Confirm(ctx context.Context, by cloud.Actor, org string, lose int) error
	Off(ctx context.Context, by cloud.Actor, org string, giveBack bool) (released int, err error)
}

const atOkta = atDirectory + "/okta"

func (s *server) oktaRoutes() {
	s.get(atOkta, signin.Viewer, s.showOkta)
	s.post(atOkta, signin.Owner, s.setOkta)
	s.post(atOkta+"/sync", signin.Admin, s.syncOkta)
	s.post(atOkta+"/confirm", signin.Admin, s.confirmOkta)
	s.post(atOkta+"/off", signin.Owner, s.oktaOff)
}

// An oktaPage says how Okta is read, and what waits for a person.
type oktaPage struct {
	Served    bool // this cloud can read Okta
	Connected bool
	okta.Status
	State   buildingState
	Advice  []string
	Rates   []rateLine
	HookURL string // empty: nobody has said where this cloud is
	Form    oktaForm
}

// A rateLine is how much of a rate limit of Okta's is left.
type rateLine struct {
	What string
	okta.Rate
}

// An oktaForm is the form of a connection, as stored or as entered. A token is
// never in it.
type oktaForm struct {
	Domain                 string
	Poll, Delta, Reconcile string // in seconds, minutes, hours
	Statuses               []choice
	CardAttr, KindAttr     string
}

// showOkta shows the page as things stand.
func (s *server) showOkta(c *call) (answer, error) { return s.oktaAnswer(c, "", nil) }

// oktaAnswer is the page, with a problem and what was entered where there is.
func (s *server) oktaAnswer(c *call, problem string, entered *oktaForm) (answer, error) {
	p := oktaPage{Served: s.okta != nil}
	if !p.Served {
		return page{template: "okta", title: "Okta by token", data: p}, nil
	}
	st, err := s.okta.Status(c.Context(), c.Org)
	if err != nil && !errors.Is(err, cloud.ErrNotFound) {
		return nil, err
	}
	p.Connected, p.Status, p.State, p.HookURL = err == nil, st, reading(st), s.hookURL(c.Org)
	for _, text := range st.Advice {
		if !strings.Contains(text, "okta confirm") { // the page has a part of its own for that
			p.Advice = append(p.Advice, sentence(capital(text)))
		}
	}
	for _, what := range slices.Sorted(maps.Keys(st.Rates)) {
		p.Rates = append(p.Rates, rateLine{what, st.Rates[what]})
	}
	p.Form = formOf(st)
	if entered != nil {
		p.Form = *entered
	}
	return page{template: "okta", title: "Okta by token", data: p, problem: problem}, nil
}

// reading says in words how the reading goes.
func reading(st okta.Status) buildingState {
	switch {
	case len(st.Errors) > 0:
		return buildingState{Text: "It cannot be read at present"}
	case st.Held != nil:
		return buildingState{Text: "It waits for you"}
	case st.Reconciled.IsZero():
		return buildingState{Text: "It is being read for the first time"}
	}
	return buildingState{Good: true, Text: "It is read"}
}

// hookURL is where Okta's event hooks call, empty where nobody has said where
// this cloud is.
func (s *server) hookURL(org string) string {
	root, ok := strings.CutSuffix(strings.TrimRight(s.tenantURL, "/"), "/scim/v2")
	if !ok {
		return ""
	}
	return root + okta.HookPath + org
}

// formOf is the form of what is stored, or with the defaults.
func formOf(st okta.Status) oktaForm {
	f := oktaForm{Domain: st.Domain, CardAttr: st.CardAttr, KindAttr: st.KindAttr}
	for _, d := range []struct {
		to            *string
		stored        string
		usually, unit time.Duration
	}{
		{&f.Poll, st.Poll, okta.DefaultPoll, time.Second}, {&f.Delta, st.Delta, okta.DefaultDelta, time.Minute},
		{&f.Reconcile, st.Reconcile, okta.DefaultReconcile, time.Hour},
	} {
		every, err := time.ParseDuration(d.stored)
		if err != nil { // nothing is stored
			every = d.usually
		}
		*d.to = strconv.FormatFloat(float64(every)/float64(d.unit), 'f', -1, 64)
	}
	valid := st.Valid
	if st.Domain == "" {
		valid, f.CardAttr, f.KindAttr = okta.DefaultValid(), okta.DefaultCardAttr, okta.DefaultKindAttr
	}
	f.Statuses = statuses(valid)
	return f
}

// statuses are those of Okta that may open doors; the others never do.
func statuses(valid []string) []choice {
	all := []choice{
		{Value: okta.StatusActive, Name: "Active"},
		{Value: okta.StatusPasswordExpired, Name: "Password expired", Text: "must choose a new password"},
		{Value: okta.StatusRecovery, Name: "Recovery", Text: "is resetting the password"},
		{Value: okta.StatusLockedOut, Name: "Locked out", Text: "mistyped the password too often"},
		{Value: okta.StatusStaged, Name: "Staged", Text: "not activated yet"},
		{Value: okta.StatusProvisioned, Name: "Provisioned", Text: "activated, never signed in"},
	}
	for i := range all {
		all[i].Chosen = slices.Contains(valid, all[i].Value)
	}
	return all
}

// entered reads the form; err is an *cloud.Invalid.
func entered(c *call) (f oktaForm, q okta.Request, err error) {
	valid := c.texts("valid")
	f = oktaForm{
		Domain: c.text("domain"), Poll: c.text("poll"), Delta: c.text("delta"), Reconcile: c.text("reconcile"),
		Statuses: statuses(valid), CardAttr: c.text("card_attribute"), KindAttr: c.text("kind_attribute"),
	}
	q = okta.Request{Token: c.text("token"), Settings: okta.Settings{Domain: f.Domain, Valid: valid, CardAttr: f.CardAttr, KindAttr: f.KindAttr}}
	for _, d := range []struct {
		name, text string
		unit       time.Duration
		to         *time.Duration
	}{
		{"read the log every", f.Poll, time.Second, &q.Poll}, {"read changes every", f.Delta, time.Minute, &q.Delta}, {"read everything every", f.Reconcile, time.Hour, &q.Reconcile},
	} {
		n, bad := strconv.ParseFloat(d.text, 64)
		if !(bad == nil && n > 0 && n < 1e5) {
			return f, q, &cloud.Invalid{Attr: d.name, Detail: fmt.Sprintf("got %.20q, want a number above 0", d.text)}
		}
		*d.to = time.Duration(n * float64(d.unit))
	}
	if len(valid) == 0 {
		return f, q, &cloud.Invalid{Attr: "statuses", Detail: "want at least one, or nobody could open a door"}
	}
	return f, q, nil
}

// A hookPage shows the secret for event hooks, this once.
type hookPage struct{ URL, Secret string }

func (s *server) setOkta(c *call) (answer, error) {
	if s.okta == nil {
		return nil, cloud.ErrNotFound
	}
	form, q, err := entered(c)
	hook := ""
	if err == nil {
		hook, err = s.okta.Set(c.Context(), c.Actor, c.Org, q)
	}
	if err != nil {
		if text := problem(err); text != "" {
			return s.oktaAnswer(c, text, &form)
		}
		return nil, err
	}
	if hook == "" {
		return redirect{to: atOkta, did: "okta-set"}, nil
	}
	return page{template: "oktahook", title: "Okta is connected", data: hookPage{s.hookURL(c.Org), hook}}, nil
}

// after carries out what is done to a connection that is there, and goes back.
func (s *server) after(c *call, did string, do func() error) (answer, error) {
	if s.okta == nil {
		return nil, cloud.ErrNotFound
	}
	err := do()
	if text := problem(err); text != "" {
		return s.oktaAnswer(c, text, nil)
	}
	if err != nil {
		return nil, err
	}
	return redirect{to: atOkta, did: did}, nil
}

func (s *server) syncOkta(c *call) (answer, error) {
	return s.after(c, "okta-sync", func() error { return s.okta.Sync(c.Context(), c.Org) })
}

// confirmOkta lets go on what is held, if it is still what was shown.
func (s *server) confirmOkta(c *call) (answer, error) {
	return s.after(c, "okta-confirmed", func() error {
		lose, err := strconv.Atoi(c.text("lose"))
		if err != nil {
			return cloud.ErrChanged
		}
		if lose > 0 && !c.checked("sure") {
			return &cloud.Invalid{Attr: "confirm", Detail: "tick the box when you have seen who loses access"}
		}
		err = s.okta.Confirm(c.Context(), c.Actor, c.Org, lose)
		if invalid, ok := errors.AsType[*cloud.Invalid](err); ok && invalid.Attr == "lose" {
			return cloud.ErrChanged
		}
		return err
	})
}

func (s *server) oktaOff(c *call) (answer, error) {
	did, giveBack := "okta-off", c.checked("give_back")
	if giveBack {
		did = "okta-off-back"
	}
	return s.after(c, did, func() error {
		_, err := s.okta.Off(c.Context(), c.Actor, c.Org, giveBack)
		return err
	})
}
