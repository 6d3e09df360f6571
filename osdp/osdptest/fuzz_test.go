package osdptest_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"latchkey/osdp"
	"latchkey/osdp/osdptest"
)

// whole is a PD with all that a PD can have. Each command that it carries out
// goes to done.
func whole(strict bool, done func(osdp.Command)) *osdptest.PD {
	k := siteKey
	pd := osdptest.NewPD(osdptest.Config{
		Addr: 3, Readers: 2, LEDs: 4, Inputs: 3, Outputs: 3, SCBK: &k, InstallMode: !strict, RequireSecure: strict,
		Rand: rand.NewChaCha8([32]byte{7}), SmartCards: true, OnCommand: done,
		ExtendedID: osdp.EXTPDID{{Tag: osdp.IDProduct, Value: string(make([]byte, 300))}},
		Files:      &osdp.ReceiverOptions{Limit: 1000, Action: osdp.FTLeaveSC},
		OnMFG:      func(c osdp.MFG) osdp.Reply { return osdp.MFGREP(c) },
		OnClock:    func(osdp.TDSET) osdp.Reply { return nil },
		OnBioRead:  func(osdp.BIOREAD) osdp.Reply { return osdp.BIOREADR{Template: make([]byte, 50)} },
		OnBioMatch: func(osdp.BIOMATCH) osdp.Reply { return osdp.BIOMATCHR{} },
	})
	pd.Insert(0, &osdptest.SmartCard{
		APDU:   bytes.Clone,
		PIN:    func(osdp.EnterPIN) (status, tries uint8) { return 0, 3 },
		Object: func([3]byte, uint8) []byte { return make([]byte, 300) },
		Answer: func(_ byte, _, _ uint8, challenge []byte) []byte { return challenge },
	})
	return pd
}

// session is the handshake with a PD that is fed by hand.
func session(t *testing.T, pd *osdptest.PD) *osdp.Session {
	t.Helper()
	h, err := osdp.NewACUHandshake(rand.NewChaCha8([32]byte{1}), siteKey, false)
	if err != nil {
		t.Fatal(err)
	}
	say := func(f osdp.Frame) osdp.Frame {
		f.Addr = 3
		out := pd.Feed(encode(t, f))
		if len(out) != 1 {
			t.Fatalf("%d answers", len(out))
		}
		return frame(t, out[0])
	}
	var f osdp.Frame
	h.Challenge(&f)
	if _, err := h.Client(say(f)); err != nil {
		t.Fatal(err)
	}
	f.Seq = 1
	h.Server(&f)
	s, err := h.Session(say(f))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// proper complains of an answer that is no frame of the PD.
func proper(t *testing.T, b []byte, most int) {
	t.Helper()
	f, n, err := osdp.ParseFrame(bytes.TrimPrefix(b, []byte{osdp.Mark}))
	if err != nil || n != len(b)-1 || !f.Reply || f.Reserved != 0 {
		t.Fatalf("answer % x: %v, %v", b, f, err)
	}
	if n > most {
		t.Fatalf("answer of %d bytes, the panel takes %d", n, most)
	}
}

// FuzzPD gives a PD whatever bytes. A strict one does nothing for somebody
// without its key, be there a session of somebody else or not.
func FuzzPD(f *testing.F) {
	for _, c := range []osdp.Command{osdp.ID{}, osdp.POLL{}, osdp.OUT{{Action: osdp.OutputOn}}, osdp.COMSET{Addr: 4, Baud: 9600}, osdp.FILETRANSFER{Type: 1, Total: 1, Data: []byte{1}}} {
		data, _ := c.AppendData(nil)
		b, err := osdp.Frame{Addr: 3, Code: c.Code(), Data: data}.AppendBinary([]byte{osdp.Mark})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(true, false, b)
		f.Add(true, true, b)
	}
	for _, name := range []string{"sc-keyset", "file-plain", "unknown-and-malformed", "bad-check"} {
		for _, b := range recordedBytes(f, name) {
			f.Add(true, true, b)
			f.Add(false, false, b)
		}
	}
	f.Fuzz(func(t *testing.T, strict, inSession bool, b []byte) {
		pd := whole(strict, func(c osdp.Command) {
			switch c.(type) {
			case osdp.ID, osdp.CAP, osdp.COMSET:
			default:
				if strict {
					t.Fatalf("carried out without a session: 0x%02x", c.Code())
				}
			}
		})
		defer pd.Reboot() // and its timers end
		if inSession {
			session(t, pd)
		}
		for _, out := range pd.Feed(b) {
			proper(t, out, osdp.MaxFrame)
		}
		if strict && (pd.Output(0) || pd.Output(1) || pd.Output(2)) {
			t.Fatal("an output is on")
		}
	})
}

// FuzzPDCommand gives a PD whatever commands under its session. It answers each
// under the session, until one ends it, and never longer than the panel takes.
func FuzzPDCommand(f *testing.F) {
	f.Add([]byte{osdp.CodeID, 1, 1})
	f.Add([]byte{osdp.CodePIVDATA, 5, 0x5f, 0xc1, 2, 0, 0, osdp.CodePOLL, 0, osdp.CodePOLL, 0})
	f.Add([]byte{osdp.CodeXWR, 4, 0, 2, 1, 0, osdp.CodeXWR, 5, 1, 1, 0, 0xa4, 4, osdp.CodeXWR, 3, 1, 4, 0})
	f.Add([]byte{osdp.CodeGENAUTH, 9, 1, 0, 0, 0, 1, 0, 7, 0x9a, 1, osdp.CodePOLL, 0})
	f.Add([]byte{osdp.CodeFILETRANSFER, 12, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 5, osdp.CodeABORT, 0})
	f.Add([]byte{osdp.CodeACURXSIZE, 2, 60, 0, osdp.CodeCAP, 1, 0, osdp.CodeLED, 14, 0, 0, 2, 1, 1, 1, 1, 1, 0, 1, 1, 0, 1, 1})
	f.Fuzz(func(t *testing.T, script []byte) {
		pd := whole(true, nil)
		defer pd.Reboot() // and its timers end
		s := session(t, pd)
		addr, most := uint8(3), 128
		for seq := uint8(2); len(script) >= 2; seq = seq%3 + 1 {
			code := script[0]
			data := script[2:min(2+int(script[1]), len(script))]
			script = script[2+len(data):]
			b, err := s.Seal([]byte{osdp.Mark}, &osdp.Frame{Addr: addr, Seq: seq, Code: code, Data: data})
			if err != nil {
				t.Fatal(err)
			}
			out := pd.Feed(b)
			if len(out) != 1 {
				t.Fatalf("command 0x%02x: %d answers", code, len(out))
			}
			proper(t, out[0], most)
			r := frame(t, out[0])
			if r.Code == osdp.CodeBUSY {
				t.Fatalf("command 0x%02x: BUSY from a PD that is quick", code)
			}
			clear, err := s.Open(&r)
			if err != nil {
				t.Fatalf("command 0x%02x: %v: %v", code, r, err)
			}
			switch reply := osdp.ParseReply(r.Code, clear).(type) {
			case osdp.COM:
				if code == osdp.CodeCOMSET {
					addr = reply.Addr
				}
			case osdp.ACK:
				if c, ok := osdp.ParseCommand(code, data).(osdp.ACURXSIZE); ok {
					most = min(int(c.Size), osdp.MaxFrame)
				}
			}
		}
	})
}

// recordedBytes are the commands of the recordings with that in their name.
func recordedBytes(t testing.TB, name string) (all [][]byte) {
	t.Helper()
	for _, e := range exchanges(t) {
		if !bytes.Contains([]byte(e.Name), []byte(name)) {
			continue
		}
		var whole []byte
		for _, s := range e.Steps {
			whole = append(whole, unhex(t, s.Command)...)
		}
		all = append(all, whole)
	}
	return all
}
