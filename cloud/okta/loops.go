package okta

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"
)

// What the loops are called where they fail.
const (
	loopLog     = "System Log"
	loopChanges = "users and groups"
)

// stateName is the setting that keeps a State.
const stateName = "okta-state"

// run reads until ctx ends.
func (r *reader) run(ctx context.Context) {
	var loops sync.WaitGroup
	loops.Go(func() { r.quick(ctx) })
	loops.Go(func() { r.slow(ctx) })
	loops.Wait()
}

// quick reads what the System Log and event hooks name, each poll interval and
// whenever a hook calls.
func (r *reader) quick(ctx context.Context) {
	tick := time.NewTicker(r.set.Poll)
	defer tick.Stop()
	for {
		var p pings
		select {
		case <-ctx.Done():
			return
		case p = <-r.hooked:
		case <-tick.C:
		}
		st := r.look()
		if !st.Confirmed || st.Watermark.IsZero() { // the first read of everything comes first
			continue
		}
		if p.empty() {
			r.ended(ctx, loopLog, r.readLog(ctx))
		} else {
			r.ended(ctx, loopLog, r.readNamed(ctx, p))
		}
	}
}

// slow reads everything when it starts and each day, and what has changed by
// its time in between.
func (r *reader) slow(ctx context.Context) {
	tick := time.NewTicker(r.set.Poll)
	defer tick.Stop()
	for {
		if read := r.due(); read != nil {
			r.ended(ctx, loopChanges, read(ctx))
		}
		select {
		case <-ctx.Done():
			return
		case <-r.kick:
		case <-tick.C:
		}
	}
}

// due is what the slow loop has to do now, nil for nothing.
func (r *reader) due() func(context.Context) error {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	full := r.full
	r.full = false
	switch st := &r.state; {
	case !st.Confirmed && (st.Held == nil || full):
		return r.forecast
	case !st.Confirmed:
		return nil
	case full || now.Sub(st.Reconciled) >= r.set.Reconcile:
		return r.everything
	case now.Sub(r.changed) >= r.set.Delta || st.NoLogs:
		return r.changes
	}
	return nil
}

// everything is a reconcile that is tried again until it has been done.
func (r *reader) everything(ctx context.Context) error {
	err := r.reconcile(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.full = true
		return err
	}
	r.changed = r.now()
	return nil
}

func (r *reader) changes(ctx context.Context) error {
	err := r.readChanges(ctx)
	if err == nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.changed = r.now()
	}
	return err
}

// readAll asks the slow loop to read everything now.
func (r *reader) readAll() {
	r.mu.Lock()
	r.full = true
	r.mu.Unlock()
	r.wake()
}

func (r *reader) wake() {
	select {
	case r.kick <- struct{}{}:
	default: // it looks again anyway
	}
}

// ping asks the quick loop to read what p names; ok is false where too much
// waits already, which the next poll then finds.
func (r *reader) ping(p pings) (ok bool) {
	select {
	case r.hooked <- p:
		return true
	default:
		return false
	}
}

// ended notes how a read ended, and keeps the state.
func (r *reader) ended(ctx context.Context, loop string, err error) {
	if ctx.Err() != nil {
		return
	}
	r.mu.Lock()
	_, was := r.failures[loop]
	if err == nil {
		delete(r.failures, loop)
		r.polled = r.now()
	} else {
		r.failures[loop] = failure{err, r.now()}
	}
	r.mu.Unlock()
	if err != nil && !was {
		r.log.ErrorContext(ctx, "Okta cannot be read", "org", r.org, "what", loop, "err", err)
	}
	if err := r.keep(ctx); err != nil {
		r.log.ErrorContext(ctx, "how far Okta was read could not be stored", "org", r.org, "err", err)
	}
}

// keep stores the state.
func (r *reader) keep(ctx context.Context) error {
	r.keeping.Lock()
	defer r.keeping.Unlock()
	if r.retired {
		return nil
	}
	r.mu.Lock()
	doc, err := json.Marshal(&r.state)
	r.mu.Unlock()
	if err != nil {
		return err
	}
	if string(doc) == string(r.kept) {
		return nil
	}
	if r.fence != 0 { // another process may have set another connection meanwhile
		if conn, err := r.cloud.Setting(ctx, r.org, settingName); err != nil || string(conn) != r.conn {
			return err
		}
	}
	same, err := r.cloud.SwapSetting(ctx, r.org, stateName, r.kept, doc)
	switch {
	case err != nil:
		return err
	case !same:
		return r.adopt(ctx)
	}
	r.kept = doc
	return nil
}

// learn takes in what somebody else has stored of the state meanwhile: another
// process, or a person by this one or another one.
func (r *reader) learn(ctx context.Context) error {
	r.keeping.Lock()
	defer r.keeping.Unlock()
	if r.retired {
		return nil
	}
	return r.adopt(ctx)
}

// adopt is learn with keeping locked.
func (r *reader) adopt(ctx context.Context) error {
	doc, err := r.cloud.Setting(ctx, r.org, stateName)
	if err != nil || string(doc) == string(r.kept) {
		return err
	}
	var st State
	if err := json.Unmarshal(doc, &st); err != nil {
		return fmt.Errorf("okta: stored state of %s: %w", r.org, err)
	}
	r.kept = doc
	r.mu.Lock()
	defer r.mu.Unlock()
	confirmed := r.state.Held != nil && st.Held == nil && st.Confirmed
	r.full = r.full || confirmed || !st.Asked.Equal(r.state.Asked)
	r.state = st
	r.wake()
	return nil
}

// retire ends r: when it returns, r takes nothing in and stores nothing any
// more, whatever its loops are still at.
func (r *reader) retire() {
	r.order.close()
	r.keeping.Lock()
	defer r.keeping.Unlock()
	r.retired = true
}
