package scim_test

import (
	"fmt"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"time"
)

// rules7644 are the rules of RFC 7644, the protocol.
func rules7644() []rule {
	return slices.Concat(rulesOfCreating(), rulesOfFilters(), rulesOfLists(), rulesOfPut(), rulesOfPatch(), rulesOfBulk(), rulesOfAnswers())
}

func rulesOfCreating() []rule {
	return []rule{
		{"7644-2 without a token nothing is told", func(r *rfc) {
			for _, p := range []string{"/Users", "/ServiceProviderConfig", "/nothing"} {
				a := r.do(401, "GET", p, "", "Authorization: Bearer nonsense")
				if !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer") {
					r.Errorf("%s: WWW-Authenticate is %q", p, a.header.Get("WWW-Authenticate"))
				}
			}
		}},
		{"7644-3.1 both JSON content types are taken", func(r *rfc) {
			for _, t := range []string{"application/scim+json", "application/json", "application/scim+json; charset=utf-8"} {
				r.do(201, "POST", "/Users", r.person(""), "Content-Type: "+t)
			}
		}},
		{"7644-3.1 answers are application/scim+json", func(r *rfc) {
			for _, p := range []string{"/Users", "/nothing", "/Schemas"} {
				r.eq(p, r.send("GET", p, "").header.Get("Content-Type"), "application/scim+json")
			}
		}},
		{"7644-3.3 POST makes a resource: 201, and it comes back", func(r *rfc) {
			a := r.do(201, "POST", "/Users", r.person(`"title":"Boss"`))
			r.eq("title", a.doc["title"], "Boss")
		}},
		{"7644-3.3 Location says where the new resource is", func(r *rfc) {
			a := r.do(201, "POST", "/Users", r.person(""))
			at := a.header.Get("Location")
			r.eq("Location", at, object(a.doc["meta"])["location"])
			r.eq("id", r.get(strings.TrimPrefix(at, r.c.base))["id"], a.doc["id"])
		}},
		{"7644-3.3 what is read-only in a POST is passed over", func(r *rfc) {
			u := r.user(`"groups":[{"value":"x"}],"meta":{"location":"x"},"id":"x"`)
			r.eq("groups", r.get(u)["groups"], nil)
		}},
		{"7644-3.3 a resource that is there already is a conflict", func(r *rfc) {
			name := r.get(r.user(""))["userName"].(string)
			r.refused(409, "uniqueness", "POST", "/Users", `{"schemas":["`+coreUser+`"],"userName":"`+name+`"}`)
		}},
		{"7644-3.3.1 the service says of what type a new resource is", func(r *rfc) {
			r.eq("type", at(r.do(201, "POST", "/Users", r.person(`"meta":{"resourceType":"Group"}`)).doc, "meta", "resourceType"), "User")
		}},
		{"7644-3.4.1 GET of a resource gives it", func(r *rfc) {
			u := r.user("")
			r.eq("id", r.get(u)["id"], idOf(u))
		}},
		{"7644-3.4.1 GET of what is not there is 404", func(r *rfc) {
			r.do(404, "GET", "/Users/none", "")
			r.do(404, "GET", "/Groups/none", "")
		}},
		{"7644-3.6 DELETE takes a resource away: 204 and no body", func(r *rfc) {
			for _, p := range []string{r.user(""), r.group()} {
				r.eq("body", r.do(204, "DELETE", p, "").raw, "")
				r.do(404, "GET", p, "")
			}
		}},
		{"7644-3.6 nothing can be done to what was deleted", func(r *rfc) {
			u := r.user("")
			r.do(204, "DELETE", u, "")
			r.do(404, "DELETE", u, "")
			r.do(404, "PUT", u, r.person(""))
			r.do(404, "PATCH", u, patch(`{"op":"add","path":"title","value":"x"}`))
		}},
		{"7644-3.6 no list has what was deleted", func(r *rfc) {
			u := r.user("")
			r.do(204, "DELETE", u, "")
			r.eq("found", r.found(`id eq "`+idOf(u)+`"`, u), []string{})
		}},
		{"7644-3.6 what was deleted is in nobody's way", func(r *rfc) {
			u := r.user("")
			name := r.get(u)["userName"].(string)
			r.do(204, "DELETE", u, "")
			r.do(201, "POST", "/Users", `{"schemas":["`+coreUser+`"],"userName":"`+name+`"}`)
		}},
	}
}

func rulesOfFilters() []rule {
	// people are two of whom a filter finds those in want: "", "0", "1" or "01".
	type ask struct{ filter, want string }
	of := func(asks ...ask) func(*rfc) {
		return func(r *rfc) {
			n := r.name()
			a := r.user(fmt.Sprintf(`"nickName":%q,"title":"Alpha Beta","active":true,"name":{"familyName":"Abel"},"emails":[{"type":"work","value":"a.%s@work"},{"type":"home","value":"a@home"}],"externalId":"Ext%s","%s":{"employeeNumber":"10"}`, n, n, n, enterprise))
			b := r.user(fmt.Sprintf(`"nickName":%q,"title":"Gamma","active":false,"emails":[{"type":"home","value":"a.%s@work"}],"roles":[{"value":"x","primary":true}]`, n, n))
			for _, q := range asks {
				got := r.found(fmt.Sprintf(`nickName eq %q and (%s)`, n, strings.ReplaceAll(q.filter, "$n", n)), a, b)
				if strings.Join(got, "") != q.want {
					r.Errorf("%s: found %v, want %s", q.filter, got, q.want)
				}
			}
		}
	}
	bad := func(filters ...string) func(*rfc) {
		return func(r *rfc) {
			for _, f := range filters {
				r.refused(400, "invalidFilter", "GET", "/Users?filter="+url.QueryEscape(f), "")
			}
		}
	}
	return []rule{
		{"7644-3.4.2.2 eq: the whole value", of(ask{`title eq "Gamma"`, "1"}, ask{`title eq "Gamm"`, ""}, ask{`active eq true`, "0"})},
		{"7644-3.4.2.2 ne: another value", of(ask{`title ne "Gamma"`, "0"}, ask{`active ne true`, "1"})},
		{"7644-3.4.2.2 co: somewhere in the value", of(ask{`title co "ph"`, "0"}, ask{`title co "a"`, "01"})},
		{"7644-3.4.2.2 sw: how the value begins", of(ask{`title sw "Gam"`, "1"}, ask{`title sw "lpha"`, ""})},
		{"7644-3.4.2.2 ew: how the value ends", of(ask{`title ew "Beta"`, "0"}, ask{`title ew "Alpha"`, ""})},
		{"7644-3.4.2.2 pr: there is a value", of(ask{`name.familyName pr`, "0"}, ask{`title pr`, "01"}, ask{`name pr`, "0"}, ask{`roles pr`, "1"}, ask{`nothing pr`, ""})},
		{"7644-3.4.2.2 gt, ge, lt and le: strings in the order of the alphabet", of(ask{`title gt "Alpha Beta"`, "1"}, ask{`title ge "Alpha Beta"`, "01"}, ask{`title lt "Gamma"`, "0"}, ask{`title le "Gamma"`, "01"})},
		{"7644-3.4.2.2 gt, ge, lt and le: times in the order of time", of(ask{`meta.created gt "2020-01-01T00:00:00Z"`, "01"}, ask{`meta.created lt "2020-01-01T00:00:00+02:00"`, ""}, ask{`meta.lastModified ge "2099-01-01T00:00:00Z"`, ""})},
		{"7644-3.4.2.2 booleans have no order", bad(`active gt true`, `active ge true`, `active lt false`, `active le false`)},
		{"7644-3.4.2.2 bytes have no order", bad(`x509Certificates.value gt "QQ=="`, `x509Certificates.value le "QQ=="`, `x509Certificates[value lt "QQ=="]`)},
		{"7644-3.4.2.2 and: both", of(ask{`title sw "Al" and active eq true`, "0"}, ask{`title sw "Al" and active eq false`, ""})},
		{"7644-3.4.2.2 or: one of them", of(ask{`title sw "Al" or active eq false`, "01"}, ask{`title sw "x" or active eq false`, "1"})},
		{"7644-3.4.2.2 not: the opposite", of(ask{`not (title sw "Al")`, "1"}, ask{`not (name.familyName pr)`, "1"})},
		{"7644-3.4.2.2 and binds closer than or, and brackets closer than both", of(ask{`active eq true or active eq false and title eq "x"`, "0"}, ask{`(active eq true or active eq false) and title eq "Gamma"`, "1"})},
		{"7644-3.4.2.2 brackets choose values that meet all of it", of(ask{`emails[type eq "work" and value co "$n"]`, "0"}, ask{`emails[type eq "home" and value co "$n"]`, "1"}, ask{`emails.type eq "work" and emails.value co "$n"`, "0"})},
		{"7644-3.4.2.2 names and operators ignore case", of(ask{`TITLE EQ "Gamma"`, "1"}, ask{`Title Sw "Ga" AND Active Eq False`, "1"})},
		{"7644-3.4.2.2 values ignore case where the schema says so, and else not", of(ask{`title eq "gAMMA"`, "1"}, ask{`externalId eq "EXT$n"`, ""}, ask{`externalId eq "Ext$n"`, "0"})},
		{"7644-3.4.2.2 a complex attribute is compared by its value", of(ask{`emails eq "a@home"`, "0"}, ask{`emails co "$n"`, "01"})},
		{"7644-3.4.2.2 one of several values is enough", of(ask{`emails.value eq "a@home"`, "0"})},
		{"7644-3.4.2.2 strings have JSON's escapes", of(ask{`title eq "\u0047amma"`, "1"})},
		{"7644-3.4.2.2 null is no value", of(ask{`name.familyName eq null`, "1"}, ask{`name.familyName ne null`, "0"})},
		{"7644-3.4.2.2 what is no filter is refused", bad(`title`, `title eq`, `title xx "a"`, `title eq "a`, `(title pr`, `title pr)`, `title pr and`, `not title pr`, `emails[type eq "work"`, `eq "x"`)},
		{"7644-3.10 attributes of extensions have the URI before them", of(ask{enterprise + `:employeeNumber eq "10"`, "0"}, ask{enterprise + `:employeeNumber eq "1"`, ""}, ask{coreUser + `:title eq "Gamma"`, "1"})},
	}
}

func rulesOfLists() []rule {
	// three makes three users that "nickName eq NAME" finds.
	three := func(r *rfc) (filter string, paths []string) {
		n := r.name()
		for i, more := range []string{`"title":"b","emails":[{"value":"z@x"},{"value":"a@x","primary":true}]`, `"title":"C","emails":[{"value":"b@x"}]`, `"displayName":"none"`} {
			paths = append(paths, r.user(fmt.Sprintf(`"nickName":%q,"externalId":"%s%s",%s`, n, n, []string{"b", "B", "a"}[i], more)))
			for made := time.Now().UnixMilli(); time.Now().UnixMilli() == made; { // times are kept to the millisecond
				runtime.Gosched()
			}
		}
		return "filter=" + url.QueryEscape(fmt.Sprintf("nickName eq %q", n)), paths
	}
	order := func(sort, want string) func(*rfc) {
		return func(r *rfc) {
			filter, paths := three(r)
			var got strings.Builder
			for _, v := range list(r.get("/Users?" + filter + "&" + sort)["Resources"]) {
				got.WriteString(fmt.Sprint(slices.Index(paths, "/Users/"+at(v, "id").(string))))
			}
			r.eq(sort, got.String(), want)
		}
	}
	page := func(query string, items, start float64) func(*rfc) {
		return func(r *rfc) {
			filter, _ := three(r)
			doc := r.get("/Users?" + filter + "&" + query)
			r.eq("totalResults", doc["totalResults"], 3)
			r.eq("Resources", len(list(doc["Resources"])), items)
			r.eq("itemsPerPage", doc["itemsPerPage"], items)
			r.eq("startIndex", doc["startIndex"], start)
		}
	}
	return []rule{
		{"7644-3.4.2 a list is a ListResponse with the total", func(r *rfc) {
			filter, _ := three(r)
			doc := r.get("/Users?" + filter)
			r.eq("schemas", doc["schemas"], []string{messages + "ListResponse"})
			r.eq("totalResults", doc["totalResults"], 3)
			r.eq("Resources", len(list(doc["Resources"])), 3)
		}},
		{"7644-3.4.2 nothing found is 200 and a total of 0", func(r *rfc) {
			r.eq("totalResults", r.get("/Users?filter=userName+eq+%22nobody%22")["totalResults"], 0)
		}},
		{"7644-3.4.2.1 the root lists resources of all types", func(r *rfc) {
			n := r.name()
			r.do(201, "POST", "/Users", `{"schemas":["`+coreUser+`"],"userName":"`+n+`","displayName":"`+n+`"}`)
			r.do(201, "POST", "/Groups", `{"schemas":["`+coreGroup+`"],"displayName":"`+n+`"}`)
			filter := "?filter=" + url.QueryEscape(`displayName eq "`+n+`"`)
			doc := r.get("/" + filter)
			r.eq("total", doc["totalResults"], 2)
			r.eq("second", at(r.get("/"+filter+"&startIndex=2"), "Resources", 0, "meta", "resourceType"), "Group")
			r.eq("sorted", at(r.get("/"+filter+"&sortBy=meta.created&sortOrder=descending"), "Resources", 0, "meta", "resourceType"), "Group")
			r.eq("of one type", r.get("/" + filter + url.QueryEscape(` and meta.resourceType eq "User"`))["totalResults"], 1)
			r.eq("of either", r.get("/" + filter + url.QueryEscape(` and (meta.resourceType eq "User" or meta.resourceType eq "Group")`))["totalResults"], 2)
		}},
		{"7644-3.4.2.1 an attribute that a type does not have is no value", func(r *rfc) {
			r.eq("total", r.get("/Groups?filter=" + url.QueryEscape(`userName eq "x" or nickName pr`))["totalResults"], 0)
		}},
		{"7644-3.4.2.3 ascending is the order where none is said", order("sortBy=title", "012")},
		{"7644-3.4.2.3 who has no value is last, ascending", order("sortBy=title&sortOrder=ascending", "012")},
		{"7644-3.4.2.3 who has no value is first, descending", order("sortBy=title&sortOrder=descending", "210")},
		{"7644-3.4.2.3 strings ignore case where the schema says so", order("sortBy=title", "012")},
		{"7644-3.4.2.3 strings differ by case where the schema says so", order("sortBy=externalId", "120")},
		{"7644-3.4.2.3 of several values the primary one counts, or the first", order("sortBy=emails", "012")},
		{"7644-3.4.2.3 a sub-attribute can be sorted by", order("sortBy=emails.value&sortOrder=descending", "210")},
		{"7644-3.4.2.3 times are in the order of time", order("sortBy=meta.created&sortOrder=descending", "210")},
		{"7644-3.4.2.4 startIndex counts from 1", page("startIndex=1&count=2", 2, 1)},
		{"7644-3.4.2.4 startIndex below 1 is 1", page("startIndex=0&count=2", 2, 1)},
		{"7644-3.4.2.4 startIndex below 0 is 1", page("startIndex=-5", 3, 1)},
		{"7644-3.4.2.4 no more than count come back", page("count=1", 1, 1)},
		{"7644-3.4.2.4 count 0 gives the total alone", page("count=0", 0, 1)},
		{"7644-3.4.2.4 count below 0 is 0", page("count=-3", 0, 1)},
		{"7644-3.4.2.4 the last page has what is left", page("startIndex=3&count=2", 1, 3)},
		{"7644-3.4.2.4 past the end there is nothing, and the total", page("startIndex=9", 0, 9)},
		{"7644-3.4.2.4 the total counts all, whatever the page", page("count=2", 2, 1)},
		{"7644-3.4.2.5 attributes: those alone, with id and schemas", func(r *rfc) {
			doc := r.get(r.user(`"title":"T","name":{"givenName":"Ann","familyName":"Ek"}`) + "?attributes=title,name.givenName")
			delete(doc, "id")
			delete(doc, "schemas")
			r.eq("document", doc, map[string]any{"title": "T", "name": map[string]any{"givenName": "Ann"}})
		}},
		{"7644-3.4.2.5 excludedAttributes: all but those", func(r *rfc) {
			doc := r.get(r.user(`"title":"T","nickName":"N"`) + "?excludedAttributes=title,meta,id,schemas")
			r.eq("title", doc["title"], nil)
			r.eq("nickName", doc["nickName"], "N")
			if doc["id"] == nil || doc["schemas"] == nil {
				r.Error("what is always returned is not")
			}
		}},
		{"7644-3.4.2.5 lists have the attributes that were asked for", func(r *rfc) {
			filter, _ := three(r)
			for _, v := range list(r.get("/Users?" + filter + "&attributes=nickName")["Resources"]) {
				if len(object(v)) != 3 {
					r.Errorf("got %v", v)
				}
			}
		}},
		{"7644-3.4.2.5 an attribute may be named by its URI", func(r *rfc) {
			u := r.user(`"` + enterprise + `":{"department":"D","division":"V"}`)
			r.eq("extension", r.get(u + "?attributes=" + enterprise + ":department")[enterprise], map[string]any{"department": "D"})
		}},
		{"7644-3.4.3 a search by POST is answered like one by GET", func(r *rfc) {
			filter, _ := three(r)
			f, _ := url.QueryUnescape(strings.TrimPrefix(filter, "filter="))
			body := fmt.Sprintf(`{"schemas":["%sSearchRequest"],"filter":%q,"attributes":["title"],"sortBy":"title","sortOrder":"descending","startIndex":2,"count":1}`, messages, f)
			for _, p := range []string{"/.search", "/Users/.search"} {
				doc := r.do(200, "POST", p, body).doc
				r.eq("total", doc["totalResults"], 3)
				r.eq("page", []any{doc["startIndex"], doc["itemsPerPage"]}, []int{2, 1})
				r.eq("title", at(doc, "Resources", 0, "title"), "C")
				r.eq("meta", at(doc, "Resources", 0, "meta"), nil)
			}
			r.eq("groups", r.do(200, "POST", "/Groups/.search", body).doc["totalResults"], 0)
		}},
		{"7644-3.4.3 a search by POST leaves out what it is told to", func(r *rfc) {
			u := r.user(`"title":"T"`)
			body := fmt.Sprintf(`{"schemas":["%sSearchRequest"],"filter":"id eq \"%s\"","excludedAttributes":["title"]}`, messages, idOf(u))
			doc := r.do(200, "POST", "/Users/.search", body).doc
			r.eq("id", at(doc, "Resources", 0, "id"), idOf(u))
			r.eq("title", at(doc, "Resources", 0, "title"), nil)
		}},
		{"7644-3.4.3 a search by POST says that it is one", func(r *rfc) {
			r.refused(400, "invalidSyntax", "POST", "/Users/.search", `{"filter":"title pr"}`)
		}},
		{"7644-3.4.3 a filter in a POST is held to the same rules", func(r *rfc) {
			r.refused(400, "invalidFilter", "POST", "/.search", `{"schemas":["`+messages+`SearchRequest"],"filter":"title xx"}`)
		}},
	}
}

func rulesOfPut() []rule {
	return []rule{
		{"7644-3.5.1 PUT answers 200 with the resource", func(r *rfc) {
			u := r.user("")
			r.eq("title", r.do(200, "PUT", u, r.person(`"title":"New"`)).doc["title"], "New")
		}},
		{"7644-3.5.1 PUT makes no resource", func(r *rfc) {
			r.do(404, "PUT", "/Users/none", r.person(""))
		}},
		{"7644-3.5.1 PUT takes away what it does not have", func(r *rfc) {
			u := r.user(`"title":"Boss","nickName":"N","emails":[{"value":"a@x"}]`)
			doc := r.do(200, "PUT", u, r.person(`"nickName":"M"`)).doc
			r.eq("title", doc["title"], nil)
			r.eq("emails", doc["emails"], nil)
			r.eq("nickName", doc["nickName"], "M")
		}},
		{"7644-3.5.1 PUT has what is required", func(r *rfc) {
			r.refused(400, "invalidValue", "PUT", r.user(""), `{"schemas":["`+coreUser+`"],"title":"x"}`)
			r.refused(400, "invalidValue", "PUT", r.group(), `{"schemas":["`+coreGroup+`"]}`)
		}},
		{"7644-3.5.1 what is read-only in a PUT is passed over", func(r *rfc) {
			u := r.user("")
			created := at(r.get(u), "meta", "created")
			doc := r.do(200, "PUT", u, r.person(`"id":"x","groups":[{"value":"g"}],"meta":{"created":"2001-01-01T00:00:00Z"}`)).doc
			r.eq("created", at(doc, "meta", "created"), created)
			r.eq("groups", doc["groups"], nil)
		}},
		{"7644-3.5.1 a PUT of what is there changes nothing", func(r *rfc) {
			u := r.user(`"title":"Boss"`)
			a := r.do(200, "GET", u, "")
			r.eq("version", r.do(200, "PUT", u, a.raw).header.Get("ETag"), a.header.Get("ETag"))
		}},
		{"7644-3.5.1 a name that is taken is a conflict", func(r *rfc) {
			other := r.get(r.user(""))["userName"].(string)
			r.refused(409, "uniqueness", "PUT", r.user(""), `{"schemas":["`+coreUser+`"],"userName":"`+other+`"}`)
		}},
	}
}

func rulesOfPatch() []rule {
	two := `"emails":[{"type":"work","value":"w@x","primary":true},{"type":"home","value":"h@x"}]`
	bad := func(scimType, more string, ops ...string) func(*rfc) {
		return func(r *rfc) {
			u := r.user(more)
			before := r.get(u)
			for _, op := range ops {
				r.refused(400, scimType, "PATCH", u, patch(op))
			}
			r.eq("after", r.get(u), before)
		}
	}
	return []rule{
		{"7644-3.5.2 a PATCH says that it is one", func(r *rfc) {
			r.refused(400, "invalidSyntax", "PATCH", r.user(""), `{"Operations":[{"op":"add","path":"title","value":"x"}]}`)
		}},
		{"7644-3.5.2 a PATCH has operations", func(r *rfc) {
			for _, more := range []string{``, `,"Operations":[]`, `,"Operations":{}`} {
				r.refused(400, "invalidSyntax", "PATCH", r.user(""), `{"schemas":["`+messages+`PatchOp"]`+more+`}`)
			}
		}},
		{"7644-3.5.2 an operation is add, remove or replace", bad("invalidSyntax", "", `{"op":"move","path":"title","value":"x"}`, `{"path":"title","value":"x"}`)},
		{"7644-3.5.2 PATCH answers 200 with the resource, or 204", func(r *rfc) {
			r.eq("title", r.do(200, "PATCH", r.user(""), patch(`{"op":"add","path":"title","value":"T"}`)).doc["title"], "T")
			r.eq("body", r.do(204, "PATCH", r.group(), patch(`{"op":"replace","path":"displayName","value":"`+r.name()+`"}`)).raw, "")
		}},
		{"7644-3.5.2 a PATCH that asks for attributes gets 200 and them", func(r *rfc) {
			name := r.name()
			a := r.do(200, "PATCH", r.group()+"?attributes=displayName", patch(`{"op":"replace","path":"displayName","value":"`+name+`"}`))
			r.eq("displayName", a.doc["displayName"], name)
		}},
		{"7644-3.5.2 operations happen in their order", func(r *rfc) {
			doc := r.patched(r.user(""), `{"op":"add","path":"title","value":"1"},{"op":"remove","path":"title"},{"op":"add","path":"title","value":"2"},{"op":"replace","path":"title","value":"3"}`)
			r.eq("title", doc["title"], "3")
		}},
		{"7644-3.5.2 all operations happen or none", bad("mutability", `"title":"T"`, `{"op":"replace","path":"title","value":"x"},{"op":"replace","path":"id","value":"y"}`)},
		{"7644-3.5.2 what is read-only cannot be changed", bad("mutability", "", `{"op":"replace","path":"id","value":"x"}`, `{"op":"add","path":"meta.created","value":"x"}`, `{"op":"remove","path":"groups"}`, `{"op":"replace","path":"`+enterprise+`:manager.displayName","value":"x"}`)},
		{"7644-3.5.2 a path that is none is refused", bad("invalidPath", "", `{"op":"add","path":"emails[type eq","value":"x"}`, `{"op":"add","path":"[type eq \"a\"]","value":"x"}`, `{"op":"replace","path":"title[value eq \"a\"]","value":"x"}`)},
		{"7644-3.5.2 a filter in a path that is none is refused", bad("invalidFilter", two, `{"op":"replace","path":"emails[primary gt \"x\"].value","value":"x"}`)},
		{"7644-3.5.2 a new primary value takes it from the old one", func(r *rfc) {
			doc := r.patched(r.user(two), `{"op":"replace","path":"emails[type eq \"home\"].primary","value":true}`)
			r.eq("work", at(doc, "emails", 0, "primary"), false)
			r.eq("home", at(doc, "emails", 1, "primary"), true)
		}},
		{"7644-3.5.2 a value is of the attribute's type", bad("invalidValue", two, `{"op":"replace","path":"title","value":7}`, `{"op":"replace","path":"name","value":"x"}`, `{"op":"add","path":"emails","value":"x"}`)},
		{"7644-3.5.2 a name that is taken is a conflict", func(r *rfc) {
			other := r.get(r.user(""))["userName"].(string)
			r.refused(409, "uniqueness", "PATCH", r.user(""), patch(`{"op":"replace","path":"userName","value":"`+other+`"}`))
		}},
		{"7644-3.5.2 paths ignore case, and may have the URI before them", func(r *rfc) {
			doc := r.patched(r.user(""), `{"op":"add","path":"TITLE","value":"T"},{"op":"add","path":"`+coreUser+`:nickName","value":"N"},{"op":"add","path":"`+enterprise+`:department","value":"D"}`)
			r.eq("title", doc["title"], "T")
			r.eq("nickName", doc["nickName"], "N")
			r.eq("department", at(doc, enterprise, "department"), "D")
			r.eq("schemas", doc["schemas"], []string{coreUser, enterprise})
		}},
		{"7644-3.5.2.1 add has a value", bad("invalidValue", "", `{"op":"add","path":"title"}`)},
		{"7644-3.5.2.1 add without a path adds each attribute of the value", func(r *rfc) {
			doc := r.patched(r.user(""), `{"op":"add","value":{"title":"T","name":{"givenName":"Ann"}}}`)
			r.eq("title", doc["title"], "T")
			r.eq("givenName", at(doc, "name", "givenName"), "Ann")
		}},
		{"7644-3.5.2.1 add of what is not there makes it", func(r *rfc) {
			r.eq("givenName", at(r.patched(r.user(""), `{"op":"add","path":"name.givenName","value":"Ann"}`), "name", "givenName"), "Ann")
		}},
		{"7644-3.5.2.1 add to a complex attribute adds its sub-attributes", func(r *rfc) {
			doc := r.patched(r.user(`"name":{"familyName":"Ek"}`), `{"op":"add","path":"name","value":{"givenName":"Ann"}}`)
			r.eq("name", doc["name"], map[string]any{"familyName": "Ek", "givenName": "Ann"})
		}},
		{"7644-3.5.2.1 add to several values adds one", func(r *rfc) {
			doc := r.patched(r.user(two), `{"op":"add","path":"emails","value":[{"type":"other","value":"o@x"}]}`)
			r.eq("emails", len(list(doc["emails"])), 3)
		}},
		{"7644-3.5.2.1 add of a single value takes its place", func(r *rfc) {
			r.eq("title", r.patched(r.user(`"title":"T"`), `{"op":"add","path":"title","value":"U"}`)["title"], "U")
		}},
		{"7644-3.5.2.1 add of what is there already changes nothing", func(r *rfc) {
			u := r.user(two + `,"title":"T"`)
			before := r.get(u)
			r.eq("after", r.patched(u, `{"op":"add","path":"title","value":"T"},{"op":"add","path":"emails","value":[{"type":"home","value":"h@x"}]}`), before)
		}},
		{"7644-3.5.2.2 remove has a path", bad("noTarget", "", `{"op":"remove"}`, `{"op":"remove","value":{"title":"x"}}`)},
		{"7644-3.5.2.2 remove takes a value away", func(r *rfc) {
			r.eq("title", r.patched(r.user(`"title":"T"`), `{"op":"remove","path":"title"}`)["title"], nil)
		}},
		{"7644-3.5.2.2 remove takes all values away", func(r *rfc) {
			r.eq("emails", r.patched(r.user(two), `{"op":"remove","path":"emails"}`)["emails"], nil)
		}},
		{"7644-3.5.2.2 remove takes away the values that a filter chooses", func(r *rfc) {
			doc := r.patched(r.user(two), `{"op":"remove","path":"emails[type eq \"work\"]"}`)
			r.eq("emails", doc["emails"], []any{map[string]any{"type": "home", "value": "h@x"}})
		}},
		{"7644-3.5.2.2 when the last value goes the attribute goes", func(r *rfc) {
			doc := r.patched(r.user(two), `{"op":"remove","path":"emails[value pr]"}`)
			if v, ok := doc["emails"]; ok {
				r.Errorf("got %v", v)
			}
		}},
		{"7644-3.5.2.2 remove takes a sub-attribute away", func(r *rfc) {
			doc := r.patched(r.user(two+`,"name":{"givenName":"Ann","familyName":"Ek"}`), `{"op":"remove","path":"name.givenName"},{"op":"remove","path":"emails[type eq \"work\"].primary"}`)
			r.eq("name", doc["name"], map[string]any{"familyName": "Ek"})
			r.eq("primary", at(doc, "emails", 0, "primary"), nil)
		}},
		{"7644-3.5.2.2 what is required cannot be removed", bad("mutability", "", `{"op":"remove","path":"userName"}`)},
		{"7644-3.5.2.2 a filter that chooses nothing has no target", bad("noTarget", two, `{"op":"remove","path":"emails[type eq \"fax\"]"}`)},
		{"7644-3.5.2.2 removed members are not there, and the others are", func(r *rfc) {
			a, b := r.user(""), r.user("")
			g := r.group(a, b)
			r.do(204, "PATCH", g, patch(`{"op":"remove","path":"members[value eq \"`+idOf(a)+`\"]"}`))
			r.eq("members", len(list(r.get(g)["members"])), 1)
			r.do(204, "PATCH", g, patch(`{"op":"remove","path":"members"}`))
			r.eq("members", r.get(g)["members"], nil)
		}},
		{"7644-3.5.2.3 replace puts a value in the place of another", func(r *rfc) {
			r.eq("title", r.patched(r.user(`"title":"T"`), `{"op":"replace","path":"title","value":"U"}`)["title"], "U")
		}},
		{"7644-3.5.2.3 replace without a path replaces each attribute of the value", func(r *rfc) {
			doc := r.patched(r.user(`"title":"T","nickName":"N"`), `{"op":"replace","value":{"title":"U","locale":"sv"}}`)
			r.eq("attributes", []any{doc["title"], doc["nickName"], doc["locale"]}, []string{"U", "N", "sv"})
		}},
		{"7644-3.5.2.3 replace of what is not there adds it", func(r *rfc) {
			r.eq("title", r.patched(r.user(""), `{"op":"replace","path":"title","value":"U"}`)["title"], "U")
		}},
		{"7644-3.5.2.3 replace of several values leaves the new ones", func(r *rfc) {
			doc := r.patched(r.user(two), `{"op":"replace","path":"emails","value":[{"value":"n@x"}]}`)
			r.eq("emails", doc["emails"], []any{map[string]any{"value": "n@x"}})
		}},
		{"7644-3.5.2.3 replace changes those sub-attributes that it names", func(r *rfc) {
			doc := r.patched(r.user(`"name":{"givenName":"Ann","familyName":"Ek"}`), `{"op":"replace","path":"name","value":{"givenName":"Eva"}}`)
			r.eq("name", doc["name"], map[string]any{"givenName": "Eva", "familyName": "Ek"})
		}},
		{"7644-3.5.2.3 replace changes the values that a filter chooses", func(r *rfc) {
			doc := r.patched(r.user(two), `{"op":"replace","path":"emails[type eq \"home\"]","value":{"type":"home","value":"new@x"}}`)
			r.eq("home", at(doc, "emails", 1, "value"), "new@x")
			r.eq("work", at(doc, "emails", 0, "value"), "w@x")
		}},
		{"7644-3.5.2.3 replace changes a sub-attribute of the values that a filter chooses", func(r *rfc) {
			doc := r.patched(r.user(two), `{"op":"replace","path":"emails[type eq \"work\"].value","value":"new@x"}`)
			r.eq("work", at(doc, "emails", 0), map[string]any{"type": "work", "value": "new@x", "primary": true})
		}},
		{"7644-3.5.2.3 a filter that chooses nothing has no target", bad("noTarget", two, `{"op":"replace","path":"emails[type eq \"fax\"].value","value":"x"}`, `{"op":"replace","path":"emails[type eq \"fax\"]","value":{"value":"x"}}`)},
	}
}

func rulesOfBulk() []rule {
	job := func(more string, ops ...string) string {
		return `{"schemas":["` + messages + `BulkRequest"]` + more + `,"Operations":[` + strings.Join(ops, ",") + `]}`
	}
	post := func(r *rfc, bulkID, more string) string {
		return `{"method":"POST","path":"/Users","bulkId":"` + bulkID + `","data":` + r.person(more) + `}`
	}
	group := func(r *rfc, bulkID string, members ...string) string {
		for i, m := range members {
			members[i] = `{"value":"` + m + `"}`
		}
		return `{"method":"POST","path":"/Groups","bulkId":"` + bulkID + `","data":{"schemas":["` + coreGroup + `"],"displayName":"` + r.name() + `","members":[` + strings.Join(members, ",") + `]}}`
	}
	statuses := func(r *rfc, body string) (all []string, ops []any) {
		ops = list(r.do(200, "POST", "/Bulk", body).doc["Operations"])
		for _, op := range ops {
			all = append(all, at(op, "status").(string))
		}
		return all, ops
	}
	return []rule{
		{"7644-3.7 a Bulk request is answered by a BulkResponse", func(r *rfc) {
			doc := r.do(200, "POST", "/Bulk", job("", post(r, "a", ""))).doc
			r.eq("schemas", doc["schemas"], []string{messages + "BulkResponse"})
		}},
		{"7644-3.7 a Bulk request says that it is one, and what to do", func(r *rfc) {
			r.refused(400, "invalidSyntax", "POST", "/Bulk", `{"Operations":[]}`)
			r.refused(400, "invalidSyntax", "POST", "/Bulk", `{"schemas":["`+messages+`BulkRequest"]}`)
		}},
		{"7644-3.7 resources are made, replaced, patched and deleted", func(r *rfc) {
			put, pat, del := r.user(`"title":"T"`), r.user(""), r.user("")
			got, _ := statuses(r, job("", post(r, "a", ""), `{"method":"PUT","path":"`+put+`","data":`+r.person("")+`}`,
				`{"method":"PATCH","path":"`+pat+`","data":`+patch(`{"op":"add","path":"title","value":"P"}`)+`}`, `{"method":"DELETE","path":"`+del+`"}`))
			r.eq("statuses", got, []string{"201", "200", "200", "204"})
			r.eq("put", r.get(put)["title"], nil)
			r.eq("patched", r.get(pat)["title"], "P")
			r.do(404, "GET", del, "")
		}},
		{"7644-3.7 a POST has a bulkId", func(r *rfc) {
			r.refused(400, "invalidSyntax", "POST", "/Bulk", job("", `{"method":"POST","path":"/Users","data":`+r.person("")+`}`))
		}},
		{"7644-3.7 a bulkId is one operation's alone", func(r *rfc) {
			r.refused(400, "invalidValue", "POST", "/Bulk", job("", post(r, "a", ""), post(r, "a", "")))
		}},
		{"7644-3.7 methods are POST, PUT, PATCH and DELETE", func(r *rfc) {
			r.refused(400, "invalidSyntax", "POST", "/Bulk", job("", `{"method":"GET","path":"/Users"}`))
		}},
		{"7644-3.7 an operation names an endpoint or a resource", func(r *rfc) {
			got, _ := statuses(r, job("", `{"method":"DELETE","path":"/Schemas/`+coreUser+`"}`, `{"method":"POST","path":"/Bulk","bulkId":"b","data":{}}`, `{"method":"DELETE","path":"/Users"}`))
			r.eq("statuses", got, []string{"404", "404", "405"})
		}},
		{"7644-3.7 a version is held to", func(r *rfc) {
			u := r.user("")
			op := `{"method":"PATCH","path":"` + u + `","version":"%s","data":` + patch(`{"op":"add","path":"title","value":"%s"}`) + `}`
			got, _ := statuses(r, job("", fmt.Sprintf(op, `W/\"9\"`, "no"), fmt.Sprintf(op, `W/\"1\"`, "yes")))
			r.eq("statuses", got, []string{"412", "200"})
			r.eq("title", r.get(u)["title"], "yes")
		}},
		{"7644-3.7 one failure does not keep the others from happening", func(r *rfc) {
			got, _ := statuses(r, job("", `{"method":"DELETE","path":"/Users/none"}`, post(r, "a", "")))
			r.eq("statuses", got, []string{"404", "201"})
		}},
		{"7644-3.7 after so many failures nothing more is done", func(r *rfc) {
			none := `{"method":"DELETE","path":"/Users/none"}`
			got, _ := statuses(r, job(`,"failOnErrors":2`, none, post(r, "a", ""), none, post(r, "b", ""), none))
			r.eq("statuses", got, []string{"404", "201", "404"})
			r.refused(400, "invalidValue", "POST", "/Bulk", job(`,"failOnErrors":"x"`, none))
		}},
		{"7644-3.7.1 a circle of references is tried, and then a conflict", func(r *rfc) {
			got, ops := statuses(r, job("", group(r, "g1", "bulkId:g2"), group(r, "g2", "bulkId:g1"), post(r, "a", "")))
			r.eq("statuses", got, []string{"409", "409", "201"})
			r.eq("status in the error", at(ops[0], "response", "status"), "409")
		}},
		{"7644-3.7.2 a bulkId stands for the id that a POST makes", func(r *rfc) {
			got, ops := statuses(r, job("", post(r, "u1", ""), group(r, "g1", "bulkId:u1")))
			r.eq("statuses", got, []string{"201", "201"})
			g := strings.TrimPrefix(at(ops[1], "location").(string), r.c.base)
			u := strings.TrimPrefix(at(ops[0], "location").(string), r.c.base)
			r.eq("member", at(r.get(g), "members", 0, "value"), idOf(u))
		}},
		{"7644-3.7.2 a bulkId may stand before the POST that makes it", func(r *rfc) {
			got, ops := statuses(r, job("", group(r, "g1", "bulkId:u1"), post(r, "u1", `"`+enterprise+`":{"manager":{"value":"bulkId:boss"}}`), post(r, "boss", "")))
			r.eq("statuses", got, []string{"201", "201", "201"})
			g := strings.TrimPrefix(at(ops[0], "location").(string), r.c.base)
			r.eq("members", len(list(r.get(g)["members"])), 1)
		}},
		{"7644-3.7.2 a bulkId may stand in a path", func(r *rfc) {
			got, ops := statuses(r, job("", post(r, "u1", ""), `{"method":"PATCH","path":"/Users/bulkId:u1","data":`+patch(`{"op":"add","path":"title","value":"P"}`)+`}`))
			r.eq("statuses", got, []string{"201", "200"})
			r.eq("title", r.get(strings.TrimPrefix(at(ops[1], "location").(string), r.c.base))["title"], "P")
		}},
		{"7644-3.7.2 a bulkId that nothing makes is refused", func(r *rfc) {
			got, ops := statuses(r, job("", group(r, "g1", "bulkId:none"), post(r, "bad", `"title":7`), group(r, "g2", "bulkId:bad")))
			r.eq("statuses", got, []string{"400", "400", "409"})
			r.eq("type", at(ops[0], "response", "scimType"), "invalidValue")
		}},
		{"7644-3.7.3 each operation has its result, in order", func(r *rfc) {
			u := r.user("")
			_, ops := statuses(r, job("", post(r, "a", ""), `{"method":"DELETE","path":"`+u+`"}`))
			r.eq("first", []any{at(ops[0], "method"), at(ops[0], "bulkId")}, []string{"POST", "a"})
			r.eq("second", []any{at(ops[1], "method"), at(ops[1], "location")}, []string{"DELETE", r.c.base + u})
			made := strings.TrimPrefix(at(ops[0], "location").(string), r.c.base)
			r.eq("version", at(ops[0], "version"), r.do(200, "GET", made, "").header.Get("ETag"))
		}},
		{"7644-3.7.3 a POST that failed has no location, and any failure its error", func(r *rfc) {
			_, ops := statuses(r, job("", post(r, "a", `"title":7`), `{"method":"DELETE","path":"/Users/none"}`))
			r.eq("location", at(ops[0], "location"), nil)
			r.eq("location", at(ops[1], "location"), r.c.base+"/Users/none")
			r.eq("error", at(ops[0], "response", "schemas"), []string{messages + "Error"})
			r.eq("type", at(ops[0], "response", "scimType"), "invalidValue")
			r.eq("status", at(ops[1], "response", "status"), "404")
		}},
		{"7644-3.7.4 more operations than the limit are refused", func(r *rfc) {
			most := int(at(r.get("/ServiceProviderConfig"), "bulk", "maxOperations").(float64))
			r.refused(413, "", "POST", "/Bulk", job("", slices.Repeat([]string{`{"method":"DELETE","path":"/Users/x"}`}, most+1)...))
		}},
		{"7644-3.7.4 a larger body than the limit is refused", func(r *rfc) {
			most := int(at(r.get("/ServiceProviderConfig"), "bulk", "maxPayloadSize").(float64))
			r.refused(413, "", "POST", "/Bulk", job(`,"x":"`+strings.Repeat("x", most)+`"`))
		}},
	}
}

func rulesOfAnswers() []rule {
	return []rule{
		{"7644-3.9 POST, PUT and PATCH give the attributes that were asked for", func(r *rfc) {
			a := r.do(201, "POST", "/Users?attributes=title", r.person(`"title":"T","nickName":"N"`)).doc
			r.eq("nickName", a["nickName"], nil)
			r.eq("title", a["title"], "T")
			u := "/Users/" + a["id"].(string)
			r.eq("PUT", r.do(200, "PUT", u+"?excludedAttributes=title", r.person(`"title":"T"`)).doc["title"], nil)
			r.eq("PATCH", len(r.do(200, "PATCH", u+"?attributes=title", patch(`{"op":"add","path":"nickName","value":"M"}`)).doc), 3)
		}},
		{"7644-3.11 /Me is not implemented, and says so", func(r *rfc) {
			for _, m := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
				r.do(501, m, "/Me", "{}")
			}
		}},
		{"7644-3.12 an error has its schema and its status as a string", func(r *rfc) {
			for p, status := range map[string]string{"/Users/none": "404", "/Users?filter=x": "400", "/Me": "501", "/nothing": "404", "/Bulk": "405"} {
				doc := r.send("GET", p, "").doc
				r.eq(p, []any{doc["schemas"], doc["status"]}, []any{[]string{messages + "Error"}, status})
				if d, _ := doc["detail"].(string); d == "" {
					r.Errorf("%s: no detail", p)
				}
			}
		}},
		{"7644-3.12 a body that is no JSON is a bad request", func(r *rfc) {
			r.refused(400, "invalidSyntax", "POST", "/Users", `{"schemas":`)
		}},
		{"7644-3.12 a method that an endpoint does not have is refused", func(r *rfc) {
			for _, p := range []string{"DELETE /Users", "PUT /Groups", "POST /Schemas", "PATCH /ServiceProviderConfig", "DELETE /ResourceTypes/User"} {
				method, path, _ := strings.Cut(p, " ")
				if a := r.do(405, method, path, "{}"); a.header.Get("Allow") == "" {
					r.Errorf("%s: no Allow", p)
				}
			}
		}},
		{"7644-3.13 the version of the protocol is in the path", func(r *rfc) {
			if !strings.HasSuffix(r.c.base, "/v2") {
				r.Error(r.c.base)
			}
		}},
		{"7644-3.14 a version is a weak entity tag", func(r *rfc) {
			if tag := r.do(200, "GET", r.user(""), "").header.Get("ETag"); !strings.HasPrefix(tag, `W/"`) {
				r.Errorf("got %s", tag)
			}
		}},
		{"7644-3.14 a change makes another version", func(r *rfc) {
			for path, op := range map[string]string{r.user(""): `{"op":"add","path":"title","value":"x"}`, r.group(): `{"op":"replace","path":"displayName","value":"` + r.name() + `"}`} {
				before := r.do(200, "GET", path, "").header.Get("ETag")
				r.send("PATCH", path, patch(op))
				if after := r.do(200, "GET", path, "").header.Get("ETag"); after == before {
					r.Errorf("%s: still %s", path, after)
				}
			}
		}},
		{"7644-3.14 If-None-Match: who has the version gets 304", func(r *rfc) {
			for _, path := range []string{r.user(""), r.group()} {
				tag := r.do(200, "GET", path, "").header.Get("ETag")
				r.eq("body", r.do(304, "GET", path, "", "If-None-Match: "+tag).raw, "")
				r.do(200, "GET", path, "", `If-None-Match: W/"999"`)
			}
		}},
		{"7644-3.14 If-Match: a change of another version is refused", func(r *rfc) {
			u := r.user("")
			op := patch(`{"op":"add","path":"title","value":"x"}`)
			for method, body := range map[string]string{"PATCH": op, "PUT": r.person(""), "DELETE": ""} {
				r.do(412, method, u, body, `If-Match: W/"999"`)
			}
			r.do(200, "PATCH", u, op, "If-Match: "+r.do(200, "GET", u, "").header.Get("ETag"))
		}},
		{"7644-4 what the service is can be read, and not changed", func(r *rfc) {
			for _, p := range []string{"/ServiceProviderConfig", "/Schemas", "/ResourceTypes", "/Schemas/" + coreGroup, "/ResourceTypes/Group"} {
				r.do(200, "GET", p, "")
				r.do(405, "POST", p, "{}")
			}
		}},
		{"7644-4 schemas and resource types are lists", func(r *rfc) {
			for p, n := range map[string]int{"/Schemas": 3, "/ResourceTypes": 2} {
				doc := r.get(p)
				r.eq(p, []any{doc["schemas"], doc["totalResults"], len(list(doc["Resources"]))}, []any{[]string{messages + "ListResponse"}, n, n})
			}
		}},
		{"7644-4 pages, orders and attributes of them are passed over", func(r *rfc) {
			for _, p := range []string{"/Schemas", "/ResourceTypes", "/ServiceProviderConfig"} {
				r.eq(p, r.get(p+"?startIndex=2&count=0&sortBy=id&attributes=id"), r.get(p))
			}
		}},
		{"7644-4 they cannot be filtered", func(r *rfc) {
			for _, p := range []string{"/Schemas", "/ResourceTypes", "/ServiceProviderConfig"} {
				r.do(403, "GET", p+"?filter=id+pr", "")
			}
		}},
		{"7644-4 what is told of the service is what it does", func(r *rfc) {
			doc := r.get("/ServiceProviderConfig")
			for k, want := range map[string]bool{"patch": true, "bulk": true, "filter": true, "sort": true, "etag": true, "changePassword": false} {
				r.eq(k, at(doc, k, "supported"), want)
			}
			most := at(doc, "filter", "maxResults").(float64)
			r.eq("maxResults", len(list(r.get("/Users?count=100000")["Resources"])) <= int(most), true)
		}},
		{"7644-7.5.2 a filter can be sent where no log sees it", func(r *rfc) {
			u := r.user("")
			r.eq("found", r.found(`id eq "`+idOf(u)+`"`, u), []string{"0"})
		}},
	}
}
