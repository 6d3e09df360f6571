package agent

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"latchkey/cache"
	"latchkey/delta"
)

const (
	commandsName = "agent: commands" // among the cache's values
	keepCommands = 64                // results that are remembered
	maxActs      = 4                 // commands that are done at once
	actLimit     = 10 * time.Second  // what takes longer is given up, and nobody knows
)

// unknownResult is what a command has come to when its act was begun and no
// result was stored: after a crash nobody knows, so it is not done again.
const unknownResult = "unknown, not repeated"

// A pastCommand is a command that was begun.
type pastCommand struct {
	ID   string `json:"id"`
	OK   bool   `json:"ok"`
	Text string `json:"text"`
}

// command does c at most once. It must echo this connection's nonce and be in
// time, so that nothing recorded works; the intent is on disk before the act, so
// that a crash does not repeat it. The act has a goroutine of its own: a slow
// lock must not hold up a revocation.
func (s *stream) command(ctx context.Context, c *delta.Command) {
	until := s.helloAt.Add(time.Duration(c.TTL) * time.Second)
	now := time.Now()
	if c.Re != s.nonce || now.After(until) {
		s.result(ctx, c.ID, false, "expired")
		return
	}
	past, err := s.pastCommands(ctx)
	if err != nil {
		s.log.ErrorContext(ctx, "past commands cannot be read", "err", err)
		s.result(ctx, c.ID, false, "not done: the site's disk does not work")
		return
	}
	if i := slices.IndexFunc(past, func(p pastCommand) bool { return p.ID == c.ID }); i >= 0 {
		s.result(ctx, c.ID, past[i].OK, past[i].Text)
		return
	}
	for id, until := range s.done { // what is expired needs no memory
		if now.After(until) {
			delete(s.done, id)
		}
	}
	if _, ok := s.done[c.ID]; ok { // long ago, but in time still
		s.result(ctx, c.ID, false, "done before")
		return
	}
	select {
	case s.slots <- struct{}{}:
	default:
		s.result(ctx, c.ID, false, "not done: other commands are still under way")
		return
	}
	if err := s.keepCommand(ctx, pastCommand{ID: c.ID, Text: unknownResult}); err != nil {
		<-s.slots
		s.log.ErrorContext(ctx, "command not stored, so not done", "id", c.ID, "err", err)
		s.result(ctx, c.ID, false, "not done: the site's disk does not work")
		return
	}
	s.done[c.ID] = until
	s.acts.Go(func() {
		defer func() { <-s.slots }()
		s.perform(ctx, c)
	})
}

func (s *stream) perform(ctx context.Context, c *delta.Command) {
	limited, cancel := context.WithTimeout(ctx, actLimit)
	defer cancel()
	text, err := s.act(limited, c)
	if err != nil {
		s.log.WarnContext(ctx, "command not done", "id", c.ID, "name", c.Name, "err", err)
		text = err.Error()
	}
	text = cut(text)
	// The result is kept even while the agent stops.
	last, done := context.WithTimeout(context.WithoutCancel(ctx), storeLimit)
	defer done()
	if err := s.keepCommand(last, pastCommand{ID: c.ID, OK: err == nil, Text: text}); err != nil {
		s.log.ErrorContext(ctx, "result of a command not stored", "id", c.ID, "err", err)
	}
	s.result(ctx, c.ID, err == nil, text)
}

func (s *stream) result(ctx context.Context, id string, ok bool, text string) {
	s.send(ctx, &delta.Result{ID: id, OK: ok, Text: text})
}

// pastCommands returns the newest commands that were begun. A list that the disk
// has changed is as good as none: commands of earlier connections are refused
// by their nonce, and those of this one are in memory.
func (s *stream) pastCommands(ctx context.Context) (past []pastCommand, err error) {
	text, err := s.cache.Value(ctx, commandsName)
	if errors.Is(err, cache.ErrValue) {
		s.log.ErrorContext(ctx, "past commands do not verify", "err", err)
		return nil, nil
	}
	if err != nil || text == nil {
		return nil, err
	}
	return past, json.Unmarshal(text, &past)
}

// keepCommand stores c in place of what is stored of it, and is done when the
// disk has it.
func (s *stream) keepCommand(ctx context.Context, c pastCommand) error {
	s.past.Lock()
	defer s.past.Unlock()
	past, err := s.pastCommands(ctx)
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(past, func(p pastCommand) bool { return p.ID == c.ID }); i >= 0 {
		past[i] = c
	} else {
		past = append(past, c)
	}
	text, err := json.Marshal(past[max(0, len(past)-keepCommands):])
	if err != nil {
		return err
	}
	return s.cache.SetValue(ctx, commandsName, text)
}
