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
	} {
		if _, err := c.AppendData(nil); !errors.Is(err, osdp.ErrValue) {
			t.Errorf("%+v: error %v, want ErrValue", c, err)
		}
	}
	for _, r := range []osdp.Reply{
		osdp.RAW{Bits: 9, Data: []byte{1}}, osdp.RAW{Bits: -1}, osdp.RAW{Bits: 0x10000, Data: make([]byte, 0x2000)},
		osdp.FMT{Chars: make([]byte, 256)}, osdp.KEYPAD{Keys: make([]byte, 256)},
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
	f.Fuzz(func(t *testing.T, code byte, data []byte) {
		c := osdp.ParseCommand(code, data)
		got, err := c.AppendData([]byte{0xee})
		if err != nil || c.Code() != code || got[0] != 0xee || !bytes.Equal(got[1:], data) {
			t.Errorf("%02x % x\nbecame %02x % x, %v", code, data, c.Code(), got, err)
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
	f.Fuzz(func(t *testing.T, code byte, data []byte) {
		r := osdp.ParseReply(code, data)
		got, err := r.AppendData([]byte{0xee})
		if err != nil || r.Code() != code || got[0] != 0xee || !bytes.Equal(got[1:], data) {
			t.Errorf("%02x % x\nbecame %02x % x, %v", code, data, r.Code(), got, err)
		}
	})
}

func TestPINPad(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	type press struct {
		after time.Duration
		keys  string
	}
	for _, tt := range []struct {
		name  string
		pad   osdp.PINPad
		keys  []press
		want  string // PINs that keys end, with a blank between
		later string // the PIN that the pause ends
	}{
		{"one key at a time", osdp.PINPad{}, []press{{0, "1"}, {1, "2"}, {1, "3"}, {1, "4"}, {1, "#"}}, "1234", ""},
		{"all at once", osdp.PINPad{}, []press{{0, "1234#"}}, "1234", ""},
		{"two at once", osdp.PINPad{}, []press{{0, "12#34#5"}}, "12 34", "5"},
		{"no end key", osdp.PINPad{}, []press{{0, "1234"}}, "", "1234"},
		{"star takes back", osdp.PINPad{}, []press{{0, "99*12#"}}, "12", ""},
		{"end key alone", osdp.PINPad{}, []press{{0, "##"}}, "", ""},
		{"pause ends it before the next key", osdp.PINPad{}, []press{{0, "12"}, {3 * time.Second, "34"}}, "12", "34"},
		{"shorter than the pause", osdp.PINPad{Pause: 5 * time.Second}, []press{{0, "12"}, {4 * time.Second, "34"}}, "", "1234"},
		{"fixed length", osdp.PINPad{Length: 4}, []press{{0, "123456"}}, "1234", "56"},
		{"fixed length and end key", osdp.PINPad{Length: 4}, []press{{0, "1234#"}}, "1234", ""},
		{"too long", osdp.PINPad{Most: 4}, []press{{0, "12345#12#"}}, "12", ""},
		{"too long, then the pause", osdp.PINPad{Most: 4}, []press{{0, "12345"}, {time.Minute, "1"}}, "", "1"},
		{"letters are no digits", osdp.PINPad{}, []press{{0, "A1B2#"}}, "12", ""},
	} {
		now := start
		var got []string
		for _, p := range tt.keys {
			now = now.Add(p.after)
			got = append(got, tt.pad.Keys(now, p.keys)...)
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%s: PINs %q, want %q", tt.name, s, tt.want)
		}
		if pin, ok := tt.pad.Expire(now.Add(time.Second)); ok {
			t.Errorf("%s: PIN %q after a second", tt.name, pin)
		}
		if pin, ok := tt.pad.Expire(now.Add(time.Hour)); pin != tt.later || ok != (pin != "") {
			t.Errorf("%s: PIN %q by the pause, want %q", tt.name, pin, tt.later)
		}
		if _, ok := tt.pad.Deadline(); ok {
			t.Errorf("%s: still waits after the pause", tt.name)
		}
	}
}
