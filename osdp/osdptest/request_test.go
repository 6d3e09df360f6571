package osdptest_test

import (
	"bytes"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/osdp"
	"latchkey/osdp/osdptest"
)

// conversation has commands answered one after the other, in the clear and in
// a session.
func conversation(t *testing.T, c osdptest.Config, talk func(t *testing.T, pd *osdptest.PD, do func(osdp.Command) osdp.Reply)) {
	t.Helper()
	k := siteKey
	c.Addr, c.SCBK = 3, &k
	t.Run("clear", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			pd := osdptest.NewPD(c)
			talk(t, pd, newACU(serve(t, pd)).inClear)
		})
	})
	t.Run("session", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			pd, a := start(t, c)
			talk(t, pd, a.do)
		})
	})
}

// expect complains of a reply that is another one.
func expect(t *testing.T, what string, got, want osdp.Reply) {
	t.Helper()
	if !equal(got, want) {
		a, _ := got.AppendData(nil)
		b, _ := want.AppendData(nil)
		t.Errorf("%s: %v 0x%02x % x, want %v 0x%02x % x", what, got, got.Code(), a, want, want.Code(), b)
	}
}

// TestUnknownToAPlainReader: what needs a part that the PD has not is refused.
func TestUnknownToAPlainReader(t *testing.T) {
	conversation(t, osdptest.Config{}, func(t *testing.T, _ *osdptest.PD, do func(osdp.Command) osdp.Reply) {
		for _, c := range []osdp.Command{
			osdp.BIOREAD{}, osdp.BIOMATCH{}, osdp.MFG{Data: []byte{1}}, osdp.TDSET{Year: 2026}, osdp.GetMode{}, osdp.PIVDATA{},
			osdp.GENAUTH{}, osdp.CRAUTH{}, osdp.KEEPACTIVE{Time: time.Second}, osdp.FILETRANSFER{Type: 1},
			osdp.RawCommand{Op: osdp.CodeBIOREAD}, osdp.RawCommand{Op: osdp.CodeKEEPACTIVE}, osdp.RawCommand{Op: 0xff},
		} {
			expect(t, osdp.CommandName(c.Code()), do(c), nak(osdp.NAKUnknown))
		}
	})
}

// TestCapabilities: a PD says all that it can do and no more (OSDP v2.2 annex B).
func TestCapabilities(t *testing.T) {
	key := siteKey
	for _, tt := range []struct {
		name string
		c    osdptest.Config
		want osdp.PDCAP // beside those of each reader
	}{
		{"plain", osdptest.Config{}, nil},
		{"key", osdptest.Config{SCBK: &key}, osdp.PDCAP{{Function: osdp.CapSecurity, Compliance: 1}}},
		{"as it came", osdptest.Config{InstallMode: true}, osdp.PDCAP{{Function: osdp.CapSecurity, Compliance: 1, Number: 1}}},
		{"clock", osdptest.Config{OnClock: func(osdp.TDSET) osdp.Reply { return nil }}, osdp.PDCAP{{Function: osdp.CapTime, Compliance: 1}}},
		{"smart cards", osdptest.Config{SmartCards: true}, osdp.PDCAP{
			{Function: osdp.CapMessage, Compliance: 4096 & 0xff, Number: 4096 >> 8},
			{Function: osdp.CapSmartCard, Compliance: 3}, // transparent mode, and PIV by extended packets
			{Function: osdp.CapSecurePIN, Compliance: 1},
		}},
		{"finger", osdptest.Config{OnBioMatch: func(osdp.BIOMATCH) osdp.Reply { return nil }}, osdp.PDCAP{{Function: osdp.CapBiometrics, Compliance: 1}}},
		{"told", osdptest.Config{SmartCards: true, Caps: osdp.PDCAP{{Function: osdp.CapCheck, Compliance: 1}}}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tt.c.Addr, tt.c.Readers, tt.c.LEDs, tt.c.Inputs, tt.c.Outputs = 3, 2, 3, 4, 5
				want := osdp.PDCAP{
					{Function: osdp.CapInputs, Compliance: 1, Number: 4},
					{Function: osdp.CapOutputs, Compliance: 4, Number: 5},
					{Function: osdp.CapCardFormat, Compliance: 1},
					{Function: osdp.CapLED, Compliance: 4, Number: 3},
					{Function: osdp.CapBuzzer, Compliance: 2, Number: 1},
					{Function: osdp.CapText, Compliance: 1, Number: 1},
					{Function: osdp.CapCheck, Compliance: 1},
					{Function: osdp.CapReceive, Compliance: 1440 & 0xff, Number: 1440 >> 8},
					{Function: osdp.CapReaders, Number: 2},
					{Function: osdp.CapVersion, Compliance: 2},
				}
				if tt.c.Caps != nil {
					want = tt.c.Caps
				}
				expect(t, "CAP", newACU(serve(t, osdptest.NewPD(tt.c))).inClear(osdp.CAP{}), append(want, tt.want...))
			})
		})
	}
}

// TestKeepActive: a smart card stays active for as long as it is held to the
// reader, so any time is granted, also while the card works.
func TestKeepActive(t *testing.T) {
	conversation(t, osdptest.Config{SmartCards: true, Takes: time.Minute}, func(t *testing.T, pd *osdptest.PD, do func(osdp.Command) osdp.Reply) {
		pd.Insert(0, &osdptest.SmartCard{Object: func([3]byte, uint8) []byte { return []byte{1} }})
		expect(t, "PIVDATA", do(osdp.PIVDATA{}), osdp.ACK{})
		for _, d := range []time.Duration{0, time.Second, 65535 * time.Millisecond} {
			expect(t, "KEEPACTIVE", do(osdp.KEEPACTIVE{Time: d}), osdp.ACK{})
		}
		expect(t, "KEEPACTIVE of a byte", do(osdp.RawCommand{Op: osdp.CodeKEEPACTIVE, Data: []byte{1}}), nak(osdp.NAKLength))
	})
}

// TestHooks answer what only the site knows.
func TestHooks(t *testing.T) {
	vendor := [3]byte{1, 2, 3}
	scan := osdp.BIOREADR{Type: osdp.BioLeftThumb, Quality: 90, Template: []byte{4, 5, 6}}
	match := osdp.BIOMATCHR{Score: 200}
	c := osdptest.Config{
		OnMFG: func(c osdp.MFG) osdp.Reply {
			if len(c.Data) == 0 {
				return nil
			}
			return osdp.MFGREP{Vendor: c.Vendor, Data: bytes.ToUpper(c.Data)}
		},
		OnClock: func(c osdp.TDSET) osdp.Reply { return nil },
		OnBioRead: func(c osdp.BIOREAD) osdp.Reply {
			if c.Type > osdp.BioLeftHand {
				return osdp.NAK{Reason: osdp.NAKBioType}
			}
			return scan
		},
		OnBioMatch: func(c osdp.BIOMATCH) osdp.Reply { return match },
	}
	conversation(t, c, func(t *testing.T, _ *osdptest.PD, do func(osdp.Command) osdp.Reply) {
		expect(t, "MFG", do(osdp.MFG{Vendor: vendor, Data: []byte("open")}), osdp.MFGREP{Vendor: vendor, Data: []byte("OPEN")})
		expect(t, "MFG without data", do(osdp.MFG{Vendor: vendor}), osdp.ACK{})
		expect(t, "MFG without vendor", do(osdp.RawCommand{Op: osdp.CodeMFG, Data: []byte{1}}), nak(osdp.NAKLength))
		expect(t, "TDSET", do(osdp.TDSET{Year: 2026, Month: 1, Day: 2}), osdp.ACK{})
		expect(t, "BIOREAD", do(osdp.BIOREAD{Type: osdp.BioLeftThumb}), scan)
		expect(t, "BIOREAD of a tail", do(osdp.BIOREAD{Type: 0x40}), nak(osdp.NAKBioType))
		expect(t, "BIOMATCH", do(osdp.BIOMATCH{Template: []byte{7}}), match)
	})
	c.Takes = 3 * time.Second
	conversation(t, c, func(t *testing.T, _ *osdptest.PD, do func(osdp.Command) osdp.Reply) {
		expect(t, "BIOREAD", do(osdp.BIOREAD{}), osdp.ACK{})
		expect(t, "POLL too early", do(osdp.POLL{}), osdp.ACK{})
		time.Sleep(c.Takes)
		expect(t, "POLL", do(osdp.POLL{}), scan)
		expect(t, "POLL after it", do(osdp.POLL{}), osdp.ACK{})
		do(osdp.BIOMATCH{})
		do(osdp.ABORT{})
		time.Sleep(c.Takes)
		expect(t, "POLL after ABORT", do(osdp.POLL{}), osdp.ACK{})
	})
}

// TestIdentityAndResult: who asks who the PD is while a result is due gets both,
// one after the other: a panel puts one message together at a time.
func TestIdentityAndResult(t *testing.T) {
	long := bytes.Repeat([]byte{7}, 150) // two parts
	c := osdptest.Config{
		ExtendedID: osdp.EXTPDID{{Tag: osdp.IDURL, Value: string(long)}}, SmartCards: true,
		OnBioRead: func(osdp.BIOREAD) osdp.Reply { return osdp.BIOREADR{Template: []byte{1, 2, 3}} },
	}
	const takes = 3 * time.Second
	identity := osdp.ID{Kind: osdp.IDExtended}
	for _, tt := range []struct {
		name  string
		takes time.Duration
		steps []osdp.Command // nil: takes goes by
		want  []byte         // codes of the replies to the others
	}{
		{"a scan under way", takes,
			[]osdp.Command{osdp.BIOREAD{}, identity, osdp.POLL{}, osdp.POLL{}, nil, osdp.POLL{}, osdp.POLL{}},
			[]byte{osdp.CodeACK, osdp.CodeEXTPDID, osdp.CodeEXTPDID, osdp.CodeACK, osdp.CodeBIOREADR, osdp.CodeACK}},
		{"a scan that is there", takes,
			[]osdp.Command{osdp.BIOREAD{}, nil, identity, osdp.POLL{}, osdp.POLL{}, osdp.POLL{}},
			[]byte{osdp.CodeACK, osdp.CodeEXTPDID, osdp.CodeEXTPDID, osdp.CodeBIOREADR, osdp.CodeACK}},
		{"half an object starts over", 0,
			[]osdp.Command{osdp.PIVDATA{}, identity, osdp.POLL{}, osdp.POLL{}, osdp.POLL{}, osdp.POLL{}},
			[]byte{osdp.CodePIVDATAR, osdp.CodeEXTPDID, osdp.CodeEXTPDID, osdp.CodePIVDATAR, osdp.CodePIVDATAR, osdp.CodeACK}},
		{"a whole object is not told again", 0,
			[]osdp.Command{osdp.PIVDATA{}, osdp.POLL{}, identity, osdp.POLL{}, osdp.POLL{}},
			[]byte{osdp.CodePIVDATAR, osdp.CodePIVDATAR, osdp.CodeEXTPDID, osdp.CodeEXTPDID, osdp.CodeACK}},
		{"half the identity, and a scan", takes,
			[]osdp.Command{identity, osdp.BIOREAD{}, osdp.POLL{}, osdp.POLL{}, nil, osdp.POLL{}, osdp.POLL{}},
			[]byte{osdp.CodeEXTPDID, osdp.CodeACK, osdp.CodeEXTPDID, osdp.CodeACK, osdp.CodeBIOREADR, osdp.CodeACK}},
		{"half the identity, given up", 0,
			[]osdp.Command{identity, osdp.PIVDATA{}, osdp.POLL{}, osdp.POLL{}},
			[]byte{osdp.CodeEXTPDID, osdp.CodePIVDATAR, osdp.CodePIVDATAR, osdp.CodeACK}},
		{"half the identity, asked again", 0,
			[]osdp.Command{identity, identity, osdp.POLL{}, osdp.POLL{}},
			[]byte{osdp.CodeEXTPDID, osdp.CodeEXTPDID, osdp.CodeEXTPDID, osdp.CodeACK}},
		{"half an object, asked again", 0,
			[]osdp.Command{osdp.PIVDATA{}, osdp.PIVDATA{}, osdp.POLL{}, osdp.POLL{}},
			[]byte{osdp.CodePIVDATAR, osdp.CodePIVDATAR, osdp.CodePIVDATAR, osdp.CodeACK}},
		{"ABORT", 0,
			[]osdp.Command{osdp.PIVDATA{}, identity, osdp.ABORT{}, osdp.POLL{}},
			[]byte{osdp.CodePIVDATAR, osdp.CodeEXTPDID, osdp.CodeACK, osdp.CodeACK}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c.Takes = tt.takes
			conversation(t, c, func(t *testing.T, pd *osdptest.PD, do func(osdp.Command) osdp.Reply) {
				pd.Insert(0, &osdptest.SmartCard{Object: func([3]byte, uint8) []byte { return long }})
				var got []byte
				for _, c := range tt.steps {
					if c == nil {
						time.Sleep(takes)
						continue
					}
					got = append(got, do(c).Code())
				}
				if !bytes.Equal(got, tt.want) {
					t.Errorf("codes % x, want % x", got, tt.want)
				}
			})
		})
	}
}

// TestBusy: a PD that scans is busy, and the command that waits is repeated as
// it is until it is carried out; the channel stands still for that.
func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := secure()
		c.Takes = 2 * time.Second
		c.OnBioRead = func(osdp.BIOREAD) osdp.Reply { return osdp.BIOREADR{} }
		_, a := start(t, c)
		expect(t, "BIOREAD", a.do(osdp.BIOREAD{}), osdp.ACK{})
		again := a.seal(osdp.BIOREAD{})
		busy := frame(t, a.send(again))
		if busy.Code != osdp.CodeBUSY || busy.Seq != 0 || busy.SCBType != 0 {
			t.Errorf("a second scan: %v, want BUSY with sequence 0 in the clear", busy)
		}
		time.Sleep(c.Takes)
		expect(t, "the second scan", a.open(a.send(again)), osdp.ACK{})
		time.Sleep(c.Takes)
		expect(t, "POLL", a.do(osdp.POLL{}), osdp.BIOREADR{})
	})
}

// TestBusyInTheClear: the command is carried out when it comes again.
func TestBusyInTheClear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := []osdp.Reply{osdp.BUSY{}, osdp.BUSY{}, osdp.MFGREP{Data: []byte{1}}}
		a := newACU(serve(t, osdptest.NewPD(osdptest.Config{Addr: 3, OnMFG: func(osdp.MFG) (r osdp.Reply) {
			r, answers = answers[0], answers[1:]
			return r
		}})))
		a.inClear(osdp.ID{})
		again := encode(t, a.next(osdp.MFG{}))
		for _, want := range answers {
			f := frame(t, a.send(again))
			expect(t, "MFG", osdp.ParseReply(f.Code, f.Data), want)
			if busy := want.Code() == osdp.CodeBUSY; busy != (f.Seq == 0) {
				t.Errorf("%v", f)
			}
		}
		expect(t, "the next", a.inClear(osdp.POLL{}), osdp.ACK{})
	})
}

// TestBusyIsAlive: a panel that keeps asking a busy PD has not gone away.
func TestBusyIsAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := secure()
		c.OnMFG = func(osdp.MFG) osdp.Reply { return osdp.BUSY{} }
		_, a := start(t, c)
		again := a.seal(osdp.MFG{})
		for range 5 {
			time.Sleep(3 * time.Second)
			if f := frame(t, a.send(again)); f.Code != osdp.CodeBUSY {
				t.Fatalf("%v, want BUSY", f)
			}
		}
	})
}

// TestSmartCard goes through the transparent mode.
func TestSmartCard(t *testing.T) {
	card := &osdptest.SmartCard{
		CSN: []byte{1, 2, 3, 4}, Data: []byte{0x78},
		APDU: func(c []byte) []byte { return append(bytes.Clone(c[:1]), 0x90, 0) },
		PIN:  func(c osdp.EnterPIN) (status, tries uint8) { return 0, c.Max },
	}
	conversation(t, osdptest.Config{SmartCards: true}, func(t *testing.T, pd *osdptest.PD, do func(osdp.Command) osdp.Reply) {
		failed := osdp.TransparentError{Mode: osdp.ModeTransparent, Kind: 1}
		expect(t, "mode at the start", do(osdp.GetMode{}), osdp.ModeReport{})
		pd.Insert(0, card)
		expect(t, "a card that nobody asked for", do(osdp.POLL{}), osdp.ACK{})
		expect(t, "SCAN without the mode", do(osdp.ScanCard{}), failed)
		expect(t, "no such mode", do(osdp.SetMode{Mode: 2}), osdp.TransparentError{Kind: 1})
		expect(t, "no such XWR", do(osdp.XWR{Mode: 9}), nak(osdp.NAKRecord))
		expect(t, "set mode", do(osdp.SetMode{Mode: 1, Config: 5}), osdp.ACK{})
		expect(t, "mode", do(osdp.GetMode{}), osdp.ModeReport{Mode: 1, Config: 5})
		expect(t, "scan", do(osdp.ScanCard{}), osdp.CardPresent{Status: osdp.CardContactless})
		expect(t, "APDU", do(osdp.SendAPDU{APDU: []byte{0xa4, 1}}), osdp.CardAnswer{APDU: []byte{0xa4, 0x90, 0}})
		expect(t, "PIN", do(osdp.EnterPIN{Max: 8}), osdp.PINEntered{Tries: 8})
		expect(t, "end", do(osdp.EndCard{}), osdp.ACK{})
		pd.Insert(0, nil)
		expect(t, "scan of nothing", do(osdp.ScanCard{}), osdp.CardPresent{})
		expect(t, "APDU to nothing", do(osdp.SendAPDU{APDU: []byte{0xa4}}), failed)
		expect(t, "PIN for nothing", do(osdp.EnterPIN{}), failed)
		pd.Insert(0, &osdptest.SmartCard{Contact: true, CSN: []byte{9}})
		expect(t, "a card comes", do(osdp.POLL{}), osdp.CardInfo{CSN: []byte{9}})
		expect(t, "scan of a slot", do(osdp.ScanCard{}), osdp.CardPresent{Status: osdp.CardContact})
		expect(t, "APDU to a dumb card", do(osdp.SendAPDU{APDU: []byte{0xa4}}), failed)
	})
}

// TestMultiPart: messages longer than a frame go to the PD and come from it, a
// card in between overtakes them, and no reply is longer than the panel takes.
func TestMultiPart(t *testing.T) {
	long := make([]byte, 700)
	for i := range long {
		long[i] = byte(i * 7)
	}
	card := &osdptest.SmartCard{
		Object: func(id [3]byte, element uint8) []byte {
			if id != [3]byte{0x5f, 0xc1, 2} {
				return nil
			}
			return long
		},
		Answer: func(code byte, algorithm, keyRef uint8, challenge []byte) []byte {
			if algorithm != 7 || keyRef != 0x9a {
				return nil
			}
			return append(bytes.Clone(challenge), code)
		},
	}
	conversation(t, osdptest.Config{SmartCards: true, ExtendedID: osdp.EXTPDID{{Tag: osdp.IDURL, Value: string(long)}}}, func(t *testing.T, pd *osdptest.PD, do func(osdp.Command) osdp.Reply) {
		// whole puts together what comes as code from r on.
		whole := func(r osdp.Reply) []byte {
			t.Helper()
			a, code := osdp.NewAssembler(4096), r.Code()
			for range 20 {
				var p osdp.Part
				var data []byte
				switch r := r.(type) {
				case osdp.PIVDATAR:
					p, data = r.Part, r.Data
				case osdp.GENAUTHR:
					p, data = r.Part, r.Data
				case osdp.CRAUTHR:
					p, data = r.Part, r.Data
				case osdp.EXTPDIDPart:
					p, data = r.Part, r.Data
				}
				if r.Code() == code {
					if state, err := a.Add(p, data); err != nil {
						t.Fatalf("0x%02x: %v", code, err)
					} else if state == osdp.PartDone {
						return a.Message()
					}
				}
				r = do(osdp.POLL{})
			}
			t.Fatalf("0x%02x: does not end", code)
			return nil
		}
		object := osdp.PIVDATA{Object: [3]byte{0x5f, 0xc1, 2}}
		expect(t, "PIVDATA without a card", do(object), nak(osdp.NAKRecord))
		pd.Insert(0, card)
		if got := whole(do(object)); !bytes.Equal(got, long) {
			t.Errorf("PIVDATA: %d bytes", len(got))
		}
		if got := whole(do(osdp.PIVDATA{Object: object.Object, Offset: 300, Wide: true})); !bytes.Equal(got, long[300:]) {
			t.Errorf("PIVDATA from 300: %d bytes", len(got))
		}
		expect(t, "PIVDATA of another object", do(osdp.PIVDATA{}), nak(osdp.NAKRecord))
		if got, err := osdp.ParseEXTPDID(whole(do(osdp.ID{Kind: osdp.IDExtended}))); err != nil || got[0].Value != string(long) {
			t.Errorf("extended ID: %v, %v", got, err)
		}
		generate, err := osdp.GENAUTH{Algorithm: 7, KeyRef: 0x9a, Data: long}.Split(90)
		if err != nil {
			t.Fatal(err)
		}
		challenge, err := osdp.CRAUTH{Algorithm: 7, KeyRef: 0x9a, Data: long}.Split(90)
		if err != nil {
			t.Fatal(err)
		}
		for _, parts := range [][]osdp.Command{generate, challenge} {
			for _, c := range parts[:len(parts)-1] {
				expect(t, "part", do(c), osdp.ACK{})
			}
			if got := whole(do(parts[len(parts)-1])); !bytes.Equal(got, append(bytes.Clone(long), parts[0].Code())) {
				t.Errorf("answer to 0x%02x: %d bytes", parts[0].Code(), len(got))
			}
		}
		expect(t, "a gap", do(generate[1]), nak(osdp.NAKRecord))
		do(generate[0])
		do(osdp.ABORT{})
		expect(t, "a part after ABORT", do(generate[1]), nak(osdp.NAKRecord))
		do(generate[0])
		expect(t, "a part of another command", do(challenge[1]), nak(osdp.NAKRecord))

		do(object) // the first part
		pd.Present(0, bits(t))
		if got := do(osdp.POLL{}); got.Code() != osdp.CodeRAW {
			t.Errorf("in a long message: %v, want the card", got)
		}
		if got := do(osdp.POLL{}); got.Code() != osdp.CodePIVDATAR {
			t.Errorf("after the card: %v, want the rest", got)
		}
	})
}

// TestFragmentAgain: a fragment that was there already is answered as the first
// time, and the last with what the card says to the whole (OSDP v2.2 §5.10).
func TestFragmentAgain(t *testing.T) {
	const takes = 2 * time.Second
	for _, tt := range []struct {
		name   string
		part   func(p osdp.Part, data ...byte) osdp.Command
		answer osdp.Reply
	}{
		{"GENAUTH", func(p osdp.Part, data ...byte) osdp.Command { return osdp.GENAUTH{Part: p, Data: data} },
			osdp.GENAUTHR{Part: osdp.Part{Total: 3, Length: 3}, Data: []byte{3, 2, 1}}},
		{"CRAUTH", func(p osdp.Part, data ...byte) osdp.Command { return osdp.CRAUTH{Part: p, Data: data} },
			osdp.CRAUTHR{Part: osdp.Part{Total: 3, Length: 3}, Data: []byte{3, 2, 1}}},
	} {
		first := tt.part(osdp.Part{Total: 3, Length: 2}, 1, 2)
		middle := tt.part(osdp.Part{Total: 3, Offset: 1, Length: 1}, 2)
		last := tt.part(osdp.Part{Total: 3, Offset: 2, Length: 1}, 3)
		end := tt.part(osdp.Part{Total: 3, Offset: 3})
		card := &osdptest.SmartCard{Answer: func(_ byte, _, _ uint8, challenge []byte) []byte {
			slices.Reverse(challenge)
			return challenge
		}}
		t.Run(tt.name, func(t *testing.T) {
			conversation(t, osdptest.Config{SmartCards: true}, func(t *testing.T, pd *osdptest.PD, do func(osdp.Command) osdp.Reply) {
				pd.Insert(0, card)
				expect(t, "first", do(first), osdp.ACK{})
				expect(t, "middle, which is there", do(middle), osdp.ACK{})
				expect(t, "last", do(last), tt.answer)
				expect(t, "last again", do(last), tt.answer)
				expect(t, "middle again", do(middle), osdp.ACK{})
				expect(t, "end of what is whole", do(end), osdp.ACK{})
				expect(t, "nothing is left of it", do(osdp.POLL{}), osdp.ACK{})
				pd.Insert(0, nil)
				expect(t, "last again without the card", do(last), nak(osdp.NAKRecord))
			})
			conversation(t, osdptest.Config{SmartCards: true, Takes: takes}, func(t *testing.T, pd *osdptest.PD, do func(osdp.Command) osdp.Reply) {
				pd.Insert(0, card)
				expect(t, "first", do(first), osdp.ACK{})
				for _, what := range []string{"last", "last again"} {
					expect(t, what, do(last), osdp.ACK{})
					time.Sleep(takes)
					expect(t, "POLL after "+what, do(osdp.POLL{}), tt.answer)
				}
			})
		})
	}
}

// TestLostPanel: what was read for a panel that went away is not for the one
// that comes next, even in the clear, and nor is the mode. A panel that was only
// slow gets it.
func TestLostPanel(t *testing.T) {
	object := bytes.Repeat([]byte{7}, 400)
	card := &osdptest.SmartCard{
		Object: func([3]byte, uint8) []byte { return object },
		Answer: func(_ byte, _, _ uint8, challenge []byte) []byte { return challenge },
	}
	c := secure()
	c.SmartCards, c.ExtendedID = true, osdp.EXTPDID{{Tag: osdp.IDURL, Value: string(object)}}
	c.OnBioRead = func(osdp.BIOREAD) osdp.Reply { return osdp.BIOREADR{Template: []byte{1, 2, 3}} }
	c.OnBioMatch = func(osdp.BIOMATCH) osdp.Reply { return osdp.BIOMATCHR{Score: 9} }
	half := osdp.GENAUTH{Part: osdp.Part{Total: 2, Length: 1}, Data: []byte{1}}
	rest := osdp.GENAUTH{Part: osdp.Part{Total: 2, Offset: 1, Length: 1}, Data: []byte{2}}
	for _, tt := range []struct {
		name      string
		takes     time.Duration
		ask, then osdp.Command
		kept      byte       // code of the reply to then
		lost      osdp.Reply // to then, after the panel was lost
	}{
		{"the rest of an object", 0, osdp.PIVDATA{}, osdp.POLL{}, osdp.CodePIVDATAR, osdp.ACK{}},
		{"a scan", time.Second, osdp.BIOREAD{}, osdp.POLL{}, osdp.CodeBIOREADR, osdp.ACK{}},
		{"a match", time.Second, osdp.BIOMATCH{}, osdp.POLL{}, osdp.CodeBIOMATCHR, osdp.ACK{}},
		{"the rest of the identity", 0, osdp.ID{Kind: osdp.IDExtended}, osdp.POLL{}, osdp.CodeEXTPDID, osdp.ACK{}},
		{"half a challenge", 0, half, rest, osdp.CodeGENAUTHR, nak(osdp.NAKRecord)},
		{"the mode", 0, osdp.SetMode{Mode: osdp.ModeTransparent, Config: 5}, osdp.GetMode{}, osdp.CodeXRD, osdp.ModeReport{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c.Takes = tt.takes
			begin := func(t *testing.T) (*osdptest.PD, *acu) {
				pd, a := start(t, c)
				pd.Insert(0, card)
				a.do(osdp.POLL{}) // nobody hears of the card in this mode
				a.do(tt.ask)
				return pd, a
			}
			synctest.Test(t, func(t *testing.T) {
				_, a := begin(t)
				time.Sleep(7 * time.Second)
				if got := a.do(tt.then); got.Code() != tt.kept || equal(got, tt.lost) {
					t.Errorf("in time: %v, want code 0x%02x", got, tt.kept)
				}
			})
			synctest.Test(t, func(t *testing.T) {
				_, a := begin(t)
				time.Sleep(20 * time.Second)
				a.seq = 0
				expect(t, "ID", a.inClear(osdp.ID{}), osdp.PDID{})
				expect(t, "after the loss", a.inClear(tt.then), tt.lost)
				expect(t, "POLL", a.inClear(osdp.POLL{}), osdp.ACK{})
			})
		})
	}
}

// TestPanelReceiveSize: no reply is longer than the panel said it takes.
func TestPanelReceiveSize(t *testing.T) {
	for _, size := range []int{0, 64, 200, 1440} {
		synctest.Test(t, func(t *testing.T) {
			c := secure()
			c.SmartCards = true
			pd, a := start(t, c)
			pd.Insert(0, &osdptest.SmartCard{Object: func([3]byte, uint8) []byte { return make([]byte, 2000) }})
			limit := 128
			if size > 0 {
				limit = size
				expect(t, "ACURXSIZE", a.do(osdp.ACURXSIZE{Size: uint16(size)}), osdp.ACK{})
			}
			longest := 0
			for c := osdp.Command(osdp.PIVDATA{}); ; c = (osdp.POLL{}) {
				b := a.send(a.seal(c))
				longest = max(longest, len(b)-1)
				if r := a.open(b); r.Code() == osdp.CodeACK {
					break
				}
			}
			if longest > limit || longest < limit-16 {
				t.Errorf("panel takes %d bytes: longest reply %d", limit, longest)
			}
			pd.Queue(osdp.MFGREP{Data: make([]byte, limit)})
			expect(t, "what fits no frame", a.do(osdp.POLL{}), nak(osdp.NAKRecord))
			expect(t, "too small", a.do(osdp.ACURXSIZE{Size: 40}), nak(osdp.NAKRecord))
			pd.Reboot()
			pd.Queue(osdp.MFGREP{Data: make([]byte, 150)})
			a.seq = 0
			expect(t, "after power-up it is 128 again", a.inClear(osdp.POLL{}), nak(osdp.NAKRecord))
		})
	}
}

// TestLongCommand: a frame longer than the PD's buffer was never heard.
func TestLongCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pd := osdptest.NewPD(osdptest.Config{Addr: 3, OnMFG: func(osdp.MFG) osdp.Reply { return nil }, Caps: osdp.PDCAP{{Function: osdp.CapReceive, Compliance: 200}}})
		a := newACU(serve(t, pd))
		expect(t, "200 bytes", a.inClear(osdp.MFG{Data: make([]byte, 200-8-3)}), osdp.ACK{})
		if got := a.send(encode(t, a.next(osdp.MFG{Data: make([]byte, 201-8-3)}))); len(got) != 0 {
			t.Errorf("201 bytes: % x, want silence", got)
		}
	})
}

// TestSpeed: COMSET names what holds from then on, and the port changes when
// the reply is out, once.
func TestSpeed(t *testing.T) {
	for _, tt := range []struct{ ask, want uint32 }{{115200, 115200}, {12345, 19200}} {
		synctest.Test(t, func(t *testing.T) {
			var told []osdp.COM
			a := newACU(serve(t, osdptest.NewPD(osdptest.Config{Addr: 3, Baud: 19200, OnComm: func(c osdp.COM) { told = append(told, c) }})))
			a.inClear(osdp.ID{})
			again := encode(t, a.next(osdp.COMSET{Addr: 3, Baud: tt.ask}))
			want := osdp.COM{Addr: 3, Baud: tt.want}
			for range 2 {
				_, got := reply(t, a.send(again))
				expect(t, "COMSET", got, want)
			}
			if !slices.Equal(told, []osdp.COM{want}) {
				t.Errorf("OnComm was told %v, want %v", told, want)
			}
		})
	}
}
