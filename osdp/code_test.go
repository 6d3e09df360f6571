package osdp_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey/osdp"
)

func TestNames(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{osdp.CommandName(osdp.CodePOLL), "POLL"},
		{osdp.CommandName(osdp.CodeRMODE), "RMODE"},
		{osdp.CommandName(osdp.CodeKEEPACTIVE), "KEEPACTIVE"},
		{osdp.CommandName(0xe1), "0xE1"},
		{osdp.CommandName(0), "0x00"},
		{osdp.ReplyName(osdp.CodeACK), "ACK"},
		{osdp.ReplyName(osdp.CodeRMACI), "RMAC_I"},
		{osdp.ReplyName(osdp.CodeXRD), "XRD"},
		{osdp.ReplyName(osdp.CodePOLL), "0x60"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %s, want %s", tt.got, tt.want)
		}
	}
}

// TestEveryCodeHasAName: what a parser understands, a trace can name.
func TestEveryCodeHasAName(t *testing.T) {
	for code := range 0x100 {
		for n := range 40 {
			data := make([]byte, n)
			if _, raw := osdp.ParseCommand(byte(code), data).(osdp.RawCommand); !raw && strings.HasPrefix(osdp.CommandName(byte(code)), "0x") {
				t.Errorf("command 0x%02x has no name", code)
			}
			if _, raw := osdp.ParseReply(byte(code), data).(osdp.RawReply); !raw && strings.HasPrefix(osdp.ReplyName(byte(code)), "0x") {
				t.Errorf("reply 0x%02x has no name", code)
			}
		}
	}
}

// TestWrongLengths: what is a byte short or long is never taken for the real
// thing, whatever the code.
func TestWrongLengths(t *testing.T) {
	long := make([]byte, 3)
	for code, lengths := range map[byte][]int{
		osdp.CodePOLL: {0}, osdp.CodeID: {1}, osdp.CodeCAP: {1}, osdp.CodeLSTAT: {0}, osdp.CodeISTAT: {0}, osdp.CodeOSTAT: {0}, osdp.CodeRSTAT: {0},
		osdp.CodeBUZ: {5}, osdp.CodeTDSET: {7}, osdp.CodeCOMSET: {5}, osdp.CodeBIOREAD: {4}, osdp.CodeBIOMATCH: {6}, osdp.CodeKEYSET: {2},
		osdp.CodeCHLNG: {8}, osdp.CodeSCRYPT: {16}, osdp.CodeACURXSIZE: {2}, osdp.CodeFILETRANSFER: {11}, osdp.CodeABORT: {0},
		osdp.CodePIVDATA: {5, 6}, osdp.CodeGENAUTH: {8}, osdp.CodeCRAUTH: {8}, osdp.CodeKEEPACTIVE: {2}, osdp.CodeTEXT: {6},
	} {
		for n := range 20 {
			_, raw := osdp.ParseCommand(code, make([]byte, n)).(osdp.RawCommand)
			if want := !slices.Contains(lengths, n); raw != want {
				t.Errorf("%s of %d bytes: raw %v, want %v", osdp.CommandName(code), n, raw, want)
			}
		}
	}
	for code, lengths := range map[byte][]int{
		osdp.CodeACK: {0}, osdp.CodeBUSY: {0}, osdp.CodePDID: {12}, osdp.CodeLSTATR: {2}, osdp.CodeCOM: {5}, osdp.CodeBIOREADR: {6},
		osdp.CodeBIOMATCHR: {3}, osdp.CodeCCRYPT: {32}, osdp.CodeRMACI: {16}, osdp.CodeFTSTAT: {7}, osdp.CodePIVDATAR: {6},
		osdp.CodeGENAUTHR: {6}, osdp.CodeCRAUTHR: {6}, osdp.CodeMFGSTATR: {1}, osdp.CodeMFGERRR: {1},
	} {
		for n := range 40 {
			_, raw := osdp.ParseReply(code, make([]byte, n)).(osdp.RawReply)
			if want := !slices.Contains(lengths, n); raw != want {
				t.Errorf("%s of %d bytes: raw %v, want %v", osdp.ReplyName(code), n, raw, want)
			}
		}
	}
	for _, code := range []byte{osdp.CodeDIAG, osdp.CodeRMODE, 0x6f, 0xe1} {
		if c, raw := osdp.ParseCommand(code, long).(osdp.RawCommand); !raw || c.Op != code || !bytes.Equal(c.Data, long) {
			t.Errorf("command 0x%02x is %v", code, c)
		}
	}
}

func TestClockAt(t *testing.T) {
	zone := time.FixedZone("here", 3600)
	got := osdp.ClockAt(time.Date(2026, 11, 22, 0, 2, 3, 999, time.UTC).In(zone))
	if want := (osdp.TDSET{Year: 2026, Month: 11, Day: 22, Hour: 1, Minute: 2, Second: 3}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestPollAllocatesNothing holds the exchange that a line makes all day to no
// garbage.
func TestPollAllocatesNothing(t *testing.T) {
	buf := make([]byte, 0, 16)
	for _, tt := range []struct {
		name string
		run  func() error
	}{
		{"POLL", func() error { _, err := osdp.ParseCommand(osdp.CodePOLL, nil).AppendData(buf); return err }},
		{"ACK", func() error { _, err := osdp.ParseReply(osdp.CodeACK, nil).AppendData(buf); return err }},
	} {
		if n := testing.AllocsPerRun(100, func() {
			if err := tt.run(); err != nil {
				t.Error(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations, want 0", tt.name, n)
		}
	}
}

// TestExtendedIdentity reads the fields, and refuses what is cut short.
func TestExtendedIdentity(t *testing.T) {
	want := osdp.EXTPDID{{osdp.IDManufacturer, "Acme"}, {osdp.IDFirmware, "1.0"}, {osdp.IDFirmware, "2.0"}, {0x80, ""}}
	b, err := want.AppendData(nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := osdp.ParseEXTPDID(b)
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	if v, ok := got.Find(osdp.IDFirmware); !ok || v != "1.0" {
		t.Errorf("firmware %q, %v", v, ok)
	}
	if v, ok := got.Find(osdp.IDURL); ok {
		t.Errorf("URL %q, want none", v)
	}
	whole := map[int]bool{0: true, 7: true, 13: true, 19: true, 22: true} // bytes up to the end of each field
	for n := range len(b) + 1 {
		if _, err := osdp.ParseEXTPDID(b[:n]); (err == nil) != whole[n] {
			t.Errorf("%d bytes: error %v", n, err)
		}
	}
}
