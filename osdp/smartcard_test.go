package osdp_test

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"testing"
	"time"

	"latchkey/osdp"
)

// TestSmartCardCommands holds what the bytes of XWR ask.
func TestSmartCardCommands(t *testing.T) {
	for _, tt := range []struct {
		data string
		want osdp.Command
	}{
		{"0001", osdp.GetMode{}},
		{"00020100", osdp.SetMode{Mode: osdp.ModeTransparent}},
		{"01010000a4040007a000000308000000", osdp.SendAPDU{APDU: []byte{0, 0xa4, 4, 0, 7, 0xa0, 0, 0, 3, 8, 0, 0, 0}}},
		{"010200", osdp.EndCard{}},
		{"010401", osdp.ScanCard{Reader: 1}},
		{"0103" + "001e05" + "8d" + "48" + "11" + "0408" + "02" + "01" + "0409" + "00" + "000000" + "0005" + "0020008000",
			osdp.EnterPIN{First: 30 * time.Second, Next: 5 * time.Second, Encoding: osdp.PINBCD, Right: true,
				Offset: 1, OffsetInBytes: true, Block: 8, LengthBits: 4, LengthOffset: 1, LengthInBytes: true,
				Min: 4, Max: 8, Complete: osdp.PINAtKey, Messages: 1, Language: 0x0409, APDU: []byte{0, 0x20, 0, 0x80, 0}}},
	} {
		data, err := hex.DecodeString(tt.data)
		if err != nil {
			t.Fatal(err)
		}
		x, ok := osdp.ParseCommand(osdp.CodeXWR, data).(osdp.XWR)
		if got := x.Meaning(); !ok || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %#v, want %#v", tt.data, got, tt.want)
		}
		if got, err := tt.want.AppendData(nil); err != nil || !bytes.Equal(got, data) || tt.want.Code() != osdp.CodeXWR {
			t.Errorf("%v: %x, %v; want %s", tt.want, got, err, tt.data)
		}
	}
	for _, odd := range []string{"000100", "000201", "0101", "0102", "01040000", "0105", "02010000",
		"0103001e058d48310408020104090000000000050020008000", // reserved bits in the length format
		"0103001e058d48110408020104090000000000060020008000", // an APDU that is shorter than told
		"0103001e058d481104080201040900000000"} {
		data, _ := hex.DecodeString(odd)
		x := osdp.ParseCommand(osdp.CodeXWR, data).(osdp.XWR)
		if got := x.Meaning(); !reflect.DeepEqual(got, x) {
			t.Errorf("%s: %#v, want it as it is", odd, got)
		}
	}
}

// TestSmartCardReplies holds what the bytes of XRD tell.
func TestSmartCardReplies(t *testing.T) {
	for _, tt := range []struct {
		data string
		want osdp.Reply
		back string // what want is written as, when not as data
	}{
		{"000007", osdp.TransparentError{Mode: osdp.ModeControl, Kind: 7}, ""},
		{"010007", osdp.TransparentError{Mode: osdp.ModeTransparent, Kind: 7}, ""},
		{"00010100", osdp.ModeReport{Mode: osdp.ModeTransparent}, ""},
		{"000200010402" + "deadbeef" + "0102", osdp.CardInfo{Protocol: osdp.ProtocolContactless, CSN: []byte{0xde, 0xad, 0xbe, 0xef}, Data: []byte{1, 2}}, ""},
		{"01010002", osdp.CardPresent{Status: osdp.CardContactless}, ""},
		{"010101", osdp.CardPresent{Reader: 1, NoStatus: true}, ""},
		{"010200006f009000", osdp.CardAnswer{APDU: []byte{0x6f, 0, 0x90, 0}}, ""},
		{"010100006f009000", osdp.CardAnswer{APDU: []byte{0x6f, 0, 0x90, 0}}, "010200006f009000"},
		{"0103000003", osdp.PINEntered{Tries: 3}, ""},
	} {
		data, err := hex.DecodeString(tt.data)
		if err != nil {
			t.Fatal(err)
		}
		x, ok := osdp.ParseReply(osdp.CodeXRD, data).(osdp.XRD)
		if got := x.Meaning(); !ok || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %#v, want %#v", tt.data, got, tt.want)
		}
		back := tt.data
		if tt.back != "" {
			back = tt.back
		}
		if got, err := tt.want.AppendData(nil); err != nil || hex.EncodeToString(got) != back || tt.want.Code() != osdp.CodeXRD {
			t.Errorf("%v: %x, %v; want %s", tt.want, got, err, back)
		}
	}
	for _, odd := range []string{"0000", "000101", "0002000104", "0002000104020102030405", "0101", "01010000" + "90", "010200", "01030000", "0104", "0200"} {
		data, _ := hex.DecodeString(odd)
		x := osdp.ParseReply(osdp.CodeXRD, data).(osdp.XRD)
		if got := x.Meaning(); !reflect.DeepEqual(got, x) {
			t.Errorf("%s: %#v, want it as it is", odd, got)
		}
	}
	long := osdp.CardInfo{CSN: bytes.Repeat([]byte{1}, 255), Data: bytes.Repeat([]byte{2}, 255)}
	b, err := long.AppendData(nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := osdp.ParseReply(osdp.CodeXRD, b).(osdp.XRD).Meaning(); !reflect.DeepEqual(got, long) {
		t.Errorf("card info of 255 and 255 bytes became %#v", got)
	}
}
