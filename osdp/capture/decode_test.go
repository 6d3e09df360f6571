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

// decode is all messages of a trace.
func decode(keys map[uint8][]osdp.Key, records []capture.Record) (list []capture.Message) {
	d := capture.Decoder{Keys: keys}
	for _, r := range records {
		list = append(list, d.Decode(r)...)
	}
	return append(list, d.Close()...)
}

// keys are the entry's keys, for every PD.
func (s session) keys(t testing.TB) map[uint8][]osdp.Key {
	t.Helper()
	var list []osdp.Key
	for _, text := range s.Keys {
		k, err := osdp.ParseKey(text)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, k)
	}
	return map[uint8][]osdp.Key{osdp.Broadcast: list}
}

// named is the session of that name.
func named(t testing.TB, name string) session {
	t.Helper()
	for _, s := range sessions(t) {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no session %q", name)
	return session{}
}

// TestRecordedSessions writes every recorded session in both formats, reads it
// back, and decrypts it with the keys of its entry: each frame holds what the
// recorder says that it holds.
func TestRecordedSessions(t *testing.T) {
	authentic, frames := 0, 0
	for _, f := range formats {
		for _, s := range sessions(t) {
			got := decode(s.keys(t), reread(t, write(t, f, showing, s.records(t)...)))
			if len(got) != len(s.Frames) {
				t.Fatalf("%s: %d messages, want %d", s.Name, len(got), len(s.Frames))
			}
			for i, m := range got {
				want := s.Frames[i]
				frames++
				if m.Verdict == capture.Authentic {
					authentic++
				}
				plain := unhex(t, want.Plain)
				if s.Name == "sc-comset" && want.Name == "OUT" {
					plain = []byte{0, 2, 0, 0} // the recorder lost the channel when its PD moved
				}
				if fmt.Sprintf("%02x", m.Frame.Code) != want.Code || m.FromACU != (want.Dir == "cp>pd") ||
					!m.Open || !bytes.Equal(m.Data, plain) || m.FromACU != (m.Command != nil) || m.FromACU == (m.Reply != nil) {
					t.Errorf("%s, message %d, %s: %v, % x, want %s", s.Name, i, want.Name, m.Verdict, m.Data, want.Plain)
				}
			}
		}
	}
	if frames < 2500 || authentic < 1200 {
		t.Errorf("only %d frames, %d of them authentic", frames, authentic)
	}
	t.Logf("%d frames, %d of them authentic", frames, authentic)
}

// A talk is a panel and a PD with a secure channel, and the trace of their line.
type talk struct {
	t       *testing.T
	acu, pd *osdp.Session
	key     osdp.Key
	seq     uint8
	records []capture.Record
}

// newTalk begins with a handshake under key.
func newTalk(t *testing.T, key osdp.Key) *talk {
	k := &talk{t: t, key: key}
	k.handshake()
	return k
}

func (k *talk) handshake() {
	k.t.Helper()
	rng := bytes.NewReader(fmt.Appendf(nil, "%016d", len(k.records)))
	def := k.key == osdp.DefaultKey()
	a, err := osdp.NewACUHandshake(rng, k.key, def)
	if err != nil {
		k.t.Fatal(err)
	}
	send := func(f osdp.Frame) osdp.Frame {
		k.put(frame(k.t, f))
		return f
	}
	k.seq = 0
	command, reply := osdp.Frame{Addr: 3, Seq: 0}, osdp.Frame{Addr: 3, Reply: true, Seq: 0}
	a.Challenge(&command)
	p, err := osdp.NewPDHandshake(rng, k.key, [8]byte{3}, send(command))
	if err != nil {
		k.t.Fatal(err)
	}
	p.Client(&reply)
	if _, err := a.Client(send(reply)); err != nil {
		k.t.Fatal(err)
	}
	command.Seq, reply.Seq = 1, 1
	a.Server(&command)
	if k.pd, err = p.Session(send(command), &reply); err != nil {
		k.t.Fatal(err)
	}
	if k.acu, err = a.Session(send(reply)); err != nil {
		k.t.Fatal(err)
	}
	k.seq = 1
}

// put adds bytes to the trace, 10 ms after what is there, and gives their
// record's place.
func (k *talk) put(wire []byte) int {
	acu := wire[2]&0x80 == 0
	k.records = append(k.records, capture.Record{Time: dawn.Add(time.Duration(len(k.records)) * 10 * time.Millisecond), FromACU: acu, Data: wire})
	return len(k.records) - 1
}

// say seals a command and its answer, and gives both without putting them into
// the trace.
func (k *talk) say(c osdp.Command, r osdp.Reply) (command, reply []byte) {
	k.t.Helper()
	k.seq = k.seq%3 + 1
	seal := func(from, to *osdp.Session, f osdp.Frame, data []byte) []byte {
		f.Addr, f.Seq, f.Data = 3, k.seq, data
		b, err := from.Seal([]byte{osdp.Mark}, &f)
		if err != nil {
			k.t.Fatal(err)
		}
		p, _, err := osdp.ParseFrame(b[1:])
		if err != nil {
			k.t.Fatal(err)
		}
		if _, err := to.Open(&p); err != nil {
			k.t.Fatal(err)
		}
		return b
	}
	data, _ := c.AppendData(nil)
	command = seal(k.acu, k.pd, osdp.Frame{Code: c.Code()}, data)
	data, _ = r.AppendData(nil)
	return command, seal(k.pd, k.acu, osdp.Frame{Reply: true, Code: r.Code()}, data)
}

// exchange says and puts both.
func (k *talk) exchange(c osdp.Command, r osdp.Reply) (command, reply int) {
	k.t.Helper()
	a, b := k.say(c, r)
	return k.put(a), k.put(b)
}

// verdicts decodes the trace and says of each message its verdict and whether
// it is a repeat.
func (k *talk) verdicts(keys ...osdp.Key) (list []string) {
	for _, m := range decode(map[uint8][]osdp.Key{3: keys}, k.records) {
		s := m.Verdict.String()
		if m.Repeat {
			s += " again"
		}
		list = append(list, s)
	}
	return list
}

// siteKey is a key that nobody would guess.
var siteKey = osdp.Key{0x8f, 0x11, 0x42, 0xd3, 0x5a, 0x06, 0x77, 0xe8, 0x19, 0xca, 0x3b, 0x2c, 0xfd, 0x4e, 0x9f, 0x60}

// TestRepeats: an answer that was lost, one that came damaged, and a PD that is
// busy. The channel does not move by what comes again.
func TestRepeats(t *testing.T) {
	k := newTalk(t, siteKey)
	k.exchange(osdp.POLL{}, osdp.ACK{})
	command, reply := k.say(osdp.POLL{}, osdp.KEYPAD{Keys: []byte("1")})
	k.put(command) // nobody answers
	k.put(command)
	k.put(reply)
	command, reply = k.say(osdp.POLL{}, osdp.ACK{})
	damaged := bytes.Clone(reply)
	damaged[8] ^= 0x10
	k.put(command)
	k.put(damaged)
	k.put(command)
	k.put(reply)
	command, reply = k.say(osdp.POLL{}, osdp.ACK{})
	k.put(command)
	k.put(reply) // the panel missed it
	k.put(command)
	k.put(reply)
	command, reply = k.say(osdp.OUT{{Action: osdp.OutputOn}}, osdp.ACK{})
	k.put(command)
	k.put(frame(t, osdp.Frame{Addr: 3, Reply: true, Code: osdp.CodeBUSY}))
	k.put(command)
	k.put(reply)
	k.exchange(osdp.POLL{}, osdp.ACK{})
	want := []string{"check ok", "mac ok", "mac ok", "mac ok", "mac ok", "mac ok",
		"mac ok", "mac ok again", "mac ok",
		"mac ok", "check wrong", "mac ok again", "mac ok",
		"mac ok", "mac ok", "mac ok again", "mac ok again",
		"mac ok", "check ok", "mac ok again", "mac ok",
		"mac ok", "mac ok"}
	if got := k.verdicts(siteKey); !slices.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
	got := decode(map[uint8][]osdp.Key{3: {siteKey}}, k.records)
	again := got[16] // the reply that came twice
	if _, ok := again.Reply.(osdp.ACK); !ok || !again.Time.Equal(k.records[16].Time) || !again.Open {
		t.Errorf("repeated reply: %v at %v", again, again.Time)
	}
	var s capture.Stats
	for _, m := range got {
		s.Add(m)
	}
	p := s.PDs()[0]
	if p.Retries != 4 || p.Silent != 2 || p.Busy != 1 || p.BadChecks != 1 || p.Commands != 12 || p.Replies != 10 {
		t.Errorf("stats %+v", p)
	}
}

// TestMissingFrame: with a frame of the channel lost no key helps until the
// next handshake, and the Decoder says so.
func TestMissingFrame(t *testing.T) {
	for _, lost := range []int{0, 1} { // the command, its reply
		k := newTalk(t, siteKey)
		k.exchange(osdp.POLL{}, osdp.ACK{})
		at := [2]int{}
		at[0], at[1] = k.exchange(osdp.POLL{}, osdp.ACK{})
		k.exchange(osdp.POLL{}, osdp.RAW{Bits: 26, Data: make([]byte, 4)})
		k.handshake()
		k.exchange(osdp.POLL{}, osdp.ACK{})
		k.records = slices.Delete(k.records, at[lost], at[lost]+1)
		want := []string{"check ok", "mac ok", "mac ok", "mac ok", "mac ok", "mac ok", "mac wrong", "not followed", "not followed",
			"check ok", "mac ok", "mac ok", "mac ok", "mac ok", "mac ok"}
		if lost == 1 {
			want[6], want[7] = "mac ok", "mac wrong"
		}
		if got := k.verdicts(siteKey); !slices.Equal(got, want) {
			t.Errorf("lost %d: got\n%q\nwant\n%q", lost, got, want)
		}
	}
}

// TestForgedFrame: what a stranger writes between does not end the channel.
func TestForgedFrame(t *testing.T) {
	k := newTalk(t, siteKey)
	command, _ := k.exchange(osdp.OUT{{Action: osdp.OutputOnFor, Timer: time.Second}}, osdp.ACK{})
	k.exchange(osdp.POLL{}, osdp.ACK{})
	k.put(k.records[command].Data) // replayed
	k.put(frame(t, osdp.Frame{Addr: 3, Seq: 2, Code: osdp.CodePOLL}))
	k.exchange(osdp.POLL{}, osdp.ACK{})
	want := []string{"check ok", "mac ok", "mac ok", "mac ok", "mac ok", "mac ok", "mac ok", "mac ok", "mac wrong", "check ok", "mac ok", "mac ok"}
	if got := k.verdicts(siteKey); !slices.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

// TestWithoutKey: no key, another key, and a trace that begins too late.
func TestWithoutKey(t *testing.T) {
	k := newTalk(t, siteKey)
	k.exchange(osdp.POLL{}, osdp.ACK{})
	want := []string{"check ok", "no key", "no key", "no key", "no key", "no key"}
	for _, keys := range [][]osdp.Key{nil, {{1, 2, 3}}} {
		if got := k.verdicts(keys...); !slices.Equal(got, want) {
			t.Errorf("keys %v: got %q, want %q", len(keys), got, want)
		}
	}
	for _, m := range decode(nil, k.records)[4:] {
		if m.Open || m.Data != nil || m.Command != nil || m.Reply != nil {
			t.Errorf("%v came with data", m)
		}
	}
	for from, want := range map[int][]string{
		1: {"not followed", "not followed", "not followed", "not followed", "not followed"},
		4: {"not followed", "not followed"},
	} {
		late := talk{t: t, records: k.records[from:]}
		if got := late.verdicts(siteKey); !slices.Equal(got, want) {
			t.Errorf("from record %d: got %q, want %q", from, got, want)
		}
	}
}

// TestRefusedProofs: an RMAC_I that refuses, and an SCRYPT of another key.
func TestRefusedProofs(t *testing.T) {
	k := newTalk(t, siteKey)
	refusal := frameOf(t, k.records[3])
	refusal.SCBData, refusal.Data = []byte{0xff}, nil
	k.records[3].Data = frame(t, refusal)
	wrong := frameOf(t, k.records[2])
	wrong.Data = make([]byte, 16)
	k.records[2].Data = frame(t, wrong)
	if got, want := k.verdicts(siteKey), []string{"check ok", "mac ok", "not proven", "not proven"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestInstallation: a KEYSET that can be read gives the key for what follows.
func TestInstallation(t *testing.T) {
	k := newTalk(t, osdp.DefaultKey())
	k.exchange(osdp.KEYSET{Kind: osdp.KeyAES128, Key: siteKey[:]}, osdp.ACK{})
	k.key = siteKey
	k.handshake()
	k.exchange(osdp.POLL{}, osdp.KEYPAD{Keys: []byte("4711")})
	got := decode(nil, k.records)
	for i, m := range got {
		if weak := i > 0 && i < 6; m.Weak != weak || !m.Open {
			t.Errorf("message %d: %v, weak %v, open %v", i, m, m.Weak, m.Open)
		}
	}
	if pad, ok := got[11].Reply.(osdp.KEYPAD); !ok || string(pad.Keys) != "4711" {
		t.Errorf("last message: %v", got[11])
	}
}

// TestSplitFrames: bytes that come one by one make the messages that they are,
// and what is no frame is told of.
func TestSplitFrames(t *testing.T) {
	poll := frame(t, osdp.Frame{Addr: 3, Code: osdp.CodePOLL})
	wire := slices.Concat([]byte{0x00, 0x53}, poll, frame(t, osdp.Frame{Addr: 3, Code: osdp.CodeABORT, Seq: 1})[:5])
	var records []capture.Record
	for i := range wire {
		records = append(records, capture.Record{Time: dawn.Add(time.Duration(i) * time.Millisecond), FromACU: true, Data: wire[i : i+1]})
	}
	var got []string
	for _, m := range decode(nil, records) {
		got = append(got, fmt.Sprint(m))
	}
	want := []string{"panel: 1 byte", "panel: 1 byte", "panel → PD 3: POLL", "panel: 4 bytes"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// chunks makes records of what a fuzzer gives: a length, so many bytes, and so
// on, from either end in turn.
func chunks(b []byte) (records []capture.Record) {
	for i := 0; len(b) > 0; i++ {
		n := min(int(b[0]), len(b)-1)
		records = append(records, capture.Record{Time: dawn.Add(time.Duration(i) * 50 * time.Millisecond), FromACU: i%2 == 0, Data: b[1 : 1+n]})
		b = b[1+n:]
	}
	return records
}

// unchunks is the fuzzer's form of records.
func unchunks(records []capture.Record) (b []byte) {
	for _, r := range records {
		b = append(append(b, byte(len(r.Data))), r.Data...)
	}
	return b
}

// FuzzDecoder: whatever comes over a line, the Decoder loses no byte but MARK
// bytes, and everything can be described.
func FuzzDecoder(f *testing.F) {
	f.Add(unchunks(named(f, "sc-install-keyset").records(f)[:20]))
	f.Add(unchunks(named(f, "busy-reply").records(f)))
	f.Fuzz(func(t *testing.T, b []byte) {
		records := chunks(b)
		var want, got []byte
		for _, r := range records {
			want = append(want, bytes.ReplaceAll(r.Data, []byte{osdp.Mark}, nil)...)
		}
		var stats capture.Stats
		for _, m := range decode(nil, records) {
			got = append(got, bytes.ReplaceAll(m.Wire, []byte{osdp.Mark}, nil)...)
			_ = m.String() + m.Text(true) + m.Flags()
			stats.Add(m)
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("% x became % x", want, got)
		}
		if err := stats.Print(new(bytes.Buffer)); err != nil {
			t.Fatal(err)
		}
	})
}
