package scim

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func mustDecode(t testing.TB, s string) map[string]any {
	t.Helper()
	doc, err := decode([]byte(s))
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return doc
}

const ent = `"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"`

func TestPatchUser(t *testing.T) {
	const before = `{"userName":"a@x","active":true,"title":"Boss","name":{"givenName":"Ann","familyName":"Ek"},
		"emails":[{"type":"work","value":"a@x","primary":true},{"type":"home","value":"a@h"}],"tags":["red"],"metadata":{"city":"Oslo"},` +
		ent + `:{"cardNumber":"100","manager":{"value":"m1"}}}`
	for _, tt := range []struct {
		name, ops string
		strict    bool
		want      string // members of the document that differ from before; null: gone
		err       string // scimType
	}{
		{name: "Entra disables by a string", ops: `{"op":"Replace","path":"active","value":"False"}`, want: `{"active":false}`},
		{name: "Okta disables without a path", ops: `{"op":"replace","value":{"active":false,"id":"1"}}`, want: `{"active":false}`},
		{name: "no such boolean", ops: `{"op":"replace","path":"active","value":"maybe"}`, err: "invalidValue"},
		{name: "active is not removed", ops: `{"op":"remove","path":"active"}`, err: "mutability"},
		{name: "add to a single value sets it", ops: `{"op":"Add","path":"title","value":"CEO"}`, want: `{"title":"CEO"}`},
		{name: "the wrapped value of old Entra", ops: `{"op":"Replace","path":"title","value":[{"$ref":null,"value":"CEO"}]}`, want: `{"title":"CEO"}`},
		{name: "names in any case", ops: `{"OP":"rEPLACE","PATH":"NAME.GIVENNAME","VALUE":"Bo"}`, want: `{"name":{"givenName":"Bo","familyName":"Ek"}}`},
		{name: "path-less with dots and URNs", ops: `{"op":"replace","value":{"name.givenName":"Bo",` + ent[:len(ent)-1] + `:cardNumber":"200","metadata.city":"Bergen"}}`,
			want: `{"name":{"givenName":"Bo","familyName":"Ek"},"metadata":{"city":"Bergen"},` + ent + `:{"cardNumber":"200","manager":{"value":"m1"}}}`},
		{name: "path-less with a nested extension", ops: `{"op":"add","value":{` + ent + `:{"CARDNUMBER":"200","department":null}}}`,
			want: `{` + ent + `:{"cardNumber":"200","manager":{"value":"m1"}}}`},
		{name: "null overwrites nothing", ops: `{"op":"add","path":"title","value":null},{"op":"replace","path":"title","value":null},{"op":"replace","value":{"name":{"givenName":null}}}`, want: `{}`},
		{name: "null strictly is no value", strict: true, ops: `{"op":"replace","path":"title","value":null}`, want: `{"title":null}`},
		{name: "a card replaced by null is gone", ops: `{"op":"replace","path":` + ent[:len(ent)-1] + `:cardNumber","value":null}`, want: `{` + ent + `:{"manager":{"value":"m1"}}}`},
		{name: "a card added as null stays", ops: `{"op":"add","path":` + ent[:len(ent)-1] + `:cardNumber","value":null}`, want: `{}`},
		{name: "an empty card is the domain's affair", ops: `{"op":"replace","path":"cardNumber","value":""}`, want: `{` + ent + `:{"cardNumber":"","manager":{"value":"m1"}}}`},
		{name: "a card removed", ops: `{"op":"Remove","path":` + ent[:len(ent)-1] + `:cardNumber"}`, want: `{` + ent + `:{"manager":{"value":"m1"}}}`},
		{name: "a card as a number", ops: `{"op":"replace","path":"cardNumber","value":4711}`, want: `{` + ent + `:{"cardNumber":"4711","manager":{"value":"m1"}}}`},
		{name: "a card as an object is a bad number, and stops nothing else", ops: `{"op":"replace","value":{"active":false,"cardNumber":{"n":1}}}`,
			want: `{"active":false,` + ent + `:{"cardNumber":"{\"n\":1}","manager":{"value":"m1"}}}`},
		{name: "manager by bare id", ops: `{"op":"Add","path":` + ent[:len(ent)-1] + `:manager","value":"m2"}`, want: `{` + ent + `:{"cardNumber":"100","manager":{"value":"m2"}}}`},
		{name: "manager in an array", ops: `{"op":"Add","path":"manager","value":[{"$ref":"http://x/m2","value":"m2"}]}`,
			want: `{` + ent + `:{"cardNumber":"100","manager":{"value":"m2","$ref":"http://x/m2"}}}`},
		{name: "manager cleared by an empty string", ops: `{"op":"replace","path":"manager","value":""}`, want: `{` + ent + `:{"cardNumber":"100"}}`},
		{name: "manager removed by its value", ops: `{"op":"Remove","path":"manager[value eq \"m1\"]"}`, want: `{` + ent + `:{"cardNumber":"100"}}`},
		{name: "an extension removed", ops: `{"op":"remove","path":` + ent + `}`, want: `{` + ent + `:null}`},
		{name: "value path", ops: `{"op":"Replace","path":"emails[type eq \"work\"].value","value":"b@x"}`,
			want: `{"emails":[{"type":"work","value":"b@x","primary":true},{"type":"home","value":"a@h"}]}`},
		{name: "value path replaced whole keeps its type", ops: `{"op":"replace","path":"emails[type eq \"home\"]","value":{"value":"b@h"}}`,
			want: `{"emails":[{"type":"work","value":"a@x","primary":true},{"type":"home","value":"b@h"}]}`},
		{name: "value path that matches nothing makes one", ops: `{"op":"Replace","path":"phoneNumbers[type eq \"work\"].value","value":"+1"}`,
			want: `{"phoneNumbers":[{"type":"work","value":"+1"}]}`},
		{name: "strictly that is no target", strict: true, ops: `{"op":"replace","path":"phoneNumbers[type eq \"work\"].value","value":"+1"}`, err: "noTarget"},
		{name: "what no equality names cannot be made", ops: `{"op":"Replace","path":"phoneNumbers[type co \"work\"].value","value":"+1"}`, err: "noTarget"},
		{name: "Entra's roles", ops: `{"op":"Add","path":"roles[primary eq \"True\"].value","value":"Admin"},{"op":"Add","path":"roles[primary eq \"True\"].display","value":"A"}`,
			want: `{"roles":[{"primary":true,"value":"Admin","display":"A"}]}`},
		{name: "a new primary clears the old one", ops: `{"op":"add","path":"emails","value":[{"type":"other","value":"c@o","primary":"True"}]}`,
			want: `{"emails":[{"type":"work","value":"a@x","primary":false},{"type":"home","value":"a@h"},{"type":"other","value":"c@o","primary":true}]}`},
		{name: "a value that is there changes nothing", ops: `{"op":"add","path":"emails","value":{"type":"work","value":"a@x"}},{"op":"add","path":"tags","value":["red"]}`, want: `{}`},
		{name: "a list replaced", ops: `{"op":"replace","path":"emails","value":[]}`, want: `{"emails":null}`},
		{name: "removed by value, the old way", ops: `{"op":"Remove","path":"emails","value":[{"$ref":null,"value":"a@h"}]}`, want: `{"emails":[{"type":"work","value":"a@x","primary":true}]}`},
		{name: "removed by filter", ops: `{"op":"remove","path":"emails[type eq \"work\"]"}`, want: `{"emails":[{"type":"home","value":"a@h"}]}`},
		{name: "what has only a label left goes", ops: `{"op":"remove","path":"emails[type eq \"work\"].value"}`, want: `{"emails":[{"type":"home","value":"a@h"}]}`},
		{name: "removed from all", ops: `{"op":"remove","path":"emails.type"}`, want: `{"emails":[{"value":"a@x","primary":true},{"value":"a@h"}]}`},
		{name: "removed where nothing is", ops: `{"op":"remove","path":"nickName"},{"op":"remove","path":"phoneNumbers[type eq \"work\"]"}`, want: `{}`},
		{name: "sub-attribute removed", ops: `{"op":"remove","path":"name.givenName"}`, want: `{"name":{"familyName":"Ek"}}`},
		{name: "unknown attributes are kept as they are", ops: `{"op":"add","value":{"x":{"n":1.50,"z":null,"l":[{"a":[]}]},"custom:country":"no"}}`,
			want: `{"x":{"n":1.50,"z":null,"l":[{"a":[]}]},"custom:country":"no"}`},
		{name: "unknown URN, not split at its version", ops: `{"op":"add","path":"urn:ietf:params:scim:schemas:extension:X:2.0:User:tag","value":"1"}`,
			want: `{"urn:ietf:params:scim:schemas:extension:X:2.0:User":{"tag":"1"}}`},
		{name: "a name that is no name is kept too", ops: `{"op":"Add","path":"Cost Center","value":"7"},{"op":"replace","path":"active","value":"False"}`, want: `{"Cost Center":"7","active":false}`},
		{name: "but not strictly", strict: true, ops: `{"op":"add","path":"Cost Center","value":"7"}`, err: "invalidPath"},
		{name: "password is dropped", ops: `{"op":"replace","path":"password","value":"s3cret"},{"op":"replace","value":{"Password":"x","schemas":[],"meta":{},"groups":[]}}`, want: `{}`},
		{name: "id", ops: `{"op":"replace","path":"id","value":"2"}`, err: "mutability"},
		{name: "groups", ops: `{"op":"add","path":"groups","value":[{"value":"g"}]}`, err: "mutability"},
		{name: "userName is required", ops: `{"op":"remove","path":"userName"}`, err: "mutability"},
		{name: "and not empty", ops: `{"op":"replace","path":"userName","value":""}`, err: "invalidValue"},
		{name: "remove without a path", ops: `{"op":"remove"}`, err: "noTarget"},
		{name: "unknown op", ops: `{"op":"move","path":"title","value":"x"}`, err: "invalidSyntax"},
		{name: "op twice", ops: `{"op":"add","Op":"remove","path":"title","value":"x"}`, err: "invalidSyntax"},
		{name: "no value", ops: `{"op":"add","path":"title"}`, err: "invalidValue"},
		{name: "part of what has none", ops: `{"op":"replace","path":"active.0","value":"0"}`, err: "invalidPath"},
		{name: "part of what has none, without a path", ops: `{"op":"replace","value":{"active.value":"False"}}`, err: "invalidPath"},
		{name: "bad path", ops: `{"op":"add","path":"emails[type","value":"x"}`, err: "invalidPath"},
		{name: "all or nothing", ops: `{"op":"replace","path":"title","value":"CEO"},{"op":"replace","path":"active","value":"perhaps"}`, err: "invalidValue"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := &engine{rt: userType(), strict: tt.strict}
			doc := mustDecode(t, before)
			changes, err := e.changes(mustDecode(t, `{"schemas":["`+patchURN+`"],"Operations":[`+tt.ops+`]}`))
			var got map[string]any
			if err == nil {
				got, err = e.apply(doc, changes)
			}
			if diff := cmp.Diff(mustDecode(t, before), doc); diff != "" {
				t.Errorf("the document itself was changed:\n%s", diff)
			}
			if tt.err != "" {
				refused, ok := errors.AsType[*Error](err)
				if !ok || refused.Type != tt.err {
					t.Fatalf("got %v, %v, want %s", got, err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := mustDecode(t, before)
			for k, v := range mustDecode(t, tt.want) {
				if want[k] = v; v == nil {
					delete(want, k)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestPatchBounds: the work that one request can ask for is bounded.
func TestPatchBounds(t *testing.T) {
	e := &engine{rt: userType()}
	op := `{"op":"add","path":"title","value":"x"}`
	for _, tt := range []struct{ name, body string }{
		{"operations", `{"Operations":[` + strings.Repeat(op+",", maxOps) + op + `]}`},
		{"values", `{"Operations":[{"op":"add","path":"emails","value":[` + strings.Repeat(`{"value":"x"},`, maxValues) + `{}]}]}`},
		{"no operations", `{"Operations":[]}`},
		{"no list", `{"Operations":{}}`},
		{"no object", `{"Operations":[1]}`},
		{"nothing", `{}`},
	} {
		if _, err := e.changes(mustDecode(t, tt.body)); err == nil {
			t.Errorf("%s: got no error", tt.name)
		}
	}
	// One at a time makes as many as all at once: no more than the limit.
	doc := map[string]any{}
	full := make([]any, maxValues)
	for i := range full {
		full[i] = map[string]any{"value": i}
	}
	doc["emails"] = full
	changes, err := e.changes(mustDecode(t, `{"Operations":[{"op":"add","path":"emails","value":[{"value":"one more"}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.apply(doc, changes); err == nil {
		t.Error("a value past the limit: got no error")
	}
}

func TestPatchMembers(t *testing.T) {
	for _, tt := range []struct {
		name, ops string
		strict    bool
		want      string // ids of members; before: a b c
		err       string
	}{
		{name: "add", ops: `{"op":"Add","path":"members","value":[{"$ref":null,"value":"d"},{"value":"a"}]}`, want: "a b c d"},
		{name: "add plain ids", ops: `{"op":"add","path":"members","value":["d"]}`, want: "a b c d"},
		{name: "remove the old way", ops: `{"op":"Remove","path":"members","value":[{"$ref":null,"value":"b"}]}`, want: "a c"},
		{name: "remove nobody the old way", ops: `{"op":"Remove","path":"members","value":[]}`, want: "a b c"},
		{name: "remove by filter", ops: `{"op":"remove","path":"members[value eq \"b\"]"}`, want: "a c"},
		{name: "remove several by filter", ops: `{"op":"remove","path":"members[value eq \"b\" or value eq \"c\"]"}`, want: "a"},
		{name: "remove by another filter", ops: `{"op":"remove","path":"members[not (value eq \"b\")]"}`, want: "b"},
		{name: "remove all", ops: `{"op":"remove","path":"members"}`, want: ""},
		{name: "remove who is not in", ops: `{"op":"remove","path":"members[value eq \"x\"]"}`, want: "a b c"},
		{name: "strictly no target", strict: true, ops: `{"op":"remove","path":"members[value eq \"x\"]"}`, err: "noTarget"},
		{name: "replace", ops: `{"op":"replace","path":"members","value":[{"value":"x","display":"X"}]}`, want: "x"},
		{name: "replace by none", ops: `{"op":"replace","path":"members","value":[]}`, want: ""},
		{name: "replace by null", ops: `{"op":"replace","path":"members","value":null}`, want: "a b c"},
		{name: "replace one", ops: `{"op":"replace","path":"members[value eq \"a\"]","value":{"value":"z"}}`, want: "b c z"},
		{name: "path-less", ops: `{"op":"add","value":{"Members":[{"value":"d"}],"displayName":"New"}}`, want: "a b c d"},
		{name: "in order", ops: `{"op":"remove","path":"members[value eq \"a\"]"},{"op":"add","path":"members","value":[{"value":"a"}]}`, want: "a b c"},
		{name: "no id", ops: `{"op":"add","path":"members","value":[{"display":"x"}]}`, err: "invalidValue"},
		{name: "empty id", ops: `{"op":"add","path":"members","value":[{"value":""}]}`, err: "invalidValue"},
		{name: "by display", ops: `{"op":"remove","path":"members[display eq \"x\"]"}`, err: "invalidFilter"},
		{name: "change of a member", ops: `{"op":"replace","path":"members[value eq \"a\"].type","value":"x"}`, err: "mutability"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := &engine{rt: groupType(), strict: tt.strict}
			rows := fakeRows{"a", "b", "c"}
			changes, err := e.changes(mustDecode(t, `{"schemas":["`+patchURN+`"],"Operations":[`+tt.ops+`]}`))
			if err == nil {
				err = e.applyMembers(&rows, changes)
			}
			if tt.err != "" {
				if refused, ok := errors.AsType[*Error](err); !ok || refused.Type != tt.err {
					t.Fatalf("got %v, want %s", err, tt.err)
				}
				return
			}
			slices.Sort(rows)
			if got := strings.Join(rows, " "); err != nil || got != tt.want {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
			doc, err := e.apply(map[string]any{"displayName": "Old"}, changes)
			if _, ok := doc["members"]; ok || err != nil {
				t.Errorf("members in the document: %v, %v", doc, err)
			}
		})
	}
}

func TestDocument(t *testing.T) {
	e := &engine{rt: userType()}
	got, _, _, err := e.document(mustDecode(t, `{"schemas":["x"],"id":"1","meta":{"resourceType":"User"},"USERNAME":"a@x","password":"s3cret","groups":[],"roles":[],"title":null,
		"active":"True","emails":{"value":"a@x"},"metadata.city":"Oslo","department":"Ops","nickName":"","n":1e2,
		"urn:ietf:params:scim:schemas:core:2.0:User":{"displayName":"Ann"},"urn:x:2.0:User":{"manager":{"a":1}},"urn:x:2.0:User:flat":"f",
		"urn:IETF:params:scim:schemas:extension:ENTERPRISE:2.0:user":{"employeenumber":"7","manager":{"value":"","displayName":null}}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := mustDecode(t, `{"userName":"a@x","active":true,"emails":[{"value":"a@x"}],"metadata":{"city":"Oslo"},"nickName":"","n":1e2,"displayName":"Ann",
		"urn:x:2.0:User":{"manager":{"a":1},"flat":"f"},`+ent+`:{"employeeNumber":"7","department":"Ops"}}`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	again, _, _, err := e.document(got)
	if diff := cmp.Diff(want, again); err != nil || diff != "" {
		t.Errorf("a document that came back is another one: %v\n%s", err, diff)
	}
	for _, body := range []string{`{}`, `{"userName":null}`, `{"userName":" "}`, `{"userName":7.5,"active":1}`, `{"userName":["a","b"]}`, `{"userName":"a","externalId":{}}`} {
		if got, _, _, err := e.document(mustDecode(t, body)); err == nil {
			t.Errorf("%s: got %v, want an error", body, got)
		}
	}
}

// TestPatchAgain: Entra ID sends the same PATCH in every cycle until what it
// reads back is what it sent. So whatever one does, doing it again does nothing
// more, and nothing is changed by one that fails.
func TestPatchAgain(t *testing.T) {
	paths := rapid.SampledFrom([]string{"active", "title", "userName", "name", "name.givenName", "emails", "emails.value", `emails[type eq "work"]`, `emails[type eq "home"].value`,
		`emails[primary eq "True"].display`, `roles[primary eq "True"].value`, `phoneNumbers[type eq "fax"].value`, "tags", "x", "x.y", "metadata.city", "manager", "cardNumber",
		"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department", "urn:x:2.0:User:tag", "urn:x:2.0:User:tag.sub", "addresses", ""})
	values := rapid.SampledFrom([]string{`null`, `""`, `"a"`, `"True"`, `true`, `7`, `[]`, `{}`, `["a","b"]`, `{"value":"a"}`, `[{"type":"work","value":"b","primary":true},{"type":"home","value":"c"}]`,
		`{"type":"work","value":"z","primary":"true"}`, `{"givenName":"Bo"}`, `{"title":"x","emails":[{"value":"q"}],"name.givenName":"Di"}`, `[{"value":"a"}]`, `{"a":[null,{"b":1}]}`})
	op := rapid.Custom(func(t *rapid.T) string {
		path, _ := json.Marshal(paths.Draw(t, "path"))
		word := rapid.SampledFrom([]string{"add", "Replace", "remove"}).Draw(t, "op")
		if word == "remove" && rapid.Bool().Draw(t, "bare") {
			return `{"op":"remove","path":` + string(path) + `}`
		}
		return `{"op":"` + word + `","path":` + string(path) + `,"value":` + values.Draw(t, "value") + `}`
	})
	rapid.Check(t, func(t *rapid.T) {
		e := &engine{rt: userType(), strict: rapid.Bool().Draw(t, "strict")}
		doc := map[string]any{"userName": "a", "active": true, "emails": []any{map[string]any{"type": "work", "value": "a", "primary": true}}, "tags": []any{"red"}, "x": map[string]any{"y": "z"}}
		for range 4 {
			var body map[string]any
			body, err := decode([]byte(`{"schemas":["` + patchURN + `"],"Operations":[` + op.Draw(t, "operation") + `]}`))
			if err != nil {
				t.Fatal(err)
			}
			changes, err := e.changes(body)
			if err != nil {
				continue
			}
			before := clone(doc).(map[string]any)
			next, err := e.apply(doc, changes)
			if !same(before, doc) {
				t.Fatalf("the document itself was changed: %v became %v", before, doc)
			}
			if err != nil {
				continue
			}
			again, err := e.apply(next, changes)
			if refused, ok := errors.AsType[*Error](err); ok && e.strict && refused.Type == "noTarget" {
				again = next // strictly, what is gone is no target any more
			} else if err != nil {
				t.Fatalf("%v went well once, and then: %v", body, err)
			}
			if diff := cmp.Diff(next, again); diff != "" {
				t.Fatalf("doing %v again did more:\n%s", body, diff)
			}
			text, err := json.Marshal(next)
			if err != nil {
				t.Fatal(err)
			}
			stored, err := decode(text)
			if err != nil {
				t.Fatal(err)
			}
			// What is stored is a document that a PUT takes, with at most doubled
			// values made one; and that comes back as it is.
			put, _, _, err := (&engine{rt: e.rt}).document(stored)
			if err != nil {
				t.Fatalf("after %v a PUT of %s: %v", body, text, err)
			}
			stays, _, _, err := (&engine{rt: e.rt}).document(put)
			if diff := cmp.Diff(put, stays); err != nil || diff != "" {
				t.Fatalf("after %v a second PUT of %s changes it: %v\n%s", body, text, err, diff)
			}
			doc = next
		}
	})
}

// FuzzPatch: a PATCH is atomic, gives JSON, and never takes away what a person
// must have.
func FuzzPatch(f *testing.F) {
	for _, s := range []string{
		`{"Operations":[{"op":"Replace","path":"active","value":"False"},{"op":"add","path":"emails[type eq \"work\"].value","value":"x"}]}`,
		`{"Operations":[{"op":"replace","value":{"name.givenName":"x","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:cardNumber":null}}]}`,
		`{"Operations":[{"op":"remove","path":"emails","value":[{"value":"a"}]},{"op":"remove","path":"tags[value eq \"red\"].x"}]}`,
		`{"Operations":[{"op":"add","path":"x","value":[1,{"a":{}}]},{"op":"add","path":"x.y","value":null},{"op":"remove","path":"urn:x:User"}]}`,
		`{"Operations":[{"op":"remove","path":"members"},{"op":"add","value":{"members":["a",{"value":"b"}]}}]}`,
	} {
		f.Add(s, false)
		f.Add(s, true)
	}
	const before = `{"userName":"a","active":true,"name":{"givenName":"A"},"emails":[{"type":"work","value":"a","primary":true}],"tags":["red"],"x":"y",` + ent + `:{"cardNumber":"1","manager":{"value":"m"}}}`
	user, group := userType(), groupType()
	f.Fuzz(func(t *testing.T, in string, strict bool) {
		body, err := decode([]byte(in))
		if err != nil {
			return
		}
		for _, rt := range []*resourceType{user, group} {
			e := &engine{rt: rt, strict: strict}
			changes, err := e.changes(body)
			if err != nil {
				if _, ok := errors.AsType[*Error](err); !ok {
					t.Fatalf("%v is no refusal", err)
				}
				continue
			}
			doc := mustDecode(t, before)
			got, err := e.apply(doc, changes)
			if !same(doc, mustDecode(t, before)) {
				t.Fatalf("%s changed the document itself: %v", in, doc)
			}
			_ = e.applyMembers(&fakeRows{"a", "b"}, changes)
			if err != nil {
				continue
			}
			if _, ok := got["active"].(bool); !ok && rt == user {
				t.Fatalf("%s: active is %v", in, got["active"])
			}
			if got["userName"] == nil && rt == user || got["password"] != nil {
				t.Fatalf("%s: got %v", in, got)
			}
			text, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := decode(text); err != nil && !strings.Contains(err.Error(), "nested") {
				t.Fatalf("%s gave %s: %v", in, text, err)
			}
		}
	})
}
