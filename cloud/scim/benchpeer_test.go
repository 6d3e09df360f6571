package scim_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	peer "github.com/elimity-com/scim"
	"github.com/elimity-com/scim/optional"
	"github.com/elimity-com/scim/schema"

	"latchkey/cloud"
	"latchkey/cloud/scim"
)

// peerUsers is the least that elimity-com/scim asks of who uses it: users in
// memory.
type peerUsers struct {
	mu    sync.Mutex
	users map[string]peer.ResourceAttributes
}

func (p *peerUsers) resource(id string) peer.Resource {
	now := time.Unix(1e9, 0)
	return peer.Resource{ID: id, ExternalID: optional.NewString("e" + id), Attributes: p.users[id], Meta: peer.Meta{Created: &now, LastModified: &now, Version: "v1"}}
}

func (p *peerUsers) Create(_ *http.Request, attrs peer.ResourceAttributes) (peer.Resource, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	id := fmt.Sprint(len(p.users))
	p.users[id] = attrs
	return p.resource(id), nil
}

func (p *peerUsers) Get(_ *http.Request, id string) (peer.Resource, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.resource(id), nil
}

func (p *peerUsers) GetAll(*http.Request, peer.ListRequestParams) (peer.Page, error) {
	return peer.Page{}, nil
}

func (p *peerUsers) Replace(_ *http.Request, id string, attrs peer.ResourceAttributes) (peer.Resource, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.users[id] = attrs
	return p.resource(id), nil
}

func (p *peerUsers) Delete(*http.Request, string) error { return nil }

// Patch makes the changes of twoOps and no others.
func (p *peerUsers) Patch(_ *http.Request, id string, ops []peer.PatchOperation) (peer.Resource, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	attrs := maps.Clone(p.users[id])
	for _, op := range ops {
		name := op.Path.AttributePath.AttributeName
		if op.Path.ValueExpression == nil {
			attrs[name] = op.Value
			continue
		}
		values := slices.Clone(attrs[name].([]any))
		for i, v := range values {
			if el := maps.Clone(v.(map[string]any)); el["type"] == "work" {
				el[*op.Path.SubAttribute] = op.Value
				values[i] = el
			}
		}
		attrs[name] = values
	}
	p.users[id] = attrs
	return p.resource(id), nil
}

func newPeer(b *testing.B) *httptest.Server {
	users := &peerUsers{users: map[string]peer.ResourceAttributes{}}
	server, err := peer.NewServer(&peer.ServerArgs{ServiceProviderConfig: &peer.ServiceProviderConfig{SupportPatch: true, SupportFiltering: true}, ResourceTypes: []peer.ResourceType{{
		ID: optional.NewString("User"), Name: "User", Endpoint: "/Users", Schema: schema.CoreUserSchema(),
		SchemaExtensions: []peer.SchemaExtension{{Schema: schema.ExtensionEnterpriseUser()}}, Handler: users,
	}}})
	if err != nil {
		b.Fatal(err)
	}
	s := httptest.NewServer(http.StripPrefix("/scim", server))
	b.Cleanup(s.Close)
	return s
}

// BenchmarkSCIMPatch is a PATCH of two operations in memory, where no disk
// hides what it costs, beside what elimity-com/scim takes for the same.
func BenchmarkSCIMPatch(b *testing.B) {
	ours := httptest.NewServer(scim.NewFakeHandler(cloud.ProfileStrict, scim.Options{}))
	b.Cleanup(ours.Close)
	for _, of := range []struct {
		name, token string
		server      *httptest.Server
	}{{"peer", "x", newPeer(b)}, {"ours", scim.FakeToken, ours}} {
		w, err := dialWire(of.server, of.token)
		if err != nil {
			b.Fatal(err)
		}
		defer w.conn.Close()
		const body = `{"schemas":["` + coreUser + `"],"userName":"a@example.com","title":"T","emails":[{"type":"work","value":"a@example.com","primary":true}]}`
		if err := w.do(201, "POST", "/scim/v2/Users", body); err != nil {
			b.Fatal(err)
		}
		id := map[string]string{"peer": "0", "ours": "id-00001"}[of.name]
		b.Run("two operations/"+of.name, func(b *testing.B) {
			overHTTP(b, of.server, of.token, 200, func(i int) (string, string, string) { return "PATCH", "/scim/v2/Users/" + id, patch(twoOps(i)) })
		})
	}
}

// BenchmarkSCIMManyOrgs is 20 organisations that each ask 25 times a second,
// reads and writes, for some seconds. A request that had to wait for the one
// before it has waited since its own time.
func BenchmarkSCIMManyOrgs(b *testing.B) {
	const orgs, perSecond, requests = 20, 25, 125
	var names []string
	for i := range orgs {
		names = append(names, fmt.Sprintf("org%02d", i))
	}
	crowds := newCrowd(b, 500, names...)
	for b.Loop() {
		var mu sync.Mutex
		var took []time.Duration
		var wg sync.WaitGroup
		for o, c := range crowds {
			w, err := dialWire(c.server, c.token)
			if err != nil {
				b.Fatal(err)
			}
			wg.Go(func() {
				defer w.conn.Close()
				begin := time.Now().Add(time.Duration(o) * time.Second / perSecond / orgs)
				for i := range requests {
					due := begin.Add(time.Duration(i) * time.Second / perSecond)
					<-time.After(time.Until(due))
					if err := mixed(w, c, i); err != nil {
						b.Error(err)
						return
					}
					mu.Lock()
					took = append(took, time.Since(due))
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		slices.Sort(took)
		if len(took) == orgs*requests {
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
		}
	}
}

// mixed is the i-th request of a directory: of twenty, eight are by id, six by
// a filter, and six write.
func mixed(w *wire, c *crowd, i int) error {
	id := c.ids[i*37%len(c.ids)]
	switch i % 20 {
	case 0, 1, 2, 3, 4, 5, 6, 7:
		return w.do(200, "GET", "/scim/v2/Users/"+id, "")
	case 8, 9, 10, 11, 12, 13:
		return w.do(200, "GET", byName(i, len(c.ids)), "")
	case 14:
		return w.do(201, "POST", "/scim/v2/Groups", fmt.Sprintf(`{"displayName":"G%d-%d","members":[{"value":"%s"}]}`, i, time.Now().UnixNano(), id))
	}
	return w.do(200, "PATCH", "/scim/v2/Users/"+id, patch(strings.ReplaceAll(twoOps(i), "user", "new")))
}
