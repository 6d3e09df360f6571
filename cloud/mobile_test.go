package cloud_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"latchkey/access"
	"latchkey/cloud"
	"latchkey/delta"
)

// keysAt lists the mobile keys that a site holds: person, technology, number
// or the state of one that has none.
func (w *world) keysAt(site string) []string {
	w.Helper()
	var all []string
	for ref, rec := range w.fold(site) {
		var c access.Credential
		if ref.Kind != access.KindCredential {
			continue
		}
		w.ok(json.Unmarshal([]byte(rec), &c))
		if c.Technology == access.TechCard {
			continue
		}
		state := fmt.Sprint(c.Number)
		if c.Status != access.CredentialActive {
			state = c.Status
		}
		all = append(all, w.person(c.Person).UserName+" "+c.Technology+" "+state)
	}
	slices.Sort(all)
	return all
}

func (w *world) wantKeys(site string, want ...string) {
	w.Helper()
	if got := w.keysAt(site); !slices.Equal(got, want) {
		w.Errorf("%s holds the keys %q, want %q", site, got, want)
	}
}

func (w *world) pool(tech string, first, last uint64) {
	w.Helper()
	_, err := w.svc.PutPool(w.ctx, admin, "acme", cloud.Pool{Technology: tech, Format: "H10302", First: first, Last: last})
	w.ok(err)
}

func TestR2MobileKeysHaveNumbersOfTheirOwn(t *testing.T) {
	w := newWorld(t)
	_, err := w.svc.PutProperty(w.ctx, admin, "acme", cloud.Property{ID: "north", Name: "north", Wallet: true})
	w.ok(err)
	rule := w.rule("north", cloud.Rule{Mobile: cloud.Mobile{BLE: true, Wallet: true}})
	w.rule("south", cloud.Rule{})
	ada := w.user("ada", "70").ID
	bob := w.user("bob", "").ID
	w.wantKeys("north", "ada ble pending", "ada wallet pending", "bob ble pending", "bob wallet pending")
	w.wantKeys("south")
	pools, err := w.svc.Pools(w.ctx, "acme")
	w.ok(err)
	if p := pools[0]; p.Pending != 2 || p.Note != cloud.NoteNoPool || p.Pool != nil {
		t.Errorf("pools %+v", pools)
	}
	w.pool(access.TechBLE, 69, 71) // 70 is Ada's card
	w.wantKeys("north", "ada ble 69", "ada wallet pending", "bob ble 71", "bob wallet pending")
	w.pool(access.TechWallet, 71, 72) // 71 is Bob's Bluetooth key
	w.wantKeys("north", "ada ble 69", "ada wallet 72", "bob ble 71", "bob wallet pending")
	pools, err = w.svc.Pools(w.ctx, "acme")
	w.ok(err)
	if p := pools[1]; p.Keys != 1 || p.Pending != 1 || p.Note != cloud.NotePoolSpent || p.Pool.Last != 72 {
		t.Errorf("pools %+v", p)
	}
	for _, c := range w.person(ada).Cards {
		if strings.Contains(c.Masked, "69") || c.Technology == access.TechWallet && c.Origin != cloud.OriginRule {
			t.Errorf("Ada's card %+v", c)
		}
	}

	// A number of a key is nobody else's card, whoever asks for it.
	_, err = w.patch(bob, map[string]any{"cardNumber": "69"})
	if got := w.refused(err); got != "the card number is a mobile key's" {
		t.Errorf("refused with %q", got)
	}
	_, err = w.svc.AddCard(w.ctx, admin, "acme", bob, cloud.NewCard{Number: "72"})
	if quiet(err) && err == nil {
		t.Error("a key's number was given to a card")
	}

	// Its own number goes with the person, and who waits gets it.
	w.ok(w.svc.DeleteUser(w.ctx, w.caller, ada, ""))
	w.ok(w.svc.Settle(w.ctx))
	w.wantKeys("north", "bob ble 71", "bob wallet 72")

	// Wallet goes where it is not installed any more; the flag's end revokes.
	seq := w.seq("north")
	_, err = w.svc.PutProperty(w.ctx, admin, "acme", cloud.Property{ID: "north", Name: "north"})
	w.ok(err)
	w.wantKeys("north", "bob ble 71")
	rule.Mobile = cloud.Mobile{}
	_, err = w.svc.PutRule(w.ctx, admin, "acme", "north", rule)
	w.ok(err)
	w.wantKeys("north")
	if got := w.denied("north", seq); !slices.Equal(got, []string{"credential", "credential"}) {
		t.Errorf("denied %v, want both keys", got)
	}
	// A number that was given back is used again as late as can be.
	rule.Mobile.BLE = true
	_, err = w.svc.PutRule(w.ctx, admin, "acme", "north", rule)
	w.ok(err)
	w.user("cleo", "")
	w.wantKeys("north", "bob ble 69", "cleo ble 70")
}

// TestMobileKeyByHand: a key that is deleted comes back with another number,
// as for a lost phone; a suspended one stays suspended; a disabled person's
// stops and comes back.
func TestMobileKeyByHand(t *testing.T) {
	w := newWorld(t)
	w.pool(access.TechBLE, 1, 9)
	w.rule("north", cloud.Rule{Mobile: cloud.Mobile{BLE: true}})
	ada := w.user("ada", "").ID
	key := w.person(ada).Cards[0]
	w.ok(w.svc.DeleteCard(w.ctx, admin, "acme", key.ID))
	w.wantKeys("north", "ada ble 2")
	key = w.person(ada).Cards[0]
	_, err := w.svc.PatchCard(w.ctx, admin, "acme", key.ID, cloud.CardPatch{Status: new("suspended")})
	w.ok(err)
	w.mustPatch(ada, map[string]any{"active": false})
	w.mustPatch(ada, map[string]any{"active": true})
	w.wantKeys("north", "ada ble suspended")
	w.ok(w.svc.DeletePool(w.ctx, admin, "acme", access.TechBLE))
	w.wantKeys("north", "ada ble suspended")
	bob := w.user("bob", "").ID
	_, err = w.svc.PatchCard(w.ctx, admin, "acme", w.person(bob).Cards[0].ID, cloud.CardPatch{Status: new("active")})
	w.refused(err)
	w.answers(w.why(bob, "front"), "BOB may not open Front door of north: none of their cards is active; the building has not confirmed this yet.",
		"Their Bluetooth key ble … is pending.")
	for _, p := range []cloud.Pool{
		{Technology: "nfc", Format: "H10302", First: 1, Last: 2}, {Technology: "ble", Format: "none", First: 1, Last: 2},
		{Technology: "ble", Format: "H10302", First: 2, Last: 1}, {Technology: "ble", Format: "H10302", First: 0, Last: 1 << 40},
		{Technology: "ble", Format: "H10301", First: 1, Last: 2}, {Technology: "ble", Format: "H10301", Facility: new(uint64(1)), First: 65535, Last: 65536},
	} {
		_, err := w.svc.PutPool(w.ctx, admin, "acme", p)
		w.refused(err)
	}
}

// TestKeysOfALargeChange: of more people than a batch the keys come in the
// background, each with a number of its own, and go at once.
func TestKeysOfALargeChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.batch = 8
	w.restart()
	for i := range 30 {
		w.user(fmt.Sprintf("user%02d", i), "")
	}
	w.pool(access.TechBLE, 1, 25)
	rule := w.rule("north", cloud.Rule{Mobile: cloud.Mobile{BLE: true}})
	w.wantKeys("north")
	w.ok(w.svc.Settle(w.ctx))
	if got := w.keysAt("north"); len(got) != 30 || got[29] != "user29 ble pending" || got[24] != "user24 ble 25" {
		t.Errorf("keys %q", got)
	}
	w.pool(access.TechBLE, 1, 100)
	w.ok(w.svc.Settle(w.ctx))
	if got := w.keysAt("north"); len(got) != 30 || got[29] != "user29 ble 30" {
		t.Errorf("keys %q", got)
	}
	rule.Mobile.BLE = false
	_, err := w.svc.PutRule(w.ctx, admin, "acme", "north", rule)
	w.confirmed(err)
	w.wantKeys("north")
	for _, d := range w.entries("north") {
		for _, c := range d.Changes {
			if c.Op == delta.OpPut && c.Kind == access.KindCredential && !strings.Contains(string(c.Record), `"technology":"ble"`) {
				t.Errorf("a credential of no technology: %s", c.Key)
			}
		}
	}
}
