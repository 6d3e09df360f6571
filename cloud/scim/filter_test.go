package scim

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestParseFilter(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"plain", `userName eq "x"`, `userName eq "x"`},
		{"operators in any case", `a EQ "1" and b Pr and c nE "2"`, `a eq "1" and b pr and c ne "2"`},
		{"every operator", `a ne "1" or a co "1" or a sw "1" or a ew "1" or a gt "1" or a ge "1" or a lt "1" or a le "1"`,
			`a ne "1" or a co "1" or a sw "1" or a ew "1" or a gt "1" or a ge "1" or a lt "1" or a le "1"`},
		{"and before or", `a pr or b pr and c pr`, `a pr or b pr and c pr`},
		{"groups that matter", `(a pr or b pr) and (c pr and (d pr))`, `(a pr or b pr) and (c pr and d pr)`},
		{"groups that do not", `((a pr) and b pr) or (c pr)`, `a pr and b pr or c pr`},
		{"not", `not(a pr) and not ( b eq 1 )`, `not (a pr) and not (b eq 1)`},
		{"value path", `emails[type eq "work" and value co "@x"]`, `emails[type eq "work" and value co "@x"]`},
		{"value path compared", `emails[type eq "work"].value eq "a@b"`, `emails[type eq "work"].value eq "a@b"`},
		{"URN", `urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value eq "1"`,
			`urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value eq "1"`},
		{"no quotes", `externalId eq jyoung`, `externalId eq "jyoung"`},
		{"plus for blanks", `userName+eq+"a+b"+and+active+eq+true`, `userName eq "a+b" and active eq true`},
		{"plus and no quotes", `externalId+eq+jyoung+and+active+eq+true`, `externalId eq "jyoung" and active eq true`},
		{"plus in a value", `externalId eq a+b@x`, `externalId eq "a+b@x"`},
		{"literals", `a eq true and b eq null and c eq -1.5e3 and d eq False`, `a eq true and b eq null and c eq -1.5e3 and d eq False`},
		{"escapes", `a eq "q\"b\\s\u00e9\n"`, `a eq "q\"b\\sé\u000a"`},
		{"Entra's quoted boolean", `roles[primary eq "True"].value eq "x"`, `roles[primary eq "True"].value eq "x"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, err := ParseFilter(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if got := e.String(); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestParseFilterRefuses(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"nothing", ``, "want an attribute"},
		{"no operator", `userName`, "want an operator"},
		{"wrong operator", `userName equals "x"`, "want an operator"},
		{"no value", `userName eq`, "want a value"},
		{"open string", `userName eq "x`, "does not end"},
		{"open group", `(userName eq "x"`, `want ")"`},
		{"open bracket", `emails[type eq "work"`, `want "]"`},
		{"rest", `userName eq "x" userName`, `want "and", "or" or the end`},
		{"close too much", `userName eq "x")`, `want "and", "or" or the end`},
		{"not without group", `not userName eq "x"`, `want "not ("`},
		{"a schema", `urn:ietf:params:scim:schemas:core:2.0:User eq "x"`, "names a schema"},
		{"order of a boolean", `active gt true`, "no order"},
		{"bad escape", `a eq "\x"`, "string"},
		{"too deep", strings.Repeat("(", 33) + `a pr` + strings.Repeat(")", 33), "nested deeper"},
		{"ten thousand deep", strings.Repeat("(", 4000), "nested deeper"},
		{"too many", strings.Repeat(`a pr or `, 128) + `a pr`, "more than 128"},
		{"too long", `a eq "` + strings.Repeat("x", 8192) + `"`, "want at most 8192"},
		{"not UTF-8", "a eq \"\xff\"", "UTF-8"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseFilter(tt.in)
			if !errors.Is(err, ErrFilter) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an ErrFilter with %q", err, tt.want)
			}
		})
	}
}

func FuzzFilter(f *testing.F) {
	for _, s := range []string{
		`userName eq "x"`, `emails[type eq "work"].value eq "a"`, `not (a pr or b co "c") and (d gt 1 or e eq null)`, `a+eq+b+and+c+pr`,
		`urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager eq "1"`, `a eq "\u0000\ud800"`, `roles[primary eq "True" and (x pr)] or y eq tRue`, `a eq 1e5`, `a eq b"c\`,
	} {
		f.Add(s)
	}
	user, group := userType(), groupType()
	doc := map[string]any{"userName": "x", "active": true, "emails": []any{map[string]any{"value": "a", "type": "work"}, "b"}, "n": 1.0}
	f.Fuzz(func(t *testing.T, in string) {
		e, err := ParseFilter(in)
		if err != nil {
			if !errors.Is(err, ErrFilter) {
				t.Fatalf("%v is no ErrFilter", err)
			}
			return
		}
		text := e.String()
		if len(text) <= maxFilter {
			again, err := ParseFilter(text)
			if err != nil {
				t.Fatalf("%q became %q: %v", in, text, err)
			}
			if !reflect.DeepEqual(e, again) {
				t.Fatalf("%q became %q became %q", in, text, again)
			}
		}
		for _, rt := range []*resourceType{user, group} {
			if p, err := rt.plan(e); err == nil && p.match != nil {
				p.match(doc, "id")
			}
		}
	})
}

func TestParsePath(t *testing.T) {
	const urn = "urn:ietf:params:scim:schemas:extension:X:2.0:User"
	for _, tt := range []struct {
		in   string
		want Path
	}{
		{"userName", Path{Name: "userName"}},
		{"name.givenName", Path{Name: "name", Sub: "givenName"}},
		{"metadata.your.attr", Path{Name: "metadata", Sub: "your.attr"}},
		{urn, Path{URN: urn}},
		{urn + ":tag", Path{URN: urn, Name: "tag"}}, // not "…:2" and "0:User:tag"
		{urn + ":manager.value", Path{URN: urn, Name: "manager", Sub: "value"}},
		{"urn:okta:custom:group:1.0", Path{URN: "urn:okta:custom:group:1.0"}},
		{"urn:okta:custom:group:1.0:description", Path{URN: "urn:okta:custom:group:1.0", Name: "description"}},
		{"rn:ietf:params:scim:X:User:tag", Path{URN: "rn:ietf:params:scim:X:User", Name: "tag"}}, // mistyped, kept
		{"custom:country", Path{Name: "custom:country"}},
		{"$ref", Path{Name: "$ref"}},
	} {
		got, err := ParsePath(tt.in)
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: got %+v, %v, want %+v", tt.in, got, err, tt.want)
		}
		if got.String() != tt.in {
			t.Errorf("%s: String gives %s", tt.in, got)
		}
	}
	for _, in := range []string{"", ".", "a.", ".a", "a b", "emails[", "emails[]", `emails[type eq "work"`, `emails[type eq "work"].`, `emails.value[type eq "x"]`,
		urn + `[a eq "b"]`, urn + ".tag", "urn:", "a:b:c:", strings.Repeat("x", 4097), "\xff", strings.Repeat("a[", 100)} {
		if p, err := ParsePath(in); !errors.Is(err, ErrPath) {
			t.Errorf("%.40q: got %+v, %v, want an ErrPath", in, p, err)
		}
	}
}

func FuzzPath(f *testing.F) {
	for _, s := range []string{"userName", "name.givenName", `emails[type eq "work"].value`, "urn:ietf:params:scim:schemas:extension:X:2.0:User:tag.sub",
		"urn:okta:custom:group:1.0", "custom:country", `members[value eq "1" or value eq 2]`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		p, err := ParsePath(in)
		if err != nil {
			if !errors.Is(err, ErrPath) {
				t.Fatalf("%v is no ErrPath", err)
			}
			return
		}
		text := p.String()
		if len(text) > maxPath {
			return
		}
		again, err := ParsePath(text)
		if err != nil || !reflect.DeepEqual(p, again) {
			t.Fatalf("%q became %q became %q, %v", in, text, again, err)
		}
	})
}

func TestPlan(t *testing.T) {
	user, group := userType(), groupType()
	for _, tt := range []struct {
		rt    *resourceType
		in    string
		terms []term
		rest  bool
	}{
		{user, `userName eq "x"`, []term{{"userName", "x"}}, false},
		{user, `USERNAME eq x`, []term{{"userName", "x"}}, false},
		{user, `urn:ietf:params:scim:schemas:core:2.0:User:userName eq "x"`, []term{{"userName", "x"}}, false},
		{user, `id eq "1" and manager eq "2"`, []term{{"id", "1"}, {"manager", "2"}}, false},
		{user, `urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:cardNumber eq "7"`, []term{{"cardNumber", "7"}}, false},
		{user, `emails eq "a"`, []term{{"emails.value", "a"}}, false},
		{user, `emails[type eq "work"].value eq "a"`, []term{{"emails.value", "a"}}, true},
		{user, `userName eq "x" and title eq "y"`, []term{{"userName", "x"}}, true},
		{user, `userName eq "x" or title eq "y"`, nil, true},
		{user, `not (userName eq "x")`, nil, true},
		{user, `userName eq null`, nil, true},
		{user, `members eq "x"`, nil, true}, // a group's: no user has any
		{group, `id eq "g" and members eq "u"`, []term{{"id", "g"}, {"members.value", "u"}}, false},
		{group, `members[value eq "u"]`, []term{{"members.value", "u"}}, false},
		{group, `members.value eq "u"`, []term{{"members.value", "u"}}, false},
	} {
		e, err := ParseFilter(tt.in)
		if err != nil {
			t.Fatal(err)
		}
		p, err := tt.rt.plan(e)
		if err != nil || !reflect.DeepEqual(p.terms, tt.terms) || (p.match != nil) != tt.rest {
			t.Errorf("%s: got %v and rest %v, %v, want %v and rest %v", tt.in, p.terms, p.match != nil, err, tt.terms, tt.rest)
		}
	}
}

func TestMatch(t *testing.T) {
	doc, err := decode([]byte(`{"userName":"Ann@X.com","externalId":"AbC","active":true,"title":"","n":10,"big":12345678901234567890,
		"name":{"givenName":"Ann"},"metadata":{"city":"Oslo"},"since":"2026-01-01T00:00:00Z",
		"emails":[{"type":"work","value":"ann@x.com","primary":true},{"type":"home","value":"a@home"}],"tags":["red","blue"],
		"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"Ops","manager":{"value":"m1"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	doc["meta"] = map[string]any{"lastModified": "2026-11-22T09:00:00.5Z"}
	for _, tt := range []struct {
		in   string
		want bool
	}{
		{`userName sw "ANN"`, true}, {`externalId co "abc"`, false}, {`externalId co "bC"`, true},
		{`active eq "True" and n pr`, true}, {`active eq false or n eq 11`, false}, {`active ne false`, true},
		{`title pr`, false}, {`title eq null or n eq 10.0`, true}, {`name pr`, true}, {`name.givenName ew "N"`, true},
		{`metadata.city eq "Oslo" and metadata.city ne "oslo"`, true}, {`metadata.town pr`, false},
		{`n gt 9 and n lt 10.5`, true}, {`big gt 12345678901234567889`, true}, {`big ge 12345678901234567891`, false},
		{`emails[type eq "work" and value co "@X"]`, true}, {`emails[type eq "home" and primary eq true]`, false},
		{`emails[primary eq "True"].type ne "home"`, true}, {`emails.type eq "home" and not (emails.type eq "fax")`, true},
		{`tags eq "red"`, true}, {`tags eq "Red"`, false}, {`department eq "ops" or n eq 0`, true},
		{`manager.value sw "m"`, true}, {`nothing eq "x"`, false}, {`nothing ne "x"`, true},
		{`meta.lastModified gt "2026-11-22T10:00:00+02:00"`, true}, {`meta.lastModified gt "2026-11-22T09:00:01Z"`, false},
		{`id sw "i"`, true},
	} {
		e, err := ParseFilter(tt.in)
		if err != nil {
			t.Fatal(err)
		}
		var meta bool
		match, err := userType().compile(e, &meta)
		if err != nil {
			t.Errorf("%s: %v", tt.in, err)
		} else if got := match(doc, "id1"); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.in, got, tt.want)
		}
	}
	for _, in := range []string{`active gt "true"`, `groups eq "x" or n eq 1`, `password eq "x"`, `emails[value[a eq "b"]]`} {
		e, err := ParseFilter(in)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := userType().plan(e); !errors.Is(err, ErrFilter) {
			t.Errorf("%s: got %v, want an ErrFilter", in, err)
		}
	}
}

func BenchmarkFilter(b *testing.B) {
	for _, in := range []string{`userName eq "x"`, `id eq "g" and members eq "u"`, `emails[type eq "work"].value eq "ann@example.com"`} {
		b.Run(in, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseFilter(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
