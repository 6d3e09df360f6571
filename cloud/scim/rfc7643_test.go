package scim_test

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// rules7643 are the rules of RFC 7643, the core schema. other is another
// organisation of the same service.
func rules7643(other *tenant) []rule {
	return slices.Concat(rulesOfAttributes(), rulesOfResources(other), rulesOfUsersAndGroups(), rulesOfDiscovery())
}

func rulesOfAttributes() []rule {
	return []rule{
		{"7643-2.1 attribute names ignore case", func(r *rfc) {
			u := r.user(`"TITLE":"Boss","Name":{"GIVENNAME":"Ann"}`)
			r.eq("title", r.get(u)["title"], "Boss")
			r.eq("givenName", at(r.get(u), "name", "givenName"), "Ann")
		}},
		{"7643-2.1 schema URIs ignore case", func(r *rfc) {
			u := r.user(`"` + strings.ToUpper(enterprise) + `":{"department":"Ops"}`)
			r.eq("department", at(r.get(u), enterprise, "department"), "Ops")
		}},
		{"7643-2.1 names of attributes are letters, digits, $, - and _", func(r *rfc) {
			name := regexp.MustCompile(`^[A-Za-z$][A-Za-z0-9$_-]*$`)
			eachAttribute(r, func(path string, a map[string]any) {
				if !name.MatchString(a["name"].(string)) {
					r.Errorf("%s", path)
				}
			})
		}},
		{"7643-2.3.1 a string attribute takes a JSON string", func(r *rfc) {
			r.refused(400, "invalidValue", "POST", "/Users", r.person(`"title":7`))
		}},
		{"7643-2.3.2 a boolean is true or false and not a word", func(r *rfc) {
			r.eq("active", r.get(r.user(`"active":false`))["active"], false)
			r.refused(400, "invalidValue", "POST", "/Users", r.person(`"active":"perhaps"`))
			r.refused(400, "invalidValue", "POST", "/Users", r.person(`"active":1`))
		}},
		{"7643-2.3.5 a dateTime has a date and a time", func(r *rfc) {
			for _, k := range []string{"created", "lastModified"} {
				if _, err := time.Parse(time.RFC3339Nano, at(r.get(r.user("")), "meta", k).(string)); err != nil {
					r.Error(err)
				}
			}
		}},
		{"7643-2.3.6 binary values are base64", func(r *rfc) {
			r.refused(400, "invalidValue", "POST", "/Users", r.person(`"x509Certificates":[{"value":"no base64!"}]`))
			u := r.user(`"x509Certificates":[{"value":"MIIDQzCC"}]`)
			r.eq("value", at(r.get(u), "x509Certificates", 0, "value"), "MIIDQzCC")
		}},
		{"7643-2.3.6 binary values differ by case", func(r *rfc) {
			u := r.user(`"x509Certificates":[{"value":"QUJD"}]`)
			r.eq("found", r.found(`x509Certificates.value eq "qujd"`, u), []string{})
		}},
		{"7643-2.3.7 a reference leads to the resource", func(r *rfc) {
			u := r.user("")
			g := r.group(u)
			ref := at(r.get(g), "members", 0, "$ref").(string)
			r.eq("id", r.get(strings.TrimPrefix(ref, r.c.base))["id"], idOf(u))
			back := at(r.get(u), "groups", 0, "$ref").(string)
			r.eq("id", r.get(strings.TrimPrefix(back, r.c.base))["id"], idOf(g))
		}},
		{"7643-2.3.8 a complex attribute takes a JSON object", func(r *rfc) {
			r.refused(400, "invalidValue", "POST", "/Users", r.person(`"name":"Ann"`))
		}},
		{"7643-2.3.8 no complex attribute is inside another", func(r *rfc) {
			eachAttribute(r, func(path string, a map[string]any) {
				if strings.Count(path, ".") > 0 && (a["type"] == "complex" || a["subAttributes"] != nil) {
					r.Errorf("%s is complex", path)
				}
			})
		}},
		{"7643-2.4 a multi-valued attribute takes an array", func(r *rfc) {
			r.refused(400, "invalidValue", "POST", "/Users", r.person(`"emails":{"value":"a@x"}`))
		}},
		{"7643-2.4 at most one value is primary", func(r *rfc) {
			u := r.user(`"emails":[{"value":"a@x","primary":true},{"value":"b@x","primary":true}]`)
			n := 0
			for _, e := range list(r.get(u)["emails"]) {
				if at(e, "primary") == true {
					n++
				}
			}
			r.eq("primary values", n, 1)
		}},
		{"7643-2.5 null, an empty array and nothing are the same", func(r *rfc) {
			u := r.user(`"title":null,"emails":[]`)
			doc := r.get(u)
			for _, k := range []string{"title", "emails"} {
				if v, ok := doc[k]; ok {
					r.Errorf("%s: got %v", k, v)
				}
			}
		}},
		{"7643-2.5 null takes a value away", func(r *rfc) {
			u := r.user(`"title":"Boss"`)
			body := `{"schemas":["` + coreUser + `"],"userName":"` + r.get(u)["userName"].(string) + `","title":null}`
			r.do(200, "PUT", u, body)
			r.eq("title", r.get(u)["title"], nil)
		}},
	}
}

func rulesOfResources(other *tenant) []rule {
	return []rule{
		{"7643-3 schemas is there and has a value", func(r *rfc) {
			for _, p := range []string{r.user(""), r.group(), "/ServiceProviderConfig", "/Schemas/" + coreUser, "/ResourceTypes/User", "/Users"} {
				if len(list(r.get(p)["schemas"])) == 0 {
					r.Errorf("%s has no schemas", p)
				}
			}
		}},
		{"7643-3 schemas in a request names the resource's schema", func(r *rfc) {
			r.refused(400, "invalidSyntax", "POST", "/Users", `{"userName":"`+r.name()+`"}`)
			r.refused(400, "invalidSyntax", "POST", "/Users", `{"schemas":[],"userName":"`+r.name()+`"}`)
			r.refused(400, "invalidSyntax", "POST", "/Groups", `{"schemas":["`+coreUser+`"],"displayName":"`+r.name()+`"}`)
		}},
		{"7643-3 schemas names each schema once", func(r *rfc) {
			u := r.do(201, "POST", "/Users", `{"schemas":["`+coreUser+`","`+enterprise+`","`+enterprise+`"],"userName":"`+r.name()+`","`+enterprise+`":{"department":"Ops"}}`)
			r.eq("schemas", u.doc["schemas"], []string{coreUser, enterprise})
		}},
		{"7643-3 the order of schemas says nothing", func(r *rfc) {
			r.do(201, "POST", "/Users", `{"schemas":["`+enterprise+`","`+coreUser+`"],"userName":"`+r.name()+`"}`)
		}},
		{"7643-3.1 id is the service's and never the client's", func(r *rfc) {
			if got := r.do(201, "POST", "/Users", r.person(`"id":"mine"`)).doc["id"]; got == "mine" || got == "" {
				r.Errorf("got id %v", got)
			}
		}},
		{"7643-3.1 id is unique among all resources", func(r *rfc) {
			ids := map[string]bool{}
			for range 5 {
				ids[idOf(r.user(""))], ids[idOf(r.group())] = true, true
			}
			r.eq("ids", len(ids), 10)
		}},
		{"7643-3.1 id does not change", func(r *rfc) {
			u := r.user("")
			doc := r.do(200, "PUT", u, r.person(`"id":"other"`)).doc
			r.eq("id", doc["id"], idOf(u))
			r.eq("id", r.get(u)["id"], idOf(u))
		}},
		{"7643-3.1 id is always returned", func(r *rfc) {
			u := r.user("")
			for _, q := range []string{"attributes=title", "excludedAttributes=id"} {
				r.eq(q, r.get(u + "?" + q)["id"], idOf(u))
			}
		}},
		{"7643-3.1 id differs by case", func(r *rfc) {
			u := r.user("")
			if up := strings.ToUpper(idOf(u)); up != idOf(u) {
				r.do(404, "GET", "/Users/"+up, "")
				r.eq("found", r.found(`id eq "`+up+`"`, u), []string{})
			}
		}},
		{"7643-3.1 no id has the word bulkId in it", func(r *rfc) {
			if strings.Contains(strings.ToLower(r.user("")), "bulkid") {
				r.Error("it has")
			}
		}},
		{"7643-3.1 externalId is the client's alone", func(r *rfc) {
			r.eq("externalId", r.get(r.user(""))["externalId"], nil)
			r.eq("externalId", r.get(r.user(`"externalId":"Ext 1"`))["externalId"], "Ext 1")
		}},
		{"7643-3.1 externalId differs by case", func(r *rfc) {
			u := r.user(`"externalId":"CaseOfIt"`)
			r.eq("found", r.found(`externalId eq "caseofit"`, u), []string{})
			r.eq("found", r.found(`externalId eq "CaseOfIt"`, u), []string{"0"})
		}},
		{"7643-3.1 externalId means something to one organisation alone", func(r *rfc) {
			r.user(`"externalId":"shared"`)
			o := &rfc{T: r.T, c: other}
			r.eq("found", o.found(`externalId eq "shared"`), []string{})
			o.user(`"externalId":"shared"`)
		}},
		{"7643-3.1 meta in a request is passed over", func(r *rfc) {
			doc := r.do(201, "POST", "/Users", r.person(`"meta":{"resourceType":"Door","created":"2001-01-01T00:00:00Z","version":"W/\"9\""}`)).doc
			r.eq("resourceType", at(doc, "meta", "resourceType"), "User")
			if strings.HasPrefix(at(doc, "meta", "created").(string), "2001") {
				r.Error("created is the client's")
			}
		}},
		{"7643-3.1 meta has the resource type", func(r *rfc) {
			r.eq("user", at(r.get(r.user("")), "meta", "resourceType"), "User")
			r.eq("group", at(r.get(r.group()), "meta", "resourceType"), "Group")
		}},
		{"7643-3.1 lastModified is created until there is a change", func(r *rfc) {
			u := r.user("")
			m := object(r.get(u)["meta"])
			r.eq("lastModified", m["lastModified"], m["created"])
		}},
		{"7643-3.1 location is the same as Content-Location", func(r *rfc) {
			for _, p := range []string{r.user(""), r.group()} {
				a := r.do(200, "GET", p, "")
				r.eq(p, at(a.doc, "meta", "location"), a.header.Get("Content-Location"))
				r.eq(p, at(a.doc, "meta", "location"), r.c.base+p)
			}
		}},
		{"7643-3.1 version is the same as ETag", func(r *rfc) {
			for _, p := range []string{r.user(""), r.group()} {
				a := r.do(200, "GET", p, "")
				r.eq(p, at(a.doc, "meta", "version"), a.header.Get("ETag"))
			}
		}},
		{"7643-3.3 attributes of an extension stand under its URI", func(r *rfc) {
			doc := r.get(r.user(`"` + enterprise + `":{"costCenter":"7"}`))
			r.eq("costCenter", at(doc, enterprise, "costCenter"), "7")
			r.eq("outside", doc["costCenter"], nil)
		}},
		{"7643-3.3 schemas names the extensions that are there", func(r *rfc) {
			r.eq("schemas", r.get(r.user(`"` + enterprise + `":{"costCenter":"7"}`))["schemas"], []string{coreUser, enterprise})
			r.eq("schemas", r.get(r.user(""))["schemas"], []string{coreUser})
		}},
	}
}

func rulesOfUsersAndGroups() []rule {
	return []rule{
		{"7643-4.1.1 userName is there and not empty", func(r *rfc) {
			r.refused(400, "invalidValue", "POST", "/Users", `{"schemas":["`+coreUser+`"]}`)
			r.refused(400, "invalidValue", "POST", "/Users", `{"schemas":["`+coreUser+`"],"userName":" "}`)
		}},
		{"7643-4.1.1 userName is unique whatever its case", func(r *rfc) {
			name := r.get(r.user(""))["userName"].(string)
			r.refused(409, "uniqueness", "POST", "/Users", `{"schemas":["`+coreUser+`"],"userName":"`+strings.ToUpper(name)+`"}`)
		}},
		{"7643-4.1.1 a password never comes back", func(r *rfc) {
			a := r.do(201, "POST", "/Users", r.person(`"password":"Tr0ub4dor"`))
			u := "/Users/" + a.doc["id"].(string)
			for _, raw := range []string{a.raw, r.do(200, "GET", u+"?attributes=password", "").raw, r.do(200, "PATCH", u, patch(`{"op":"replace","path":"password","value":"Tr0ub4dor"}`)).raw} {
				if strings.Contains(raw, "Tr0ub4dor") || strings.Contains(raw, `"password"`) {
					r.Errorf("got %s", raw)
				}
			}
		}},
		{"7643-4.1.1 a password cannot be filtered by", func(r *rfc) {
			r.refused(400, "invalidFilter", "GET", "/Users?filter=password+eq+%22Tr0ub4dor%22", "")
		}},
		{"7643-4.1.2 a person's groups change through Group alone", func(r *rfc) {
			g := r.group()
			u := r.user(`"groups":[{"value":"` + idOf(g) + `"}]`)
			r.eq("groups", r.get(u)["groups"], nil)
			r.refused(400, "mutability", "PATCH", u, patch(`{"op":"add","path":"groups","value":[{"value":"`+idOf(g)+`"}]}`))
			r.do(204, "PATCH", g, patch(`{"op":"add","path":"members","value":[{"value":"`+idOf(u)+`"}]}`))
			r.eq("groups", at(r.get(u), "groups", 0, "value"), idOf(g))
		}},
		{"7643-4.2 a group has a displayName", func(r *rfc) {
			r.refused(400, "invalidValue", "POST", "/Groups", `{"schemas":["`+coreGroup+`"]}`)
		}},
		{"7643-4.2 a member's value is the id of the resource that $ref leads to", func(r *rfc) {
			u := r.user("")
			m := at(r.get(r.group(u)), "members", 0)
			r.eq("value", at(m, "value"), idOf(u))
			r.eq("$ref", at(m, "$ref"), r.c.base+u)
			r.eq("type", at(m, "type"), "User")
		}},
		{"7643-4.2 what a member is cannot be changed", func(r *rfc) {
			u := r.user("")
			r.refused(400, "mutability", "PATCH", r.group(u), patch(`{"op":"replace","path":"members[value eq \"`+idOf(u)+`\"].type","value":"Group"}`))
		}},
		{"7643-4.3 a manager is named by id", func(r *rfc) {
			boss := r.user("")
			u := r.user(`"` + enterprise + `":{"manager":{"value":"` + idOf(boss) + `"}}`)
			r.eq("manager", at(r.get(u), enterprise, "manager", "value"), idOf(boss))
		}},
	}
}

// eachAttribute walks the attributes of all schemas; path has dots.
func eachAttribute(r *rfc, see func(path string, a map[string]any)) {
	r.Helper()
	n := 0
	var walk func(prefix string, attrs []any)
	walk = func(prefix string, attrs []any) {
		for _, v := range attrs {
			a := object(v)
			n++
			path := prefix + a["name"].(string)
			see(path, a)
			walk(path+".", list(a["subAttributes"]))
		}
	}
	for _, s := range list(r.get("/Schemas")["Resources"]) {
		walk("", list(object(s)["attributes"]))
	}
	if n < 50 {
		r.Fatalf("%d attributes: this rule would check too little", n)
	}
}

func rulesOfDiscovery() []rule {
	oneOf := func(key string, required bool, words ...string) func(*rfc) {
		return func(r *rfc) {
			eachAttribute(r, func(path string, a map[string]any) {
				v, ok := a[key].(string)
				if !slices.Contains(words, v) && (ok || required) {
					r.Errorf("%s: %s is %v", path, key, a[key])
				}
			})
		}
	}
	return []rule{
		{"7643-5 the configuration says what is supported", func(r *rfc) {
			doc := r.get("/ServiceProviderConfig")
			for _, k := range []string{"patch", "bulk", "filter", "changePassword", "sort", "etag"} {
				if _, ok := at(doc, k, "supported").(bool); !ok {
					r.Errorf("%s.supported is %v", k, at(doc, k, "supported"))
				}
			}
			for _, p := range [][]any{{"bulk", "maxOperations"}, {"bulk", "maxPayloadSize"}, {"filter", "maxResults"}} {
				if n, ok := at(doc, p...).(float64); !ok || n < 1 {
					r.Errorf("%v is %v", p, at(doc, p...))
				}
			}
		}},
		{"7643-5 the configuration says how to authenticate", func(r *rfc) {
			schemes := list(r.get("/ServiceProviderConfig")["authenticationSchemes"])
			if len(schemes) == 0 {
				r.Fatal("it does not")
			}
			for _, k := range []string{"type", "name", "description"} {
				if at(schemes[0], k) == nil {
					r.Errorf("no %s", k)
				}
			}
		}},
		{"7643-5 the configuration's schema is its own", func(r *rfc) {
			r.eq("schemas", r.get("/ServiceProviderConfig")["schemas"], []string{"urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"})
		}},
		{"7643-6 a resource type has name, endpoint and schema", func(r *rfc) {
			all := list(r.get("/ResourceTypes")["Resources"])
			r.eq("types", len(all), 2)
			for _, v := range all {
				rt := object(v)
				r.do(200, "GET", rt["endpoint"].(string), "")
				r.do(200, "GET", "/Schemas/"+rt["schema"].(string), "")
				r.eq("id", rt["id"], rt["name"])
			}
		}},
		{"7643-6 a resource type says which extensions it needs", func(r *rfc) {
			exts := list(r.get("/ResourceTypes/User")["schemaExtensions"])
			r.eq("extensions", len(exts), 1)
			r.eq("schema", at(exts, 0, "schema"), enterprise)
			r.eq("required", at(exts, 0, "required"), false)
		}},
		{"7643-7 a schema's id is its URI", func(r *rfc) {
			for _, s := range list(r.get("/Schemas")["Resources"]) {
				id := at(s, "id").(string)
				if u, err := url.Parse(id); err != nil || u.Scheme != "urn" {
					r.Errorf("%s: %v", id, err)
				}
				r.eq("id", r.get("/Schemas/" + id)["id"], id)
			}
		}},
		{"7643-7 every attribute has a type", oneOf("type", true, "string", "boolean", "decimal", "integer", "dateTime", "reference", "binary", "complex")},
		{"7643-7 mutability is one of four words", oneOf("mutability", true, "readOnly", "readWrite", "immutable", "writeOnly")},
		{"7643-7 returned is one of four words", oneOf("returned", true, "always", "never", "default", "request")},
		{"7643-7 uniqueness is one of three words", oneOf("uniqueness", false, "none", "server", "global")},
		{"7643-7 multiValued, required and caseExact are booleans", func(r *rfc) {
			eachAttribute(r, func(path string, a map[string]any) {
				for _, k := range []string{"multiValued", "required", "caseExact"} {
					if _, ok := a[k].(bool); !ok {
						r.Errorf("%s: %s is %v", path, k, a[k])
					}
				}
			})
		}},
		{"7643-7 complex attributes, and they alone, have sub-attributes", func(r *rfc) {
			eachAttribute(r, func(path string, a map[string]any) {
				if (a["type"] == "complex") != (len(list(a["subAttributes"])) > 0) {
					r.Errorf("%s: %v with %d sub-attributes", path, a["type"], len(list(a["subAttributes"])))
				}
			})
		}},
		{"7643-7 references say to what", func(r *rfc) {
			eachAttribute(r, func(path string, a map[string]any) {
				if a["type"] == "reference" && len(list(a["referenceTypes"])) == 0 {
					r.Errorf("%s does not", path)
				}
			})
		}},
		{"7643-7 binary values and references differ by case", func(r *rfc) {
			eachAttribute(r, func(path string, a map[string]any) {
				if (a["type"] == "reference" || a["type"] == "binary") && a["caseExact"] != true {
					r.Errorf("%s does not", path)
				}
			})
		}},
		{"7643-9.3 what comes back is not to be kept by caches", func(r *rfc) {
			r.eq("Cache-Control", r.do(200, "GET", r.user(""), "").header.Get("Cache-Control"), "no-store")
		}},
	}
}
