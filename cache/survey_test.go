package cache

import (
	"fmt"
	"runtime"
	"testing"

	"latchkey/access"
	"latchkey/delta"
)

// TestDecisionsDoNotWaitForSurveys: while somebody looks at the whole index and
// a commit waits for that, cards are still decided on. (With one lock they
// would not be: a waiting writer goes before later readers.)
func TestDecisionsDoNotWaitForSurveys(t *testing.T) {
	t.Parallel()
	db, w, _ := stocked(t, people)
	d := w.publish(nil, put(personOf(0, access.StateInactive)))
	before, _ := db.Changes()
	applied := make(chan error, 1)
	db.Survey(func(x *access.Index, held delta.Head) {
		if held != w.heads[1] {
			t.Errorf("held %+v, want %+v", held, w.heads[1])
		}
		go func() { applied <- db.Apply(t.Context(), d, hashOf(d)) }()
		for db.survey.TryRLock() { // until the commit stands and waits for us
			db.survey.RUnlock()
			runtime.Gosched()
		}
		if !decide(db, 0, 0).Granted || !decide(db, 1, 1).Granted {
			t.Error("no decision beside a survey")
		}
		if now, _ := db.Changes(); now != before || db.Held() != held {
			t.Error("the index changed under a survey")
		}
		if n := len(x.Entitlements([]string{"d0"})); n == 0 {
			t.Error("the survey sees nobody")
		}
	})
	if err := <-applied; err != nil {
		t.Fatal(err)
	}
	if got := decide(db, 0, 0).Reason; got != access.PersonInactive || db.Held() != w.heads[2] {
		t.Errorf("after the survey: %q at %d, want the change", got, db.Held().Seq)
	}
}

// TestSurveyOfADamagedState: what is not verified must not be taken for a list
// to push, however many cards it still has.
func TestSurveyOfADamagedState(t *testing.T) {
	t.Parallel()
	db, _, _ := stocked(t, people)
	db.verifyFailed(ErrDamaged)
	db.Survey(func(x *access.Index, held delta.Head) {
		if held != (delta.Head{}) {
			t.Errorf("held %+v, want nothing to push", held)
		}
		if len(x.Entitlements([]string{"d0"})) == 0 {
			t.Error("the doors lost what was left")
		}
	})
}

// TestLedgerLeavesTheWriterFree: what a large controller's load writes down goes
// to disk in small pieces, because revocations use the same writer.
func TestLedgerLeavesTheWriterFree(t *testing.T) {
	t.Parallel()
	db := open(t, options(t))
	rows := make([]LedgerRow, 4*ledgerBatch)
	for i := range rows {
		rows[i] = LedgerRow{Credential: fmt.Sprint("c", i), State: "wanted", Since: noon, Version: 1}
	}
	done := make(chan error, 1)
	go func() { done <- db.SetLedger(t.Context(), "dock", rows) }()
	n, partly := 0, false
	for n < len(rows) && len(done) == 0 {
		if err := db.file.read.QueryRow(`SELECT count(*) FROM ledger`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		partly = partly || 0 < n && n < len(rows)
	}
	if err := <-done; err != nil || !partly {
		t.Errorf("%v; seen partly written: %t, want it in many transactions", err, partly)
	}
	if got, err := db.Ledger(t.Context(), "dock"); err != nil || len(got) != len(rows) {
		t.Errorf("%d rows, %v, want %d", len(got), err, len(rows))
	}
}
