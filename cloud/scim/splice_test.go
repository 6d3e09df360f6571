package scim

import (
	"encoding/json"
	"testing"
	"time"

	"latchkey/cloud"
)

// spliceCall is a request to which users go out.
func spliceCall(base string) *call {
	return &call{h: newHandler(&fakeDirectory{}, nil, Options{}).(*handler), base: base}
}

// compareSplice says whether u was spliced, and fails unless that gave what
// encode gives.
func (c *call) compareSplice(t *testing.T, u cloud.User) bool {
	t.Helper()
	want, err := c.encodeUser(u, projection{})
	if err != nil {
		t.Errorf("%s: %v", u.Doc, err)
	}
	got, ok := c.splice(u)
	if ok && string(got) != string(want) {
		t.Errorf("document %s\ngot  %s\nwant %s", u.Doc, got, want)
	}
	return ok
}

func TestSplice(t *testing.T) {
	at := time.Date(2026, 11, 22, 9, 0, 0, 120e6, time.FixedZone("", 3600))
	groups := []cloud.Member{{Value: "g/1", Display: `"Ops" <ä>`}, {Value: "g2", Display: ""}}
	c := spliceCall(`https://cloud.example/"/scim/v2`)
	for _, tt := range []struct {
		name, doc string
		id        string
		groups    []cloud.Member
		want      bool
	}{
		{"nothing", `{}`, "1", nil, true},
		{"one name before ours", `{"active":true}`, "1", nil, true},
		{"names all around", `{"a":1.50,"h":null,"jd":"x","n":[1,{"a":[]}],"userName":"ada"}`, "1", nil, true},
		{"groups", `{"active":true,"name":{"givenName":"Ada"},"userName":"ada"}`, "1", groups, true},
		{"extensions", `{"a":{"x":1},"urn:b:User":{"x":1},"urn:c:User":7,"userName":"ada"}`, "1", nil, true},
		{"brackets, commas and quotes in texts", `{"a":"},\"{[,\\","b":["\\",",]"],"userName":"ada"}`, "1", nil, true},
		{"letters", `{"name":{"givenName":"Ådå 🔑"},"userName":"åda"}`, "1", nil, true},
		{"an id that is no id", `{"userName":"ada"}`, "ä/\"\\\n<", nil, true},
		{"what is stored with an escape", `{"title":"R\u0026D","userName":"ada"}`, "1", nil, false},
		{"a name with an escape", `{"a\"b":1,"userName":"ada"}`, "1", nil, false},
		{"what is ours", `{"id":"mine","userName":"ada"}`, "1", nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u := cloud.User{ID: tt.id, Doc: []byte(tt.doc), Groups: tt.groups, Created: at, Modified: at.Add(time.Second), Version: 12}
			if ok := c.compareSplice(t, u); ok != tt.want {
				t.Errorf("spliced %v, want %v", ok, tt.want)
			}
		})
	}
}

// FuzzSplice: whatever document is stored, splice gives what encode gives, or
// nothing.
func FuzzSplice(f *testing.F) {
	for _, doc := range []string{`{"userName":"ada"}`, `{"urn:a":{"b":[1,2,{"c":"}"}]},"x":"\\\""}`, `{"id":1,"meta":{},"":null}`, `{"a<b":1e5}`} {
		f.Add([]byte(doc), "id", "Ops")
	}
	c := spliceCall("http://cloud.example/scim/v2")
	f.Fuzz(func(t *testing.T, text []byte, id, group string) {
		attrs, err := cloud.User{Doc: text}.Attrs()
		if err != nil || attrs == nil {
			return
		}
		doc, err := json.Marshal(attrs)
		if err != nil {
			return
		}
		u := cloud.User{ID: id, Doc: doc, Version: 1}
		if group != "" {
			u.Groups = []cloud.Member{{Value: group, Display: group}}
		}
		c.compareSplice(t, u)
	})
}

func TestAppendText(t *testing.T) {
	for _, text := range []string{"", "plain ~", `"`, `\`, "\x1f", "\x7f", "ä", "\u2028", "<&>", "bad \xff"} {
		want, err := marshal(text)
		if got := string(appendText([]byte("x"), text)); err != nil || got != "x"+string(want) {
			t.Errorf("%q: got %s, want %s, %v", text, got, want, err)
		}
	}
}
