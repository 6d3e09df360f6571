package capture_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"latchkey/osdp"
	"latchkey/osdp/capture"
)

// redacted is a trace as it would be sent to somebody.
func redacted(t testing.TB, records []capture.Record) []capture.Record {
	t.Helper()
	return reread(t, write(t, capture.PCAPNG, capture.Options{}, records...))
}

// TestWeakChannelsAreBlanked: under SCBK-D, and under a key with a pattern, a
// channel is as good as clear. What it carries is blanked, and yet it can be
// followed, for its frames are sealed again.
func TestWeakChannelsAreBlanked(t *testing.T) {
	pattern := osdp.Key{7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22}
	for _, key := range []osdp.Key{osdp.DefaultKey(), {}, pattern} {
		k := newTalk(t, key)
		k.exchange(osdp.POLL{}, osdp.RAW{Reader: 1, Bits: 26, Data: []byte{0xca, 0xfe, 0xba, 0xbe}})
		command, reply := k.say(osdp.KEYSET{Kind: osdp.KeyAES128, Key: siteKey[:]}, osdp.ACK{})
		k.put(command)
		k.put(command) // the panel tries again
		k.put(reply)
		k.exchange(osdp.LED{{LED: 2}}, osdp.KEYPAD{Keys: []byte("4711")})
		got := redacted(t, k.records)
		if len(got) != len(k.records) {
			t.Fatalf("%d records, want %d", len(got), len(k.records))
		}
		messages := decode(map[uint8][]osdp.Key{3: {key}}, got)
		for i, m := range messages {
			if m.Verdict != capture.Authentic && i > 0 || m.Repeat != (i == 7) {
				t.Errorf("message %d: %v %s", i, m, m.Flags())
			}
			if changed := !bytes.Equal(got[i].Data, k.records[i].Data); changed != (i >= 5) || changed != got[i].Redacted || len(got[i].Data) != len(k.records[i].Data) {
				t.Errorf("message %d: changed %v, redacted %v", i, changed, got[i].Redacted)
			}
		}
		for i, want := range map[int][]byte{
			5: {1, 0, 26, 0, 0, 0, 0, 0}, 6: append([]byte{1, 16}, make([]byte, 16)...), 10: {0, 4, 0, 0, 0, 0},
		} {
			if !bytes.Equal(messages[i].Data, want) {
				t.Errorf("message %d: % x, want % x", i, messages[i].Data, want)
			}
		}
		if again := redacted(t, got); !slices.EqualFunc(again, got, func(a, b capture.Record) bool { return bytes.Equal(a.Data, b.Data) }) {
			t.Error("blanked again, it changes")
		}
	}
}

// TestSealedStays: a channel under a key that nobody would guess is kept as it
// was, byte for byte.
func TestSealedStays(t *testing.T) {
	k := newTalk(t, siteKey)
	k.exchange(osdp.POLL{}, osdp.RAW{Bits: 26, Data: make([]byte, 4)})
	k.exchange(osdp.KEYSET{Kind: osdp.KeyAES128, Key: siteKey[:]}, osdp.ACK{})
	same(t, "sealed", redacted(t, k.records), k.records)
}

// TestUnfollowedWeakChannel: with a frame missing, or the PD's answer to CHLNG,
// the rest of a weak channel cannot be sealed again. CBC would still give all
// but the first block away, so nothing of it stays.
func TestUnfollowedWeakChannel(t *testing.T) {
	for _, lost := range []int{1, 4, 5} {
		k := newTalk(t, osdp.DefaultKey())
		k.exchange(osdp.POLL{}, osdp.ACK{})
		at, _ := k.exchange(osdp.KEYSET{Kind: osdp.KeyAES128, Key: siteKey[:]}, osdp.ACK{})
		keyset := frameOf(t, k.records[at])
		k.records = slices.Delete(k.records, lost, lost+1)
		got := redacted(t, k.records)[at-1]
		if f := frameOf(t, got); !got.Redacted || bytes.Contains(got.Data, keyset.Data[:4]) || f.Code != osdp.CodeKEYSET || !bytes.Equal(f.Data, make([]byte, 32)) {
			t.Errorf("without record %d: %v, % x", lost, f, got.Data)
		}
	}
}

// TestWeakChannelMoves: a PD that gets another address takes its channel along.
func TestWeakChannelMoves(t *testing.T) {
	k := newTalk(t, osdp.DefaultKey())
	k.exchange(osdp.COMSET{Addr: 9, Baud: 9600}, osdp.COM{Addr: 9, Baud: 9600})
	k.seq = 1
	data, _ := osdp.KEYPAD{Keys: []byte("4711")}.AppendData(nil)
	b, err := k.acu.Seal([]byte{osdp.Mark}, &osdp.Frame{Addr: 9, Seq: 2, Code: osdp.CodePOLL})
	if err != nil {
		t.Fatal(err)
	}
	k.put(b)
	if _, err := k.pd.Open(new(frameOf(t, k.records[len(k.records)-1]))); err != nil {
		t.Fatal(err)
	}
	if b, err = k.pd.Seal([]byte{osdp.Mark}, &osdp.Frame{Addr: 9, Reply: true, Seq: 2, Code: osdp.CodeKEYPAD, Data: data}); err != nil {
		t.Fatal(err)
	}
	k.put(b)
	messages := decode(nil, redacted(t, k.records))
	if m := messages[len(messages)-1]; m.Verdict != capture.Authentic || !bytes.Equal(m.Data, []byte{0, 4, 0, 0, 0, 0}) {
		t.Errorf("%v %s % x", m, m.Flags(), m.Data)
	}
}

// TestVectorsBlanked sends all recorded sessions: no card, PIN or key is left
// in what anybody can read, and the frames are those that were.
func TestVectorsBlanked(t *testing.T) {
	secrets := map[string]bool{}
	for _, s := range sessions(t) {
		records := s.records(t)
		was, now := decode(s.keys(t), records), decode(s.keys(t), redacted(t, records))
		if len(was) != len(now) {
			t.Fatalf("%s: %d messages, want %d", s.Name, len(now), len(was))
		}
		for i, m := range now {
			w := was[i]
			if m.Frame.Code != w.Frame.Code || m.Frame.Seq != w.Frame.Seq || len(m.Data) != len(w.Data) || m.Verdict != w.Verdict || m.Repeat != w.Repeat {
				t.Fatalf("%s, message %d: %v %s, was %v %s", s.Name, i, m, m.Flags(), w, w.Flags())
			}
			switch m.Name() {
			case "RAW", "FMT", "KEYPAD", "KEYSET", "BIOMATCH", "BIOREADR", "MFG", "MFGREP", "FILETRANSFER", "PIVDATAR", "GENAUTHR":
				if tail := m.Data[min(11, len(m.Data)):]; !bytes.Equal(tail, make([]byte, len(tail))) {
					t.Errorf("%s, message %d, %s: % x", s.Name, i, m.Name(), m.Data)
				}
				secrets[m.Name()] = true
			}
		}
	}
	if len(secrets) < 9 {
		t.Errorf("only %v were met", secrets)
	}
}

// FuzzRedact: a blanked trace is as long as it was, holds the frames that it
// held, and stays as it is when it is blanked again.
func FuzzRedact(f *testing.F) {
	f.Add(unchunks(named(f, "sc-install-keyset").records(f)[:20]))
	f.Add(unchunks(named(f, "commands-events-plain").records(f)[20:30]))
	f.Fuzz(func(t *testing.T, b []byte) {
		records := chunks(b)
		once := redacted(t, records)
		twice := redacted(t, once)
		same(t, "twice", twice, once)
		was, now := frames(records), frames(once)
		if !slices.Equal(was, now) {
			t.Fatalf("%v became %v", was, now)
		}
	})
}

// frames names the good frames of a trace.
func frames(records []capture.Record) (list []string) {
	for _, m := range decode(nil, records) {
		if m.Verdict > capture.BadCheck {
			list = append(list, fmt.Sprint(m.Frame, m.Time.Sub(dawn).Round(time.Second)))
		}
	}
	return list
}
