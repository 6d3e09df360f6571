package pages

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"latchkey/cloud"
	"latchkey/cloud/admin/signin"
)

// mostForm is how long a form may be, in bytes.
const mostForm = 1 << 20

// A call is one request of somebody who is signed in, and may make it.
type call struct {
	*http.Request
	signin.Visitor
	cloud *cloud.Service
}

func (c *call) site() string { return c.PathValue("site") }
func (c *call) id() string   { return c.PathValue("id") }

// text is a field of the form or the query, without blanks around it.
func (c *call) text(name string) string { return strings.TrimSpace(c.FormValue(name)) }

// checked says whether a box is ticked.
func (c *call) checked(name string) bool { return c.FormValue(name) != "" }

// texts are the fields of one name that are not empty, in the form's order.
func (c *call) texts(name string) []string {
	all := []string{}
	for _, text := range c.Form[name] {
		if text = strings.TrimSpace(text); text != "" {
			all = append(all, text)
		}
	}
	return all
}

// An answer is what comes of a call: a page or a redirect.
type answer interface {
	write(s *server, w http.ResponseWriter, c *call) error
}

// A page is a template with its data. Title is the page's heading.
type page struct {
	template string // file in templates/, without .html
	title    string
	part     string // which of several pages with that heading, for the browser's tab
	data     any
	problem  string // what is wrong with what was entered, for people
	status   int    // 0 is 200
}

// A redirect goes to another page, which says what was done: did is a key of
// the table of notices.
type redirect struct {
	to  string // below Root, as it stands in an address: what somebody entered is escaped
	did string
}

func (a redirect) write(_ *server, w http.ResponseWriter, c *call) error {
	to := Root + a.to
	if a.did != "" {
		sep := "?"
		if strings.Contains(to, "?") {
			sep = "&"
		}
		to += sep + "did=" + url.QueryEscape(a.did)
	}
	http.Redirect(w, c.Request, to, http.StatusSeeOther)
	return nil
}

// get serves a page to whoever has at least a role.
func (s *server) get(path string, need signin.Role, f func(*call) (answer, error)) {
	s.mux.HandleFunc("GET "+Root+path, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, need, f) })
}

// post takes a form from whoever has at least a role.
func (s *server) post(path string, need signin.Role, f func(*call) (answer, error)) {
	s.mux.HandleFunc("POST "+Root+path, func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, mostForm)
		s.serve(w, r, need, f)
	})
}

// serve finds out who calls, lets f answer, and words what is refused.
func (s *server) serve(w http.ResponseWriter, r *http.Request, need signin.Role, f func(*call) (answer, error)) {
	visitor, err := s.signIn.Visitor(r)
	var unread error
	if err == nil {
		unread = readForm(r)
	}
	if err == nil && r.Method == http.MethodPost {
		// A form comes as slowly as its sender likes: what counts is what they may
		// do once it is here.
		visitor, err = s.signIn.Visitor(r)
	}
	if errors.Is(err, signin.ErrSignedOut) {
		to := Root + "sign-in"
		if r.Method == http.MethodGet && r.URL.Path != Root {
			to += "?to=" + url.QueryEscape(r.URL.RequestURI())
		}
		http.Redirect(w, r, to, http.StatusSeeOther)
		return
	}
	c := &call{Request: r, Visitor: visitor, cloud: s.cloud}
	if err != nil {
		s.refuse(w, c, err)
		return
	}
	if unread != nil {
		s.refuse(w, c, &refusal{http.StatusBadRequest, "The form cannot be read", formProblem(unread)})
		return
	}
	if !visitor.Role.AtLeast(need) {
		s.refuse(w, c, &refusal{http.StatusForbidden, "Not for your role", fmt.Sprintf("You are signed in as %s. This is for whoever is at least %s.", visitor.Role, need)})
		return
	}
	a, err := f(c)
	if err == nil {
		err = a.write(s, w, c)
	}
	if err != nil {
		s.refuse(w, c, err)
	}
}

// readForm reads the form and the query, whose names and values are text.
func readForm(r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return err
	}
	for name, values := range r.Form {
		if !signin.Text(append(values, name)...) {
			return errors.New("pages: a field is no text")
		}
	}
	return nil
}

func formProblem(err error) string {
	if tooBig, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return fmt.Sprintf("It has more than %d bytes.", tooBig.Limit)
	}
	return "It is not what this page sends."
}

// A refusal is an error with words for a page of its own.
type refusal struct {
	status      int
	title, text string
}

func (e *refusal) Error() string { return "pages: " + e.title + ": " + e.text }

// refuse answers with a page that says what is wrong; nothing was changed. A
// change that is held has a page of its own.
func (s *server) refuse(w http.ResponseWriter, c *call, err error) {
	if held, ok := errors.AsType[*cloud.Held](err); ok {
		redirect{to: "holds/" + held.Hold.ID, did: "held"}.write(s, w, c)
		return
	}
	r, ok := errors.AsType[*refusal](err)
	switch {
	case ok:
	case errors.Is(err, cloud.ErrNotFound) && c.Method == http.MethodPost:
		r = &refusal{http.StatusNotFound, "That is not there any more", "Somebody deleted it since it was shown to you, or the address is mistyped. Nothing was changed."}
	case errors.Is(err, cloud.ErrNotFound):
		r = &refusal{http.StatusNotFound, "There is no such page", "It may have been deleted, or the address is mistyped."}
	case problem(err) != "":
		r = &refusal{http.StatusConflict, "That was not done", problem(err)}
	case c.Context().Err() != nil:
		r = &refusal{http.StatusServiceUnavailable, "The cloud stops", "Nothing was changed. Try again in a minute."}
	default:
		s.log.ErrorContext(c.Context(), "admin page", "method", c.Method, "path", c.URL.Path, "err", err)
		r = &refusal{http.StatusInternalServerError, "That did not work", "Nothing was changed. The cloud's log says more."}
	}
	p := page{template: "refused", title: r.title, data: r.text, status: r.status}
	if err := p.write(s, w, c); err != nil {
		s.log.ErrorContext(c.Context(), "admin page", "path", c.URL.Path, "err", err)
		http.Error(w, r.title, r.status)
	}
}

// problem words what package cloud refuses about what somebody entered; empty
// where err is something else.
func problem(err error) string {
	if invalid, ok := errors.AsType[*cloud.Invalid](err); ok {
		return sentence(label(invalid.Attr) + ": " + invalid.Detail)
	}
	if conflict, ok := errors.AsType[*cloud.Conflict](err); ok {
		if conflict.Value == "" {
			return sentence(label(conflict.Attr) + " is taken")
		}
		return sentence(fmt.Sprintf("%s %q is taken", label(conflict.Attr), conflict.Value))
	}
	if errors.Is(err, cloud.ErrChanged) {
		return "It has changed since it was shown to you. Look at it again."
	}
	return ""
}

// as is err with the names that a form has for what package cloud calls
// otherwise: "id" is the short name of a property.
func as(err error, names map[string]string) error {
	if invalid, ok := errors.AsType[*cloud.Invalid](err); ok && names[invalid.Attr] != "" {
		other := *invalid
		other.Attr = names[invalid.Attr]
		return &other
	}
	if conflict, ok := errors.AsType[*cloud.Conflict](err); ok && names[conflict.Attr] != "" {
		other := *conflict
		other.Attr = names[conflict.Attr]
		return &other
	}
	return err
}

// label is a field's name for people: "pilot_groups" is "Pilot groups".
func label(attr string) string {
	attr = strings.ReplaceAll(attr[strings.LastIndexByte(attr, ':')+1:], "_", " ")
	if attr == "" {
		return "Value"
	}
	return capital(attr)
}

// capital is s with a capital letter first.
func capital(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func sentence(s string) string { return strings.TrimRight(s, ".") + "." }
