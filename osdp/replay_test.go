package osdp_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"latchkey/osdp"
)

// ourWay are the places where our panel does something else than the recorded
// one, each with its reason. Everywhere else the bytes are the same.
var ourWay = map[string]string{
	"who first":      "CHLNG is not the first frame: what answers at the address is known before a key is tried on it",
	"in sequence":    "CHLNG goes on in the running sequence: no start is spent on it, and PDs take both",
	"asks in secret": "ID and CAP again in the channel: what was said in the clear anybody may have written",
	"long replies":   "ACURXSIZE: the PD need not keep its replies to 128 bytes",
	"no SCBK-D":      "SCBK-D is for an operator to ask for, whatever failed before",
	"key alone":      "a channel under SCBK-D carries the key and nothing else",
	"states":         "the four states are read after each start: what changed before it is lost",
	"new address":    "a PD that changed its address is started anew: its COM may have come from a reboot",
}

// A playing drives a Bus by one PD's frames of a recorded session.
type playing struct {
	*hand
	addr uint8
	rnd  *given
	left []recordedHandshake
	seen map[string]int // of ourWay
	same int            // commands that came out byte for byte
	told map[osdp.Kind]int
	want osdp.Reply // of the command submitted
	got  []osdp.Reply
}

// given is a random number generator that gives what the recorded panel drew.
type given struct{ next []byte }

func (g *given) Read(b []byte) (int, error) { return copy(b, g.next), nil }

// TestReplaySessions has our panel do what each recorded panel did, against the
// replies that it got: the commands are the recorded ones byte for byte, but
// for what ourWay lists, and each reply tells what it should.
func TestReplaySessions(t *testing.T) {
	seen, told, same, played := map[string]int{}, map[osdp.Kind]int{}, 0, 0
	for _, v := range vectors(t) {
		for _, addr := range starts(v) {
			t.Run(fmt.Sprintf("%s/%d", v.Name, addr), func(t *testing.T) {
				p := newPlaying(t, v, addr)
				p.seen, p.told = seen, told
				p.play(v)
				same += p.same
			})
			played++
		}
	}
	for name := range ourWay {
		if seen[name] == 0 {
			t.Errorf("our way %q: nowhere to be seen", name)
		}
	}
	t.Logf("%d sessions: %d commands byte for byte; our own way: %v; told: %v", played, same, seen, told)
	// As counted by a program that shares no code with this one.
	if wantPlayed, wantSame := 21, 630; played != wantPlayed || same != wantSame {
		t.Errorf("%d sessions and %d commands, want %d and %d", played, same, wantPlayed, wantSame)
	}
	for kind, n := range map[osdp.Kind]int{osdp.Card: 16, osdp.Keypad: 10, osdp.Inputs: 6, osdp.Outputs: 5, osdp.LocalStatus: 5, osdp.ReaderStatus: 3} {
		if told[kind] != n {
			t.Errorf("%d events %v, want %d", told[kind], kind, n)
		}
	}
}

// TestReplayKeys holds both ends of a handshake against the one that the
// standard's annex works out, and knows every kind of entry that there is.
func TestReplayKeys(t *testing.T) {
	kinds := map[string]int{}
	for _, v := range vectors(t) {
		if kinds[v.Kind]++; v.Kind != "crypto" {
			continue
		}
		acu, err := osdp.NewACUHandshake(bytes.NewReader(unhex(t, v.RNDA)), osdp.DefaultKey(), true)
		if err != nil {
			t.Fatal(err)
		}
		var f, server osdp.Frame
		acu.Challenge(&f)
		pd, err := osdp.NewPDHandshake(bytes.NewReader(unhex(t, v.RNDB)), osdp.DefaultKey(), [8]byte{}, f)
		if err != nil {
			t.Fatal(err)
		}
		if pd.Client(&f); !bytes.Equal(f.Data[16:], unhex(t, v.Client)) {
			t.Errorf("%s: client cryptogram % x, want %s", v.Name, f.Data[16:], v.Client)
		}
		if _, err := acu.Client(f); err != nil {
			t.Error(err)
		}
		if acu.Server(&server); !bytes.Equal(server.Data, unhex(t, v.Server)) {
			t.Errorf("%s: server cryptogram % x, want %s", v.Name, server.Data, v.Server)
		}
		if _, err := pd.Session(server, &f); err != nil || !bytes.Equal(f.Data, unhex(t, v.RMACI)) {
			t.Errorf("%s: R-MAC_I % x, %v, want %s", v.Name, f.Data, err, v.RMACI)
		}
		if _, err := acu.Session(f); err != nil {
			t.Error(err)
		}
	}
	// Sessions and exchanges are replayed here, frames by TestFrameVectors.
	if want := map[string]int{"session": 19, "exchange": 44, "frame": 19, "crypto": 1}; !maps.Equal(kinds, want) {
		t.Errorf("entries %v, want %v", kinds, want)
	}
}

// starts are the addresses at which PDs were brought up in a recording.
func starts(v vector) (addrs []uint8) {
	for _, f := range v.Frames {
		if f.Dir == "cp>pd" && f.Seq == 0 && !slices.Contains(addrs, f.Addr) {
			addrs = append(addrs, f.Addr)
		}
	}
	return addrs
}

func newPlaying(t *testing.T, v vector, addr uint8) *playing {
	p := &playing{addr: addr, rnd: &given{}}
	p.hand = newHandOf(t, osdp.Options{Rand: p.rnd}, osdp.PDConfig{Addr: addr, Security: osdp.AllowClear})
	for _, h := range v.Handshakes {
		if h.Addr == addr {
			p.left = append(p.left, h)
		}
	}
	if len(p.left) > 0 {
		p.bus.TrustKey(addr, osdp.Key(unhex(t, p.left[len(p.left)-1].SCBK)))
		if len(p.left) == 2 { // a rotation: it begins with the old one
			p.bus.TrustKey(addr, osdp.Key(unhex(t, p.left[0].SCBK)))
		}
		p.rnd.next = unhex(t, p.left[0].RNDA)
	}
	return p
}

func (p *playing) play(v vector) {
	for i, f := range v.Frames {
		b := unhex(p.t.(*testing.T), f.Hex)
		fr := parse(p.t, b)
		switch {
		case f.Addr != p.addr:
		case f.Dir == "cp>pd":
			p.command(fmt.Sprintf("frame %d", i), b, fr)
		default:
			p.reply(fmt.Sprintf("frame %d", i), fr, unhex(p.t.(*testing.T), f.Plain))
		}
	}
}

// command has the Bus send the recorded command, which fr is of wire.
func (p *playing) command(where string, wire []byte, fr osdp.Frame) {
	p.t.Helper()
	p.submit(fr)
	for range 4 { // ways of ours before it
		ours := p.nextAny()
		if bytes.Equal(p.wire, wire) {
			p.same++
			return
		}
		why := p.differs(ours, fr)
		if why == "" {
			break
		}
		p.seen[why]++
		p.submit(fr)
	}
	p.t.Fatalf("%s: sent % x, want % x", where, p.wire, wire)
}

// submit has somebody ask for the recorded command, where that is possible and
// is not under way.
func (p *playing) submit(fr osdp.Frame) {
	if !p.bus.Stats()[0].Online || p.want != nil || fr.SCBType == osdp.SCS11 || fr.SCBType == osdp.SCS13 || fr.Code == osdp.CodePOLL {
		return
	}
	if s := p.bus.Channel(p.addr); (s != nil) != (fr.SCBType != 0) {
		return
	} else if s != nil {
		fr.Data, _ = s.Reveal(fr)
	}
	c := osdp.ParseCommand(fr.Code, bytes.Clone(fr.Data))
	if k, ok := c.(osdp.KEYSET); ok {
		if err := p.bus.SetKey(p.now, p.addr, osdp.Key(k.Key), func(error) {}); err != nil {
			p.t.Fatal(err)
		}
		return
	}
	p.want = osdp.BUSY{} // not known yet
	if err := p.bus.SubmitAny(p.now, p.addr, c, func(r []osdp.Reply, _ error) { p.got = r }); err != nil {
		p.t.Fatal(err)
	}
}

// differs names the way of ours in which the Bus wants to send ours and not
// theirs, and puts the Bus where the recorded panel stood.
func (p *playing) differs(ours, theirs osdp.Frame) (why string) {
	s := p.bus.Channel(p.addr)
	shake := theirs.Code == osdp.CodeCHLNG
	switch {
	case shake && osdp.AsksDefault(theirs):
		why = "no SCBK-D"
		key := osdp.Key{9: 9} // for a session under SCBK-D that sends none
		if n := len(p.left); n > 1 {
			key = osdp.Key(unhex(p.t.(*testing.T), p.left[n-1].SCBK))
		}
		if err := p.bus.Install(p.now, p.addr, key, p.now.Add(time.Minute), func(error) {}); err != nil {
			p.t.Fatal(err)
		}
		p.bus.Shake(p.now, p.addr, theirs.Seq)
	case shake && ours.Code == osdp.CodeID && ours.Seq == 0:
		why = "who first"
		p.bus.Shake(p.now, p.addr, theirs.Seq)
	case shake && ours.Code == osdp.CodeCHLNG && bytes.Equal(ours.Data, theirs.Data):
		why = "in sequence"
		p.bus.Shake(p.now, p.addr, theirs.Seq)
	case s != nil && ours.Code == osdp.CodeID:
		why = "asks in secret"
		p.note(p.bus.Believe(p.now, p.addr))
	case s != nil && ours.Code == osdp.CodeKEYSET:
		why = "key alone"
		p.bus.Stand(p.now, p.addr, theirs.Seq, s, false)
	case ours.Code == osdp.CodeACURXSIZE:
		why = "long replies"
		p.bus.Pass(p.now, p.addr)
	case ours.Code == osdp.CodeLSTAT && ours.SCBType == theirs.SCBType:
		why = "states"
		p.bus.Settle(p.now, p.addr)
	}
	return why
}

// reply gives the Bus the recorded reply f, whose data in the clear is plain.
func (p *playing) reply(where string, f osdp.Frame, plain []byte) {
	p.t.Helper()
	if f.Code == osdp.CodeCCRYPT || f.Code == osdp.CodeRMACI {
		plain = f.Data
	}
	r := osdp.ParseReply(f.Code, plain)
	if f.Code == osdp.CodeCCRYPT && len(p.left) > 1 {
		p.left = p.left[1:]
		p.rnd.next = unhex(p.t.(*testing.T), p.left[0].RNDA)
	}
	channel := p.bus.Channel(p.addr)
	p.now = p.now.Add(3 * time.Millisecond)
	evs, done := p.bus.Answer(p.now, f)
	if !done {
		p.t.Fatalf("%s: %v was no answer", where, f)
	}
	p.note(evs)
	evs = slices.DeleteFunc(evs, func(e osdp.Event) bool { return e.Kind == osdp.Online || e.Kind == osdp.Secured })
	if want := p.tells(r); len(evs) > 1 || len(evs) == 1 && evs[0].Kind != want || len(evs) == 0 && want != 0 {
		p.t.Errorf("%s: %v told %v, want %v", where, r, evs, want)
	}
	if r == osdp.Reply(osdp.BUSY{}) {
		return
	}
	if p.want != nil {
		if len(p.got) != 1 || !sameReply(p.got[0], r) {
			p.t.Errorf("%s: who asked got %v, want %v", where, p.got, r)
		}
		p.want, p.got = nil, nil
	}
	if com, ok := r.(osdp.COM); ok {
		if next := p.nextAny(); next.Addr != com.Addr || next.Seq != 0 {
			p.t.Errorf("%s: after COM sent %v, want a start at %d", where, next, com.Addr)
		}
		p.seen["new address"]++
		p.addr = com.Addr
		p.bus.Stand(p.now, p.addr, f.Seq%3+1, channel, false)
	}
}

func sameReply(a, b osdp.Reply) bool {
	x, _ := a.AppendData(nil)
	y, _ := b.AppendData(nil)
	return a.Code() == b.Code() && bytes.Equal(x, y)
}

func (p *playing) note(evs []osdp.Event) {
	for _, e := range evs {
		p.told[e.Kind]++
	}
}

// tells is the event that a reply must make, 0 for none. What was asked for by
// a command of its own goes to who asked.
func (p *playing) tells(r osdp.Reply) osdp.Kind {
	switch r.(type) {
	case osdp.RAW:
		return osdp.Card
	case osdp.KEYPAD:
		return osdp.Keypad
	case osdp.LSTATR:
		return osdp.LocalStatus
	case osdp.ISTATR:
		return osdp.Inputs
	case osdp.OSTATR:
		return osdp.Outputs
	case osdp.RSTATR:
		return osdp.ReaderStatus
	case osdp.PIVDATAR: // the last fragment tells of all
		if p.want == nil {
			return osdp.Message
		}
	case osdp.GENAUTHR, osdp.CRAUTHR:
		return osdp.Message
	case osdp.MFGREP, osdp.XRD:
		if p.want == nil {
			return osdp.Other
		}
	}
	return 0
}
