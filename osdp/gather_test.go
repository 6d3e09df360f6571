package osdp_test

import (
	"bytes"
	"testing"
	"time"

	"latchkey/osdp"
)

// TestMultiPart sends a long challenge in as many commands as it takes, and
// gets the answer, which comes one part a POLL, as one message.
func TestMultiPart(t *testing.T) {
	h := newHand(t, osdp.Options{}, 5)
	h.up()
	challenge, answer := content(500), content(700)
	replies := 0
	_, err := h.bus.Submit(h.now, 5, []osdp.Command{osdp.GENAUTH{Algorithm: 7, KeyRef: 0x9a, Data: challenge}}, func(r []osdp.Reply, err error) {
		if replies = len(r); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	var got osdp.GENAUTH
	in := osdp.NewAssembler(1000)
	for replies == 0 {
		f := h.next()
		if c, ok := osdp.ParseCommand(f.Code, f.Data).(osdp.GENAUTH); ok {
			if len(h.wire)-1 > 128 {
				t.Errorf("a frame of %d bytes, the PD takes 128", len(h.wire)-1)
			}
			if _, err := in.Add(c.Part, c.Data); err != nil {
				t.Fatal(err)
			}
			if c.Part.Offset == 0 {
				got = c
			}
		}
		h.answer(f, plain(f))
	}
	if !bytes.Equal(in.Message(), challenge) || got.Algorithm != 7 || got.KeyRef != 0x9a || replies < 5 {
		t.Errorf("%d bytes came in %d commands, algorithm %d", len(in.Message()), replies, got.Algorithm)
	}

	parts, err := osdp.GENAUTHR{Data: answer}.Split(100)
	if err != nil {
		t.Fatal(err)
	}
	var whole []osdp.Event
	start := h.now
	for _, p := range parts {
		evs, done := h.answer(h.next(), p)
		if whole = append(whole, evs...); !done {
			t.Fatal("a part ended nothing")
		}
	}
	if len(whole) != 1 || whole[0].Kind != osdp.Message || !bytes.Equal(whole[0].Reply.(osdp.GENAUTHR).Data, answer) {
		t.Fatalf("events %v, want the message", whole)
	}
	if took := h.now.Sub(start); took > 7*50*time.Millisecond {
		t.Errorf("seven parts took %v: a PD with more to say is polled at once", took)
	}
}

// TestBrokenMessage is given up, and the PD is told so.
func TestBrokenMessage(t *testing.T) {
	h := newHand(t, osdp.Options{}, 5)
	h.up()
	parts, err := osdp.PIVDATAR{Data: content(300)}.Split(100)
	if err != nil {
		t.Fatal(err)
	}
	h.answer(h.next(), parts[0])
	evs, _ := h.answer(h.next(), parts[2])
	if len(evs) != 1 || evs[0].Kind != osdp.Malformed {
		t.Errorf("a part is missing: %v", evs)
	}
	if f := h.next(); f.Code != osdp.CodeABORT {
		t.Errorf("then comes %v, want ABORT", f)
	}
}
