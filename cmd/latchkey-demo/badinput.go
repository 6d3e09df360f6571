package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"latchkey/access"
	"latchkey/agent"
	"latchkey/delta"
	"latchkey/uplink/broker"
)

// badInput gives every outer part something that it must refuse, shows the
// refusal, and holds everything to: nothing has changed.
func (k *check) badInput() error {
	before, err := k.heads()
	if err != nil {
		return err
	}
	err = inOrder(k.badRequests, k.forgedDelta, k.badSiteFile)
	if err != nil {
		return err
	}
	after, err := k.heads()
	if err != nil {
		return err
	}
	for site, head := range before {
		if after[site] != head {
			return fmt.Errorf("%s: bad input moved it from %d/%d to %d/%d", site, head.Epoch, head.Seq, after[site].Epoch, after[site].Seq)
		}
	}
	return k.agreed("after bad input")
}

// heads reads how far each site is.
func (k *check) heads() (map[string]delta.Head, error) {
	heads := map[string]delta.Head{}
	for _, s := range k.info.Sites {
		st, err := k.status(s.ID)
		if err != nil {
			return nil, err
		}
		heads[s.ID] = st.Head
	}
	return heads, nil
}

func (k *check) status(site string) (st agent.Status, err error) {
	for _, s := range k.info.Sites {
		if s.ID == site {
			return st, get(k.ctx, s.StatusURL+"/api/status", &st)
		}
	}
	return st, fmt.Errorf("no site %q", site)
}

func (k *check) badRequests() error {
	token := "Bearer " + k.info.SCIMToken
	user := "/Users/" + k.active[0].id()
	for _, bad := range []struct {
		what, method, path, token string
		body                      io.Reader
		code                      int
	}{
		{"wrong token", http.MethodGet, "/Users", "Bearer latchkey_scim_wrong", http.NoBody, http.StatusUnauthorized},
		{"another organisation's token", http.MethodGet, user, "Bearer " + k.info.SCIMTokenB, http.NoBody, http.StatusNotFound},
		{"a body of 10 MiB", http.MethodPost, "/Users", token, io.LimitReader(zeros{}, 10<<20), http.StatusRequestEntityTooLarge},
		{"malformed JSON", http.MethodPost, "/Users", token, strings.NewReader(`{"userName": "x@example.com",,}`), http.StatusBadRequest},
		{"an unknown PATCH op", http.MethodPatch, user, token, strings.NewReader(`{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"Replace","path":"active","value":false},{"op":"frob","path":"title"}]}`), http.StatusBadRequest},
		{"an impossible card number", http.MethodPatch, user, token, strings.NewReader(`{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"Replace","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:cardNumber","value":"99999999999999"}]}`), http.StatusBadRequest},
	} {
		req, err := http.NewRequestWithContext(k.ctx, bad.method, k.info.SCIMURL+bad.path, bad.body)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", bad.token)
		req.Header.Set("Content-Type", "application/scim+json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return fmt.Errorf("%s: %w", bad.what, err)
		}
		text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		resp.Body.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", bad.what, err)
		}
		var answer struct {
			Detail, Status, ScimType string
		}
		if err := json.Unmarshal(text, &answer); err != nil || resp.StatusCode != bad.code || answer.Detail == "" {
			return fmt.Errorf("%s: %s %s, want %d with a detail", bad.what, resp.Status, text, bad.code)
		}
		k.say("refused: "+bad.what, "%d %s %q", resp.StatusCode, answer.ScimType, answer.Detail)
	}
	return nil
}

// zeros reads as a JSON string that never ends.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '0'
	}
	return len(p), nil
}

// forgedDelta is somebody who owns the broker and sends the site a delta of
// their own, right in every way but the signature.
func (k *check) forgedDelta() error {
	before, err := k.status(hq.id)
	if err != nil {
		return err
	}
	forger, err := delta.NewKey("cloud-1") // the id of the key that the sites pin
	if err != nil {
		return err
	}
	record, err := delta.Put(access.Person{ID: "mallory", State: access.StateActive, Kind: access.KindFull})
	if err != nil {
		return err
	}
	payload, err := delta.Encode(&delta.Delta{
		Header: delta.Header{Type: delta.TypeDelta, Site: hq.id, At: time.Now().UTC()},
		Epoch:  before.Head.Epoch, Seq: before.Head.Seq + 1, Prev: before.Head.Hash, Changes: []delta.Change{record},
	})
	if err != nil {
		return err
	}
	envelope, err := delta.Seal(forger, delta.DownTyp, payload)
	if err != nil {
		return err
	}
	if err := k.publish("latchkey/1/"+hq.id+"/down", envelope); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(k.ctx, inTime)
	defer cancel()
	return until(ctx, func() error {
		st, err := k.status(hq.id)
		if err == nil && st.Cloud.Refused == before.Cloud.Refused {
			err = errors.New("the site did not refuse the forged delta")
		}
		if err == nil {
			k.say("refused: a delta with a bad signature", "the site counts %d refused, its head stays %d", st.Cloud.Refused, st.Head.Seq)
		}
		return err
	})
}

// publish sends one message with the cloud's own rights at the broker.
func (k *check) publish(topic string, message []byte) error {
	secret, err := os.ReadFile(filepath.Join(k.dir, "broker.secret"))
	if err != nil {
		return err
	}
	c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(strings.Replace(k.info.BrokerURL, "mqtt:", "tcp:", 1)).SetClientID("forger").
		SetUsername("cloud").SetPassword(broker.Password(bytes.TrimSpace(secret), "cloud")).SetAutoReconnect(false))
	for _, step := range []func() mqtt.Token{c.Connect, func() mqtt.Token { return c.Publish(topic, 1, false, message) }} {
		t := step()
		if !t.WaitTimeout(inTime) {
			return errors.New("the broker does not answer the forger")
		}
		if t.Error() != nil {
			return t.Error()
		}
	}
	c.Disconnect(100)
	return nil
}

// badSiteFile mistypes a key in a site's own file.
func (k *check) badSiteFile() error {
	text, err := os.ReadFile(filepath.Join(k.dir, hq.id, "site.yaml"))
	if err != nil {
		return err
	}
	file := filepath.Join(k.dir, "bad-site.yaml")
	if err := os.WriteFile(file, bytes.Replace(text, []byte("readers:"), []byte("raeders:"), 1), 0o600); err != nil {
		return err
	}
	var out bytes.Buffer
	code := run(k.ctx, []string{"agent", "check", "--config", file}, &out, &out)
	line := 1 + bytes.Count(text[:bytes.Index(text, []byte("readers:"))], []byte("\n"))
	want := fmt.Sprintf("bad-site.yaml:%d:5: osdp[0].raeders: unknown key; did you mean \"readers\"?", line)
	if code == 0 || !strings.Contains(out.String(), want) {
		return fmt.Errorf("a site file with an unknown key: exit %d, %s; want %s", code, out.String(), want)
	}
	k.say("refused: a site file with an unknown key", "%q", want)
	return nil
}
