package scim_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"latchkey/cloud"
)

// TestSwitchedOffMidway: a request whose body was still on its way when SCIM
// was switched off, or its token deleted, is refused like a new one.
func TestSwitchedOffMidway(t *testing.T) {
	c := newCloud(t, cloud.Org{ID: "acme", Name: "Acme"})[0]
	ctx := t.Context()
	begin := func() (finish func() int) {
		r, w := io.Pipe()
		req, err := http.NewRequestWithContext(ctx, "POST", c.base+"/Users", r)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+c.token)
		status := make(chan int, 1)
		go func() {
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Error(err)
				status <- 0
				return
			}
			res.Body.Close()
			status <- res.StatusCode
		}()
		io.WriteString(w, `{"userName":`)
		return func() int {
			io.WriteString(w, `"late@x"}`)
			w.Close()
			return <-status
		}
	}
	finish := begin()
	if _, err := c.svc.PatchOrg(ctx, "test", c.org, cloud.OrgPatch{SCIMEnabled: new(false)}); err != nil {
		t.Fatal(err)
	}
	if got := finish(); got != 403 {
		t.Errorf("switched off: got %d, want 403", got)
	}
	if _, err := c.svc.PatchOrg(ctx, "test", c.org, cloud.OrgPatch{SCIMEnabled: new(true)}); err != nil {
		t.Fatal(err)
	}
	finish = begin()
	if err := c.svc.DeleteToken(ctx, "test", c.org, c.tokenID); err != nil {
		t.Fatal(err)
	}
	if got := finish(); got != 401 {
		t.Errorf("token deleted: got %d, want 401", got)
	}
}

// TestAttributeNamedTwice: names ignore case, so an object that says one thing
// twice says nothing that could be relied on.
func TestAttributeNamedTwice(t *testing.T) {
	c := newCloud(t, cloud.Org{ID: "acme", Name: "Acme"})[0]
	id := c.create("/Users", `{"userName":"a@x","active":true,"cardNumber":"7"}`)
	const ext = `urn:ietf:params:scim:schemas:extension:enterprise:2.0:User`
	for _, value := range []string{
		`{"active":false,"Active":true}`,
		`{"ACTIVE":false,"active":true}`,
		`{"active":true,"active":false}`,
		`{"cardNumber":"1","` + cardPath + `":"2"}`,
		`{"` + ext + `":{"cardNumber":"1"},"` + cardPath + `":"2"}`,
		`{"` + ext + `":{"cardNumber":"1","CARDNUMBER":"2"}}`,
		`{"` + ext + `":{"cardNumber":"1"},"` + strings.ToUpper(ext) + `":{"cardNumber":"2"}}`,
	} {
		if got := c.do(400, "PATCH", "/Users/"+id, patch(`{"op":"replace","value":`+value+`}`)); got["scimType"] != "invalidSyntax" {
			t.Errorf("%s: got %v", value, got)
		}
		body := `{"userName":"a@x",` + value[1:]
		c.do(400, "POST", "/Users", strings.Replace(body, "a@x", "b@x", 1))
		c.do(400, "PUT", "/Users/"+id, body)
	}
	c.do(400, "PATCH", "/Users/"+id, patch(`{"op":"add","path":"`+ext+`","value":{"cardNumber":"1","CardNumber":"2"}}`))
	c.do(200, "PATCH", "/Users/"+id, patch(`{"op":"add","value":{"cardNumber":"7","`+cardPath+`":"7"}}`)) // twice the same
	if got := c.do(200, "GET", "/Users/"+id, ""); got["active"] != true {
		t.Errorf("got %v", got)
	}
}

// TestOnePrimary: at most one value is the primary one, whichever operation
// brings several.
func TestOnePrimary(t *testing.T) {
	c := newCloud(t, cloud.Org{ID: "acme", Name: "Acme"})[0]
	two := `[{"value":"a@x","type":"work","primary":true},{"value":"b@x","type":"home","primary":"True"},{"value":"c@x","type":"other"}]`
	id := c.create("/Users", `{"userName":"a@x","emails":`+two+`}`)
	check := func(what string) {
		t.Helper()
		n := 0
		list, _ := c.do(200, "GET", "/Users/"+id, "")["emails"].([]any)
		for _, v := range list {
			if v.(map[string]any)["primary"] == true {
				n++
			}
		}
		if n != 1 || len(list) != 3 {
			t.Errorf("%s: %d primary ones of %d", what, n, len(list))
		}
	}
	check("POST")
	c.do(200, "PUT", "/Users/"+id, `{"userName":"a@x","emails":`+two+`}`)
	check("PUT")
	c.do(200, "PATCH", "/Users/"+id, patch(`{"op":"replace","path":"emails","value":`+two+`}`))
	check("PATCH replace")
	c.do(200, "PATCH", "/Users/"+id, patch(`{"op":"add","path":"emails","value":`+two+`}`))
	check("PATCH add")
	c.do(200, "PATCH", "/Users/"+id, patch(`{"op":"replace","path":"emails[value ew \"@x\"].primary","value":true}`))
	check("PATCH of several")
	c.do(200, "PATCH", "/Users/"+id, patch(`{"op":"replace","path":"emails.primary","value":true}`))
	check("PATCH of all")
}

// TestThirdOperationFails: nothing of a PATCH stays when one of its operations
// cannot be done, of users and of a group's members.
func TestThirdOperationFails(t *testing.T) {
	c := newCloud(t, cloud.Org{ID: "acme", Name: "Acme"})[0]
	user := c.create("/Users", `{"userName":"a@x","title":"T","cardNumber":"5"}`)
	c.create("/Users", `{"userName":"b@x","cardNumber":"6"}`)
	group := c.create("/Groups", `{"displayName":"G","members":[{"value":"`+user+`"}]}`)
	before, beforeGroup := fmt.Sprint(c.do(200, "GET", "/Users/"+user, "")), fmt.Sprint(c.do(200, "GET", "/Groups/"+group, ""))
	for status, third := range map[int]string{
		400: `{"op":"replace","path":"` + cardPath + `","value":"6"}`,
		409: `{"op":"replace","path":"userName","value":"B@X"}`,
	} {
		c.do(status, "PATCH", "/Users/"+user, patch(`{"op":"replace","path":"title","value":"Boss"},{"op":"add","path":"nickName","value":"N"},`+third))
	}
	c.do(400, "PATCH", "/Groups/"+group, patch(`{"op":"remove","path":"members"},{"op":"replace","path":"displayName","value":"H"},{"op":"replace","path":"members[display eq \"x\"]","value":{"value":"y"}}`))
	if got := fmt.Sprint(c.do(200, "GET", "/Users/"+user, "")); got != before {
		t.Errorf("got %s, want %s", got, before)
	}
	if got := fmt.Sprint(c.do(200, "GET", "/Groups/"+group, "")); got != beforeGroup {
		t.Errorf("got %s, want %s", got, beforeGroup)
	}
}

// TestOddUsers: what a directory may send of one person at most, and a little
// beyond, is stored and comes back, or is refused in words.
func TestOddUsers(t *testing.T) {
	t.Parallel()
	c := newCloud(t, cloud.Org{ID: "acme", Name: "Acme"})[0]
	var many strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&many, `,"attr%d":"value %d"`, i, i)
	}
	id := c.create("/Users", `{"userName":"many@x","active":"false "`+many.String()+`}`)
	got := c.do(200, "GET", "/Users/"+id, "")
	if got["attr999"] != "value 999" || got["active"] != false {
		t.Errorf("got %d attributes, active %v", len(got), got["active"])
	}
	big := strings.Repeat("x", 1<<20-200)
	id = c.create("/Users", `{"userName":"big@x","displayName":"`+big+`"}`)
	c.do(400, "PATCH", "/Users/"+id, patch(`{"op":"replace","path":"title","value":"`+big+`"}`))
	c.do(413, "PATCH", "/Users/"+id, patch(`{"op":"replace","path":"title","value":"`+big+big+`"}`))
	c.do(200, "PATCH", "/Users/"+id, patch(`{"op":"replace","value":{"active":"False","nickName":"`+big[:1<<19]+`"}}`))
	for _, name := range []string{`<script>alert(1)</script>`, "👩‍🚀𝔄", `\u0000\u001b[31m`, `\ud800`, `\u202ename`} {
		id := c.create("/Users", `{"userName":"`+name+`@x","displayName":"`+name+`"}`)
		c.do(200, "GET", "/Users/"+id, "")
	}
	for _, id := range []string{"..", "%2e%2e", "a%2Fb", "%00", "%27%20OR%201=1--", strings.Repeat("x", 5000), "%F0%9F%94%91", "%ff"} {
		c.do(404, "GET", "/Users/"+id, "")
		c.do(404, "DELETE", "/Groups/"+id, "")
	}
	for _, body := range []string{
		"{\"userName\":\"\xff\xfe\"}", strings.Repeat(`{"a":`, 40) + `1` + strings.Repeat(`}`, 40), `{"userName":"u@x","active":"perhaps"}`,
		`{"userName":"u@x","active":0}`, `{"userName":{"value":1}}`, `{"userName":"u@x"`, `[]`, `null`, ``, `{"userName":"u@x"}{}`,
	} {
		c.do(400, "POST", "/Users", body)
	}
	for number, status := range map[string]int{
		`"+123"`: 400, `" 123 "`: 201, `"0x10"`: 400, `"１２３"`: 400, `"` + strings.Repeat("9", 40) + `"`: 400, `"` + strings.Repeat("0", 37) + `124"`: 201,
		`"H10301:300-5"`: 400, `"bits:37:FFFFFFFFFFF"`: 400, `"bits:37"`: 400, `"bits:0:0"`: 400, `125`: 201, `1.5`: 400, `-1`: 400, `1e3`: 400, `"1\u00002"`: 400, `"1 2"`: 400,
	} {
		c.do(status, "POST", "/Users", fmt.Sprintf(`{"userName":%q,"cardNumber":%s}`, "card "+number, number))
	}
}
