package scim

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"latchkey/cloud"
)

// memberPage is how many members of a group are in memory at once. A group with
// more is written out page by page.
const memberPage = 1000

// A memberList is the value of members in a group that has too many to hold. A
// change in the middle may show or not; the version in ETag is the older one,
// so nobody is told that it has what it has not.
type memberList struct {
	c     *call
	group string
	only  []string // sub-attributes that go out; nil: all
	not   []string // sub-attributes that do not
}

func (l *memberList) keeping(sub string) *memberList {
	next := *l
	next.only = append(slices.Clone(l.only), sub)
	return &next
}

func (l *memberList) without(sub string) *memberList {
	next := *l
	next.not = append(slices.Clone(l.not), sub)
	return &next
}

func (l *memberList) element(m cloud.Member) map[string]any {
	named := func(list []string, k string) bool {
		return slices.ContainsFunc(list, func(s string) bool { return strings.EqualFold(s, k) })
	}
	el := l.c.member(m)
	maps.DeleteFunc(el, func(k string, _ any) bool { return l.only != nil && !named(l.only, k) || named(l.not, k) })
	return el
}

// member is one member of a group as JSON.
func (c *call) member(m cloud.Member) map[string]any {
	el := map[string]any{"value": m.Value, "$ref": c.location(c.h.user, m.Value), "type": "User"}
	if m.Display != "" && !c.strict() {
		el["display"] = m.Display
	}
	return el
}

// write puts the list out as JSON.
func (l *memberList) write(w *bufio.Writer) error {
	w.WriteByte('[')
	after := ""
	for first := true; ; {
		members, err := l.c.h.dir.Members(l.c.ctx, l.c.caller, l.group, after, memberPage)
		if err != nil {
			return err
		}
		for _, m := range members {
			if !first {
				w.WriteByte(',')
			}
			first = false
			if err := encode(w, l.element(m)); err != nil {
				return err
			}
		}
		if len(members) < memberPage {
			return w.WriteByte(']')
		}
		after = members[len(members)-1].Value
	}
}

// streams says whether v has a part that is written page by page.
func streams(v any) bool {
	switch v := v.(type) {
	case *memberList:
		return true
	case map[string]any:
		for _, x := range v {
			if streams(x) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, streams)
	}
	return false
}

// writeJSON is encode for what streams.
func writeJSON(w *bufio.Writer, v any) error {
	switch v := v.(type) {
	case *memberList:
		return v.write(w)
	case map[string]any:
		w.WriteByte('{')
		for i, k := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				w.WriteByte(',')
			}
			name, err := json.Marshal(k)
			if err != nil {
				return err
			}
			w.Write(name)
			w.WriteByte(':')
			if err := writeJSON(w, v[k]); err != nil {
				return err
			}
		}
		return w.WriteByte('}')
	case []any:
		w.WriteByte('[')
		for i, x := range v {
			if i > 0 {
				w.WriteByte(',')
			}
			if err := writeJSON(w, x); err != nil {
				return err
			}
		}
		return w.WriteByte(']')
	}
	return encode(w, v)
}

// A lateAnswer sends its status with the first bytes, so that an error before
// them still gets a status of its own.
type lateAnswer struct {
	c      *call
	status int
	sent   bool
}

func (a *lateAnswer) Write(p []byte) (int, error) {
	if !a.sent {
		a.sent = true
		a.c.w.WriteHeader(a.status)
	}
	return a.c.w.Write(p)
}

// stream answers with what is too large to hold. Once a part is out an error
// can only break the connection off: what the caller has must not look whole.
func (c *call) stream(status int, v any) error {
	out := &lateAnswer{c: c, status: status}
	w := bufio.NewWriterSize(out, 32<<10)
	err := writeJSON(w, v)
	if err == nil {
		err = w.Flush()
	}
	if err != nil && out.sent {
		c.h.log.WarnContext(c.ctx, "SCIM answer broken off", "org", c.caller.Org, "err", err)
		panic(http.ErrAbortHandler)
	}
	if err != nil {
		return fmt.Errorf("scim: answer: %w", err)
	}
	return nil
}
