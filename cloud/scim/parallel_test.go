package scim_test

import (
	"fmt"
	"net/url"
	"slices"
	"sync"
	"testing"

	"latchkey/cloud"
)

// TestParallelWriters: five writers make 2,000 changes each to the members of
// one group, over HTTP, in every shape that directories send, and none is lost
// (REQUIREMENTS D11).
func TestParallelWriters(t *testing.T) {
	onEachStore(t, func(t *testing.T, db cloud.Store) {
		const writers = 5
		changes := 2000
		if raceOn {
			changes = 100 // scripts/test runs the whole of it without the race detector
		}
		c := cloudOver(t, db, cloud.Org{ID: "acme", Name: "Acme"})[0]
		group := "/Groups/" + c.create("/Groups", `{"displayName":"G"}`)
		shapes := []string{
			`{"op":"Add","path":"members","value":[{"$ref":null,"value":"%s"}]}`,
			`{"op":"add","value":{"members":[{"value":"%s"}]}}`,
			`{"op":"add","path":"members","value":[{"value":"%s","display":"x"}]}`,
		}
		gone := []string{`{"op":"Remove","path":"members","value":[{"$ref":null,"value":"%s"}]}`, `{"op":"remove","path":"members[value eq \"%s\"]"}`}
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for i := range changes {
					op := fmt.Sprintf(shapes[i%len(shapes)], member(w, i))
					if i%4 == 3 { // take out whom the last change put in
						op = fmt.Sprintf(gone[i/4%len(gone)], member(w, i-1))
					}
					c.do(204, "PATCH", group, patch(op))
				}
			})
		}
		wg.Wait()
		var want []string
		for w := range writers {
			for i := range changes {
				if i%4 < 2 {
					want = append(want, member(w, i))
				}
			}
		}
		doc := c.do(200, "GET", group, "")
		var got []string
		for _, m := range list(doc["members"]) {
			got = append(got, at(m, "value").(string))
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%d members, want %d", len(got), len(want))
		}
		if version := at(doc, "meta", "version"); version != fmt.Sprintf(`W/"%d"`, writers*changes+1) {
			t.Errorf("version %v after %d changes", version, writers*changes)
		}
		for _, id := range []string{want[0], member(4, 2)} { // one who is in, one who went
			found := c.do(200, "GET", "/Groups?excludedAttributes=members&filter="+url.QueryEscape(`members eq "`+id+`"`), "")
			if in := found["totalResults"] == 1.0; in != slices.Contains(want, id) {
				t.Errorf("%s: found %v", id, found["totalResults"])
			}
		}
		t.Logf("%d writers, %d changes each, none lost: %d members", writers, changes, len(got))
	})
}

func member(w, i int) string { return fmt.Sprintf("w%d-%06d", w, i) }
