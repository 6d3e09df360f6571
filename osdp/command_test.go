package osdp_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"latchkey/osdp"
)

// TestCommandMeaning holds what the bytes of recorded commands mean.
func TestCommandMeaning(t *testing.T) {
	for _, tt := range []struct {
		data string
		want osdp.Command
	}{
		{"0006ffff", osdp.OUT{{Output: 0, Action: osdp.OutputOffFor, Timer: 6553500 * time.Millisecond}}},
		{"0003640001067800", osdp.OUT{
			{Output: 0, Action: osdp.OutputOffAfter, Timer: 10 * time.Second},
			{Output: 1, Action: osdp.OutputOffFor, Timer: 12 * time.Second}}},
		{"00010201010304c8000000000000", osdp.LED{{LED: 1,
			Temporary: osdp.Blink{Code: osdp.LEDSet, On: 100 * time.Millisecond, Off: 100 * time.Millisecond, OnColor: osdp.Amber, OffColor: osdp.Blue},
			Timer:     20 * time.Second}}},
		{"0000000000000000000105050102", osdp.LED{{
			Permanent: osdp.Blink{Code: osdp.LEDPerm, On: 500 * time.Millisecond, Off: 500 * time.Millisecond, OnColor: osdp.Red, OffColor: osdp.Green}}}},
		{"0002ff0003", osdp.BUZ{Tone: osdp.ToneDefault, On: 25500 * time.Millisecond, Count: 3}},
		{"00030a02010444" + "4f4f52", osdp.TEXT{Mode: osdp.TextFor, Time: 10 * time.Second, Row: 2, Col: 1, Text: "DOOR"}},
		{"0080250000", osdp.COMSET{Baud: 9600}},
		{"e803", osdp.KEEPACTIVE{Time: time.Second}},
		{"a005", osdp.ACURXSIZE{Size: 1440}},
		{"ea070b16010203", osdp.TDSET{Year: 2026, Month: 11, Day: 22, Hour: 1, Minute: 2, Second: 3}},
		{"00020250", osdp.BIOREAD{Type: osdp.BioRightIndex, Format: osdp.BioFormatINCITS, Quality: 80}},
		{"000702320c00464d52002032300000010000", osdp.BIOMATCH{Type: osdp.BioLeftIndex, Format: osdp.BioFormatINCITS, Quality: 50,
			Template: []byte("FMR\x00 20\x00\x00\x01\x00\x00")}},
		{"0110c0ffee00112233445566778899aabbcc", osdp.KEYSET{Kind: osdp.KeyAES128,
			Key: []byte{0xc0, 0xff, 0xee, 0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc}}},
		{"e3a42426943afca3", osdp.CHLNG{RND: [8]byte{0xe3, 0xa4, 0x24, 0x26, 0x94, 0x3a, 0xfc, 0xa3}}},
		{"c4f1b20ddd80d96779d8a7a2f68e681f", osdp.SCRYPT{Cryptogram: [16]byte{
			0xc4, 0xf1, 0xb2, 0x0d, 0xdd, 0x80, 0xd9, 0x67, 0x79, 0xd8, 0xa7, 0xa2, 0xf6, 0x8e, 0x68, 0x1f}}},
		{"03e80300000a00000005000102030405", osdp.FILETRANSFER{Type: osdp.FileDisplay, Total: 1000, Offset: 10, Data: []byte{1, 2, 3, 4, 5}}},
		{"0190010000900100000000", osdp.FILETRANSFER{Type: osdp.FileOpaque, Total: 400, Offset: 400, Data: []byte{}}},
		{"0102030a0b0c", osdp.MFG{Vendor: [3]byte{1, 2, 3}, Data: []byte{10, 11, 12}}},
		{"00020100", osdp.XWR{Mode: osdp.ModeControl, Command: 2, Data: []byte{osdp.ModeTransparent, 0}}},
		{"5fc1020000", osdp.PIVDATA{Object: [3]byte{0x5f, 0xc1, 0x02}}},
		{"5fc102010201", osdp.PIVDATA{Object: [3]byte{0x5f, 0xc1, 0x02}, Element: 1, Offset: 0x0102, Wide: true}},
		{"000100000300079aa1a2a3", osdp.GENAUTH{Part: osdp.Part{Total: 256, Length: 3}, Algorithm: 7, KeyRef: 0x9a, Data: []byte{0xa1, 0xa2, 0xa3}}},
		{"0001de0002008485", osdp.GENAUTH{Part: osdp.Part{Total: 256, Offset: 222, Length: 2}, Data: []byte{0x84, 0x85}}},
		{"010000000100079a5a", osdp.CRAUTH{Part: osdp.Part{Total: 1, Length: 1}, Algorithm: 7, KeyRef: 0x9a, Data: []byte{0x5a}}},
		{"", osdp.ABORT{}},
	} {
		data, err := hex.DecodeString(tt.data)
		if err != nil {
			t.Fatal(err)
		}
		if got := osdp.ParseCommand(tt.want.Code(), data); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v, want %+v", tt.data, got, tt.want)
		}
		if got, err := tt.want.AppendData(nil); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%+v: %x, %v; want %s", tt.want, got, err, tt.data)
		}
	}
}

// TestReplyMeaning holds what the bytes of recorded replies mean.
func TestReplyMeaning(t *testing.T) {
	for _, tt := range []struct {
		data string
		want osdp.Reply
	}{
		{"06", osdp.NAK{Reason: osdp.NAKSecurity, Detail: []byte{}}},
		{"feca00210244332211030201", osdp.PDID{Vendor: [3]byte{0xfe, 0xca, 0x00}, Model: 0x21, Version: 2, Serial: 0x11223344, Firmware: [3]byte{3, 2, 1}}},
		{"0800010a0001", osdp.PDCAP{{Function: 8, Number: 1}, {Function: osdp.CapReceive, Number: 1}}},
		{"0100", osdp.LSTATR{Tamper: 1}},
		{"000105", osdp.ISTATR{osdp.InputInactive, osdp.InputActive, osdp.InputUnknown}},
		{"0001", osdp.OSTATR{0, 1}},
		{"02", osdp.RSTATR{osdp.ReaderTamper}},
		{"00011a0020f17a40", osdp.RAW{CardFormat: osdp.FormatWiegand, Bits: 26, Data: []byte{0x20, 0xf1, 0x7a, 0x40}}},
		{"0001043132" + "3334", osdp.FMT{Direction: 1, Chars: []byte("1234")}},
		{"00027f0d", osdp.KEYPAD{Keys: []byte{osdp.KeyStar, osdp.KeyPound}}},
		{"0500c20100", osdp.COM{Addr: 5, Baud: 115200}},
		{"000002640400b0b1b2b3", osdp.BIOREADR{Type: osdp.BioRightIndex, Quality: 100, Template: []byte{0xb0, 0xb1, 0xb2, 0xb3}}},
		{"0000c8", osdp.BIOMATCHR{Score: 200}},
		{"feca210044332211c740650e3caf6732737a7c5ead192625bc0e93d4aadc545d", osdp.CCRYPT{
			CUID:       [8]byte{0xfe, 0xca, 0x21, 0x00, 0x44, 0x33, 0x22, 0x11},
			RND:        [8]byte{0xc7, 0x40, 0x65, 0x0e, 0x3c, 0xaf, 0x67, 0x32},
			Cryptogram: [16]byte{0x73, 0x7a, 0x7c, 0x5e, 0xad, 0x19, 0x26, 0x25, 0xbc, 0x0e, 0x93, 0xd4, 0xaa, 0xdc, 0x54, 0x5d}}},
		{"955f3f57e57005330cb2e38d39b5a1cf", osdp.RMACI{MAC: [16]byte{
			0x95, 0x5f, 0x3f, 0x57, 0xe5, 0x70, 0x05, 0x33, 0x0c, 0xb2, 0xe3, 0x8d, 0x39, 0xb5, 0xa1, 0xcf}}},
		{"01000000000000", osdp.FTSTAT{Action: osdp.FTInterleave}},
		{"01000003000000", osdp.FTSTAT{Action: osdp.FTInterleave, Status: osdp.FTFinishing}},
		{"000000ffff0000", osdp.FTSTAT{Status: osdp.FTAbort}},
		{"06e803fdff8000", osdp.FTSTAT{Action: osdp.FTLeaveSC | osdp.FTPollFirst, Delay: time.Second, Status: osdp.FTMalformed, UpdateMax: 128}},
		{"fa00e3001700e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9", osdp.PIVDATAR{Part: osdp.Part{Total: 250, Offset: 227, Length: 23}, Data: []byte{
			0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xeb, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9}}},
		{"400000000200fffe", osdp.GENAUTHR{Part: osdp.Part{Total: 64, Length: 2}, Data: []byte{0xff, 0xfe}}},
		{"40003e000200c1c0", osdp.CRAUTHR{Part: osdp.Part{Total: 64, Offset: 62, Length: 2}, Data: []byte{0xc1, 0xc0}}},
		{"07", osdp.MFGSTATR{Status: 7}},
		{"08", osdp.MFGERRR{Error: 8}},
		{"feca00fefdfc", osdp.MFGREP{Vendor: [3]byte{0xfe, 0xca}, Data: []byte{0xfe, 0xfd, 0xfc}}},
		{"01010002", osdp.XRD{Mode: osdp.ModeTransparent, Reply: 1, Data: []byte{0, 2}}},
		{"0004004163" + "6d65" + "030300" + "312e32", osdp.EXTPDID{{Tag: osdp.IDManufacturer, Value: "Acme"}, {Tag: osdp.IDFirmware, Value: "1.2"}}},
		{"0700000007000004004163" + "6d65", osdp.EXTPDIDPart{Part: osdp.Part{Total: 7, Length: 7}, Data: []byte("\x00\x04\x00Acme")}},
	} {
		data, err := hex.DecodeString(tt.data)
		if err != nil {
			t.Fatal(err)
		}
		if got := osdp.ParseReply(tt.want.Code(), data); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %#v, want %#v", tt.data, got, tt.want)
		}
		if got, err := tt.want.AppendData(nil); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%v: %x, %v; want %s", tt.want, got, err, tt.data)
		}
	}
	if n := (osdp.PDCAP{{Function: osdp.CapReceive, Number: 1}}).ReceiveSize(); n != 256 {
		t.Errorf("ReceiveSize %d, want 256", n)
	}
	if n := (osdp.PDCAP{}).ReceiveSize(); n != 128 {
		t.Errorf("ReceiveSize of a PD that says none %d, want 128", n)
	}
	if n := (osdp.PDCAP{{Function: osdp.CapReceive, Compliance: 0xff, Number: 0xff}}).ReceiveSize(); n != osdp.MaxFrame {
		t.Errorf("ReceiveSize of a PD that boasts %d, want %d", n, osdp.MaxFrame)
	}
}

// TestValuesThatDoNotFit is refused, not rounded: a door held for 0 s because
// somebody asked for 6554 is worse than an error.
func TestValuesThatDoNotFit(t *testing.T) {
	for _, c := range []osdp.Command{
		osdp.OUT{{Timer: 150 * time.Millisecond}},
		osdp.OUT{{Timer: 6554 * time.Second}},
		osdp.OUT{{Timer: -100 * time.Millisecond}},
		osdp.LED{{Timer: time.Millisecond}},
		osdp.LED{{Temporary: osdp.Blink{On: 26 * time.Second}}},
		osdp.LED{{Permanent: osdp.Blink{Off: 26 * time.Second}}},
		osdp.BUZ{On: 26 * time.Second},
		osdp.BUZ{Off: time.Millisecond},
		osdp.TEXT{Time: 256 * time.Second},
		osdp.TEXT{Text: strings.Repeat("x", 256)},
		osdp.KEEPACTIVE{Time: 66 * time.Second},
		osdp.KEYSET{Key: make([]byte, 256)},
		osdp.BIOMATCH{Template: make([]byte, 0x10000)},
		osdp.FILETRANSFER{Data: make([]byte, 0x10000)},
		osdp.PIVDATA{Offset: 256},
		osdp.GENAUTH{Data: []byte{1}}, // the header says 0
		osdp.GENAUTH{Part: osdp.Part{Total: 2, Offset: 1}, Algorithm: 7},
		osdp.CRAUTH{Part: osdp.Part{Total: 2, Offset: 1}, KeyRef: 7},
		osdp.CRAUTH{Part: osdp.Part{Total: 2, Length: 2}},
		osdp.EnterPIN{First: 256 * time.Second},
		osdp.EnterPIN{Next: time.Millisecond},
		osdp.EnterPIN{Encoding: 4},
		osdp.EnterPIN{Offset: 16},
		osdp.EnterPIN{Block: 16},
		osdp.EnterPIN{LengthBits: 16},
		osdp.EnterPIN{LengthOffset: 16},
		osdp.EnterPIN{APDU: make([]byte, 0x10000)},
	} {
		if _, err := c.AppendData(nil); !errors.Is(err, osdp.ErrValue) {
			t.Errorf("%+v: error %v, want ErrValue", c, err)
		}
	}
	for _, r := range []osdp.Reply{
		osdp.RAW{Bits: 9, Data: []byte{1}}, osdp.RAW{Bits: -1}, osdp.RAW{Bits: 0x10000, Data: make([]byte, 0x2000)},
		osdp.FMT{Chars: make([]byte, 256)}, osdp.KEYPAD{Keys: make([]byte, 256)},
		osdp.BIOREADR{Template: make([]byte, 0x10000)},
		osdp.FTSTAT{Delay: time.Microsecond}, osdp.FTSTAT{Delay: 66 * time.Second},
		osdp.PIVDATAR{Data: []byte{1}}, osdp.GENAUTHR{Part: osdp.Part{Length: 1}}, osdp.CRAUTHR{Data: []byte{1}}, osdp.EXTPDIDPart{Data: []byte{1}},
		osdp.EXTPDID{{Value: strings.Repeat("x", 0x10000)}},
		osdp.CardPresent{NoStatus: true, Status: osdp.CardContact},
		osdp.CardInfo{CSN: make([]byte, 256)}, osdp.CardInfo{Data: make([]byte, 256)},
	} {
		if _, err := r.AppendData(nil); !errors.Is(err, osdp.ErrValue) {
			t.Errorf("%v: error %v, want ErrValue", r, err)
		}
	}
}

// FuzzCommand holds the commands to: what the bytes mean goes back to them.
func FuzzCommand(f *testing.F) {
	for i, v := range wireStrings(f) {
		if _, fr, err := parseOne(v.b); err == nil && !fr.Reply && i%10 == 0 {
			f.Add(fr.Code, fr.Data)
		}
	}
	f.Add(osdp.CodeKEEPACTIVE, []byte{1, 2})
	f.Add(osdp.CodeTEXT, []byte{0, 1, 0, 1, 1, 2, 'h', 'i'})
	f.Add(osdp.CodeXWR, []byte{1, 3, 0, 30, 5, 0x8a, 0x46, 0x14, 4, 8, 2, 1, 4, 9, 0, 0, 0, 0, 0, 2, 0, 0x20})
	f.Add(osdp.CodeXWR, []byte{0, 1})
	f.Add(osdp.CodeGENAUTH, []byte{2, 0, 1, 0, 1, 0, 9})
	f.Add(osdp.CodePIVDATA, []byte{0x5f, 0xc1, 2, 0, 0, 1})
	f.Fuzz(func(t *testing.T, code byte, data []byte) {
		c := osdp.ParseCommand(code, data)
		got, err := c.AppendData([]byte{0xee})
		if err != nil || c.Code() != code || got[0] != 0xee || !bytes.Equal(got[1:], data) {
			t.Errorf("%02x % x\nbecame %02x % x, %v", code, data, c.Code(), got, err)
		}
		if x, ok := c.(osdp.XWR); ok {
			if got, err := x.Meaning().AppendData(nil); err != nil || !bytes.Equal(got, data) {
				t.Errorf("XWR % x means % x, %v", data, got, err)
			}
		}
	})
}

// FuzzReply holds the replies to: what the bytes mean goes back to them.
func FuzzReply(f *testing.F) {
	for i, v := range wireStrings(f) {
		if _, fr, err := parseOne(v.b); err == nil && fr.Reply && i%10 == 0 {
			f.Add(fr.Code, fr.Data)
		}
	}
	f.Add(osdp.CodeFMT, []byte{0, 1, 2, '1', '2'})
	f.Add(osdp.CodeRAW, []byte{0, 1, 0xff, 0xff, 1})
	f.Add(osdp.CodeEXTPDID, []byte{0, 1, 0, 'A', 3, 2, 0, '1', '2'})
	f.Add(osdp.CodeEXTPDID, []byte{3, 0, 0, 0, 3, 0, 0, 0, 0})
	f.Add(osdp.CodeXRD, []byte{1, 1, 0, 0, 0x90, 0})
	f.Add(osdp.CodeXRD, []byte{0, 2, 0, 1, 1, 1, 7, 8})
	f.Fuzz(func(t *testing.T, code byte, data []byte) {
		r := osdp.ParseReply(code, data)
		got, err := r.AppendData([]byte{0xee})
		if err != nil || r.Code() != code || got[0] != 0xee || !bytes.Equal(got[1:], data) {
			t.Errorf("%02x % x\nbecame %02x % x, %v", code, data, r.Code(), got, err)
		}
		// An answer of a card may stand under the number of a presence; it is
		// given back under its own.
		if x, ok := r.(osdp.XRD); ok {
			want := bytes.Clone(data)
			if _, ok := x.Meaning().(osdp.CardAnswer); ok {
				want[1] = 2
			}
			if got, err := x.Meaning().AppendData(nil); err != nil || !bytes.Equal(got, want) {
				t.Errorf("XRD % x means % x, %v", data, got, err)
			}
		}
	})
}
