package pages

import (
	"context"
	"slices"
	"strings"

	"latchkey/cloud"
	"latchkey/cloud/admin/signin"
)

// Accounts is how organisations' own accounts sign in, as signin.Service does.
type Accounts interface {
	Status(ctx context.Context, org string) (signin.Status, error)
	Set(ctx context.Context, by cloud.Actor, org string, q signin.Request) error
	Off(ctx context.Context, by cloud.Actor, org string) error
}

// atAdministrators is where who may be here is decided, below Root.
const atAdministrators = "administrators"

func (s *server) administratorRoutes() {
	s.get(atAdministrators, signin.Owner, s.showAdministrators)
	s.post(atAdministrators, signin.Owner, s.addAdministrator)
	s.post(atAdministrators+"/role", signin.Owner, s.changeRole)
	s.post(atAdministrators+"/remove", signin.Owner, s.removeAdministrator)
	s.post(atAdministrators+"/sign-out", signin.Owner, s.signAllOut)
	s.post(atAdministrators+"/accounts", signin.Owner, s.setAccounts)
	s.post(atAdministrators+"/accounts/off", signin.Owner, s.accountsOff)
}

// An administratorsPage says who may be here, and how they sign in.
type administratorsPage struct {
	Administrators []administratorLine
	Add            administratorForm
	Served         bool // accounts can sign in at this cloud
	SignIn         signin.Status
	Form           accountsForm
}

// An administratorLine is an administrator with the choice of roles.
type administratorLine struct {
	cloud.Administrator
	You   bool
	Roles []choice
}

// An administratorForm is who is to be added, as entered.
type administratorForm struct {
	Email string
	Roles []choice
}

// An accountsForm is how accounts sign in, as stored or as entered. A secret is
// never in it.
type accountsForm struct{ Issuer, ClientID, Domains string }

func roles(role string) []choice {
	return chosen(role,
		choice{Value: cloud.PageViewer, Name: "Viewer", Text: "Sees everything, changes nothing."},
		choice{Value: cloud.PageAdmin, Name: "Admin", Text: "Also changes rules, doors, people and cards, and confirms what is held. By a rule they can make others admins."},
		choice{Value: cloud.PageOwner, Name: "Owner", Text: "Also decides who gets in: tokens, SCIM on and off, administrators, sign-in."})
}

// showAdministrators shows the page as things stand.
func (s *server) showAdministrators(c *call) (answer, error) {
	return s.administratorsAnswer(c, nil, func(*administratorsPage) {})
}

// administratorsAnswer is the page, with what is wrong and what was entered
// where there is; what is wrong but is nothing of whoever entered it comes back.
func (s *server) administratorsAnswer(c *call, wrong error, entered func(*administratorsPage)) (answer, error) {
	text := problem(wrong)
	if wrong != nil && text == "" {
		return nil, wrong
	}
	all, err := c.cloud.Administrators(c.Context(), c.Org)
	if err != nil {
		return nil, err
	}
	p := administratorsPage{Add: administratorForm{Roles: roles(cloud.PageViewer)}, Served: s.accounts != nil}
	for _, a := range all {
		p.Administrators = append(p.Administrators, administratorLine{a, a.Email == c.Email, roles(a.Role)})
	}
	if p.Served {
		if p.SignIn, err = s.accounts.Status(c.Context(), c.Org); err != nil {
			return nil, err
		}
		p.Form = accountsForm{p.SignIn.Issuer, p.SignIn.ClientID, strings.Join(p.SignIn.Domains, "\n")}
	}
	entered(&p)
	return page{template: "administrators", title: "Administrators", data: p, problem: text}, nil
}

func (s *server) addAdministrator(c *call) (answer, error) {
	email, role := c.text("email"), c.text("role")
	err := notNamed(c, email)
	if err == nil {
		_, err = c.cloud.PutAdministrator(c.Context(), c.Actor, c.Org, email, role)
	}
	if err != nil {
		return s.administratorsAnswer(c, err, func(p *administratorsPage) { p.Add = administratorForm{email, roles(role)} })
	}
	return redirect{to: atAdministrators, did: "administrator-added"}, nil
}

// notNamed refuses an address that is on the list: to add somebody must not
// change anybody's role.
func notNamed(c *call, email string) error {
	folded, err := cloud.FoldAddress(email)
	if err != nil {
		return err
	}
	all, err := c.cloud.Administrators(c.Context(), c.Org)
	if slices.ContainsFunc(all, func(a cloud.Administrator) bool { return a.Email == folded }) {
		return &cloud.Invalid{Attr: "email", Detail: folded + " is on the list already; change the role there"}
	}
	return err
}

// onList is the address of the form, if it is on the list: cloud.ErrNotFound.
func onList(c *call) (string, error) {
	all, err := c.cloud.Administrators(c.Context(), c.Org)
	if err != nil {
		return "", err
	}
	if !slices.ContainsFunc(all, func(a cloud.Administrator) bool { return a.Email == c.text("email") }) {
		return "", cloud.ErrNotFound
	}
	return c.text("email"), nil
}

func (s *server) changeRole(c *call) (answer, error) {
	email, err := onList(c)
	if err == nil {
		_, err = c.cloud.PutAdministrator(c.Context(), c.Actor, c.Org, email, c.text("role"))
	}
	return s.afterAdministrators(c, "administrator-changed", err)
}

func (s *server) removeAdministrator(c *call) (answer, error) {
	email, err := onList(c)
	if err == nil {
		err = c.cloud.DeleteAdministrator(c.Context(), c.Actor, c.Org, email)
	}
	return s.afterAdministrators(c, "administrator-removed", err)
}

func (s *server) signAllOut(c *call) (answer, error) {
	return s.afterAdministrators(c, "", c.cloud.EndSessions(c.Context(), c.Actor, c.Org))
}

// afterAdministrators goes back to the page, and says what is wrong if err is
// something that the visitor can mend.
func (s *server) afterAdministrators(c *call, did string, err error) (answer, error) {
	if err != nil {
		return s.administratorsAnswer(c, err, func(*administratorsPage) {})
	}
	return redirect{to: atAdministrators, did: did}, nil
}

func (s *server) setAccounts(c *call) (answer, error) {
	if s.accounts == nil {
		return nil, cloud.ErrNotFound
	}
	form := accountsForm{c.text("issuer"), c.text("client_id"), c.FormValue("domains")}
	err := s.accounts.Set(c.Context(), c.Actor, c.Org, signin.Request{
		Issuer: form.Issuer, ClientID: form.ClientID, Secret: c.text("client_secret"), Domains: strings.Fields(strings.ReplaceAll(form.Domains, ",", " ")),
	})
	if err != nil {
		return s.administratorsAnswer(c, err, func(p *administratorsPage) { p.Form = form })
	}
	return redirect{to: atAdministrators, did: "accounts-set"}, nil
}

func (s *server) accountsOff(c *call) (answer, error) {
	if s.accounts == nil {
		return nil, cloud.ErrNotFound
	}
	return s.afterAdministrators(c, "accounts-off", s.accounts.Off(c.Context(), c.Actor, c.Org))
}
