package osdptest_test

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/osdp"
	"latchkey/osdp/osdptest"
)

// TestSecureLies: a panel that looks sees each lie about the channel.
func TestSecureLies(t *testing.T) {
	for _, tt := range []struct {
		lie  osdptest.Lie
		sees func(a *acu) bool
	}{
		{osdptest.WrongMAC, func(a *acu) bool {
			_, err := a.session.Open(new(frame(a.t, a.send(a.seal(osdp.POLL{})))))
			return errors.Is(err, osdp.ErrMAC)
		}},
		{osdptest.ClearInSession, func(a *acu) bool {
			f := frame(a.t, a.send(a.seal(osdp.ISTAT{})))
			return f.SCBType == 0 && f.Code == osdp.CodeISTATR && bytes.Equal(f.Data, []byte{0})
		}},
		{osdptest.ForgetSession, func(a *acu) bool {
			f := frame(a.t, a.send(a.seal(osdp.POLL{})))
			return f.SCBType == 0 && f.Code == osdp.CodeNAK && f.Data[0] == byte(osdp.NAKSecurity)
		}},
		{osdptest.BadCryptogram, func(a *acu) bool { return errors.Is(a.shake(siteKey, false), osdp.ErrHandshake) }},
		{osdptest.BadRMAC, func(a *acu) bool { return errors.Is(a.shake(siteKey, false), osdp.ErrHandshake) }},
		{osdptest.ZeroKey, func(a *acu) bool { return a.shake(osdp.Key{}, false) == nil }},
		{osdptest.Reset, func(a *acu) bool {
			f := frame(a.t, a.send(a.seal(osdp.POLL{})))
			return f.SCBType == 0 && f.Seq == 0 && f.Code == osdp.CodeNAK
		}},
	} {
		synctest.Test(t, func(t *testing.T) {
			pd, a := start(t, secure())
			pd.Lie(tt.lie, 1)
			if pd.Lies() != 1 || !tt.sees(a) || pd.Lies() != 0 {
				t.Errorf("lie %d: not seen; %d left", tt.lie, pd.Lies())
			}
			a.seq = 0
			if err := a.shake(siteKey, false); err != nil {
				t.Errorf("lie %d: then %v", tt.lie, err)
			}
			if got := a.do(osdp.POLL{}); !equal(got, osdp.ACK{}) {
				t.Errorf("lie %d: then %v", tt.lie, got)
			}
		})
	}
}

// TestReusedNumber: the lie is there, and without it each handshake has a number
// of its own.
func TestReusedNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pd, a := start(t, secure())
		number := func() [8]byte {
			h, _ := osdp.NewACUHandshake(a.rand, siteKey, false)
			f := a.next(osdp.POLL{})
			h.Challenge(&f)
			return [8]byte(frame(t, a.send(encode(t, f))).Data[8:])
		}
		first, second := number(), number()
		pd.Lie(osdptest.ReuseRNDB, 1)
		if third := number(); first == second || third != second {
			t.Errorf("numbers %x, %x, %x", first, second, third)
		}
	})
}

// TestLiesOfTheLine are told forever, or until the PD is honest again.
func TestLiesOfTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pd := osdptest.NewPD(osdptest.Config{Addr: 3})
		p := serve(t, pd)
		truth := p.send(command(t, 3, 0, osdp.ID{}))

		pd.Lie(osdptest.Busy, osdptest.Forever)
		for range 50 {
			if _, r := reply(t, p.send(command(t, 3, 0, osdp.ID{}))); r.Code() != osdp.CodeBUSY {
				t.Fatalf("%v, want BUSY", r)
			}
		}
		pd.Honest()
		if got := p.send(command(t, 3, 0, osdp.ID{})); !bytes.Equal(got, truth) {
			t.Errorf("honest: % x, want % x", got, truth)
		}
		pd.Lie(osdptest.Babble, 1)
		if got := p.send(command(t, 3, 0, osdp.ID{})); !bytes.Equal(got, bytes.Repeat(truth, 11)) {
			t.Errorf("babble: % x", got)
		}
		pd.Lie(osdptest.Duplicate, 1)
		if got := p.send(command(t, 3, 0, osdp.ID{})); len(got) != len(truth) || !bytes.Equal(got[:6], truth[:6]) || bytes.Equal(got, truth) {
			t.Errorf("duplicate: % x, want another frame than % x", got, truth)
		}
		pd.Lie(osdptest.Echo, 1)
		command := command(t, 3, 0, osdp.ID{})
		if got := p.send(command); !bytes.Equal(got, append(bytes.Clone(command), truth...)) {
			t.Errorf("echo: % x", got)
		}
	})
}

// TestDuplicateAddress: two PDs that answer at once are no use to anybody.
func TestDuplicateAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := serve(t, osdptest.NewPD(osdptest.Config{Addr: 3, ID: osdp.PDID{Serial: 0x55555555}}), osdptest.NewPD(osdptest.Config{Addr: 3, ID: osdp.PDID{Serial: 0x33333333}}))
		got := p.send(command(t, 3, 0, osdp.ID{}))
		if _, _, err := osdp.ParseFrame(got[1:]); !errors.Is(err, osdp.ErrCheck) {
			t.Errorf("% x: %v, want %v", got, err, osdp.ErrCheck)
		}
	})
}

// TestFullLine: 126 PDs on one line, each with a session of its own.
func TestFullLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pds []*osdptest.PD
		for addr := range uint8(osdp.Broadcast - 1) {
			c := secure()
			c.Addr = addr
			pds = append(pds, osdptest.NewPD(c))
		}
		p := serve(t, pds...)
		p.wait = 10 * time.Millisecond // all sessions stand at once
		var panels []*acu
		for addr := range uint8(len(pds)) {
			a := newACU(p)
			a.addr = addr
			if err := a.shake(siteKey, false); err != nil {
				t.Fatalf("PD %d: %v", addr, err)
			}
			panels = append(panels, a)
		}
		for addr, a := range panels {
			pds[addr].Present(0, bits(t))
			if got := a.do(osdp.POLL{}); got.Code() != osdp.CodeRAW {
				t.Errorf("PD %d: %v, want its card", addr, got)
			}
		}
	})
}

// TestDeafWhileBooting hears nothing for as long as it takes.
func TestDeafWhileBooting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pd := osdptest.NewPD(osdptest.Config{Addr: 3, BootTime: 2 * time.Second})
		p := serve(t, pd)
		pd.Reboot()
		if got := p.send(command(t, 3, 0, osdp.ID{})); len(got) != 0 {
			t.Errorf("booting: % x", got)
		}
		time.Sleep(2 * time.Second)
		if _, r := reply(t, p.send(command(t, 3, 0, osdp.ID{}))); r == nil {
			t.Error("silent after it")
		}
	})
}

// TestSpoiltReplies: what each lie about a reply makes of it.
func TestSpoiltReplies(t *testing.T) {
	good := func(t *testing.T, got []byte) osdp.Frame {
		f, n, err := osdp.ParseFrame(got[1:])
		if err != nil || n != len(got)-1 {
			t.Fatalf("% x: %v", got, err)
		}
		return f
	}
	for _, tt := range []struct {
		lie  osdptest.Lie
		sees func(t *testing.T, got, truth []byte) bool
	}{
		{osdptest.Drop, func(_ *testing.T, got, _ []byte) bool { return len(got) == 0 }},
		{osdptest.Deaf, func(_ *testing.T, got, _ []byte) bool { return len(got) == 0 }},
		{osdptest.Corrupt, func(_ *testing.T, got, _ []byte) bool {
			_, _, err := osdp.ParseFrame(got[1:])
			return errors.Is(err, osdp.ErrCheck)
		}},
		{osdptest.Late, func(_ *testing.T, got, truth []byte) bool { return bytes.Equal(got, truth) }},
		{osdptest.Repeat, func(_ *testing.T, got, truth []byte) bool {
			return bytes.Equal(got, append(bytes.Clone(truth), truth...))
		}},
		{osdptest.Foreign, func(t *testing.T, got, _ []byte) bool { return good(t, got).Addr == 2 }},
		{osdptest.WrongSeq, func(t *testing.T, got, _ []byte) bool { return good(t, got).Seq == 2 }},
		{osdptest.NotReply, func(t *testing.T, got, _ []byte) bool { return !good(t, got).Reply }},
		{osdptest.Noise, func(_ *testing.T, got, truth []byte) bool {
			return bytes.HasSuffix(got, truth) && len(got) > len(truth)
		}},
		{osdptest.Trailing, func(_ *testing.T, got, truth []byte) bool {
			return bytes.HasPrefix(got, truth) && len(got) > len(truth)
		}},
		{osdptest.Truncate, func(_ *testing.T, got, truth []byte) bool {
			return bytes.HasPrefix(truth, got) && len(got) < len(truth)
		}},
		{osdptest.Dribble, func(_ *testing.T, got, truth []byte) bool { return bytes.Equal(got, truth) }},
		{osdptest.Reset, func(t *testing.T, got, _ []byte) bool { return good(t, got).Seq == 0 }},
		{osdptest.Refuse, func(t *testing.T, got, _ []byte) bool { return good(t, got).Code == osdp.CodeNAK }},
	} {
		synctest.Test(t, func(t *testing.T) {
			pd, p := begun(t, osdptest.Config{Addr: 3})
			truth := encode(t, osdp.Frame{Addr: 3, Reply: true, Seq: 1, Code: osdp.CodeACK})
			pd.Lie(tt.lie, 1)
			if got := p.send(command(t, 3, 1, osdp.POLL{})); !tt.sees(t, got, truth) {
				t.Errorf("lie %d: % x", tt.lie, got)
			}
		})
	}
}
