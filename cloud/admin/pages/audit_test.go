package pages_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"latchkey/access"
	"latchkey/cloud"
	"latchkey/cloud/admin/signin"
)

func TestAudit(t *testing.T) {
	w := newWorld(t)
	w.as(signin.Viewer)
	ann := w.user("<b>Ann</b>", "Lab", "104711")
	w.change(ann, "department", "Sales")
	_, err := w.cloud.PutDoor(w.ctx, by, "acme", "north", access.Door{ID: "lab", Name: "Laboratory", UnlockMS: 7000})
	w.ok(err)
	_, err = w.cloud.AddCard(w.ctx, by, "acme", ann, cloud.NewCard{Number: "4x"})
	if err == nil {
		t.Fatal("a card of no number was made")
	}
	suspended := access.CredentialSuspended
	cards := w.person(ann).Cards
	_, err = w.cloud.PatchCard(w.ctx, by, "acme", cards[0].ID, cloud.CardPatch{Status: &suspended})
	w.ok(err)
	w.ok(w.cloud.DeleteCard(w.ctx, by, "acme", cards[0].ID))
	a := w.get("audit")
	w.wants(a, 200, "Change card<br><span class=\"hint\">card "+cards[0].Masked+" of &lt;b&gt;Ann&lt;/b&gt;</span>", "Delete card<br><span class=\"hint\">card "+cards[0].Masked+" of ", "Create user", "directory, token “Entra ID”", "people/"+ann, "&lt;b&gt;Ann&lt;/b&gt;",
		"department: <del>Lab</del> → <ins>Sales</ins>", "door: unlock ms: <ins>7000</ins>", "refused", "has characters that no card number has", "at North building")
	w.lacks(a, "104711", "<b>Ann", "Newest", cloud.AuditSite)
}

// TestAuditOfMany: a list that is long is counted.
func TestAuditOfMany(t *testing.T) {
	w := newWorld(t)
	var ids []string
	for i := range 6 {
		ids = append(ids, w.user(fmt.Sprintf("User%d", i), "Lab", ""))
	}
	w.group("Chemists", ids...)
	a := w.get("audit")
	w.wants(a, 200, "members added: <ins>"+strings.Join(ids[:4], ", ")+" and 2 more</ins>")
}

func TestAuditByPages(t *testing.T) {
	w := newWorld(t)
	for i := range 60 {
		w.byHand(fmt.Sprintf("Visitor %02d", i))
	}
	a := w.get("audit")
	w.wants(a, 200, "Visitor 59", "Visitor 10")
	w.lacks(a, "Visitor 09", "Newest")
	earlier := regexp.MustCompile(`audit\?before=[-0-9a-f]+`).FindString(a.body)
	a = w.get(earlier)
	w.wants(a, 200, "Visitor 09", "Create organisation", "Newest")
	w.lacks(a, "Visitor 10", "Earlier")
}
