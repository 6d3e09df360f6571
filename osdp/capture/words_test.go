package capture_test

import (
	"fmt"
	"testing"
	"time"

	"latchkey/osdp"
	"latchkey/osdp/capture"
)

// message is what a Decoder makes of one frame.
func message(t *testing.T, f osdp.Frame) capture.Message {
	t.Helper()
	list := decode(nil, []capture.Record{{Time: dawn, FromACU: !f.Reply, Data: frame(t, f)}})
	if len(list) != 1 {
		t.Fatalf("%d messages of %v", len(list), f)
	}
	return list[0]
}

// TestWords: what people read of commands and replies that the recorded
// sessions do not have.
func TestWords(t *testing.T) {
	commands := map[string]osdp.Command{
		"panel → PD 3: ID extended":                              osdp.ID{Kind: osdp.IDExtended},
		"panel → PD 3: OUT output 2 off for 500ms; output 1 99":  osdp.OUT{{Output: 2, Action: osdp.OutputOffFor, Timer: time.Second / 2}, {Output: 1, Action: 99}},
		"panel → PD 3: LED reader 1 LED 2 from then on red":      osdp.LED{{Reader: 1, LED: 2, Permanent: osdp.Blink{Code: osdp.LEDPerm, Off: time.Second, OffColor: osdp.Red}}},
		"panel → PD 3: BUZ reader 0 on, 3 times 100ms on 0s off": osdp.BUZ{Tone: osdp.ToneDefault, On: time.Second / 10, Count: 3},
		"panel → PD 3: COMSET address 5, 38400 bit/s":            osdp.COMSET{Addr: 5, Baud: 38400},
		"panel → PD 3: ACURXSIZE 1440 bytes":                     osdp.ACURXSIZE{Size: 1440},
		"panel → PD 3: KEEPACTIVE 2s":                            osdp.KEEPACTIVE{Time: 2 * time.Second},
		"panel → PD 3: XWR asks for the mode":                    osdp.GetMode{},
		"panel → PD 3: XWR mode 7 command 7, 1 bytes (hidden)":   osdp.XWR{Mode: 7, Command: 7, Data: []byte{1}},
		"panel → PD 3: KEYSET key of 16 bytes (hidden)":          osdp.KEYSET{Kind: 1, Key: make([]byte, 16)},
		"panel → PD 3: 0xE1 1 byte (hidden)":                     osdp.RawCommand{Op: 0xe1, Data: []byte{1}},
		"panel → PD 3: POLL 2 bytes (hidden)":                    osdp.RawCommand{Op: osdp.CodePOLL, Data: []byte{1, 2}},
		"panel → PD 3: DIAG":                                     osdp.RawCommand{Op: osdp.CodeDIAG},
	}
	for want, c := range commands {
		data, err := c.AppendData(nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%+v", message(t, osdp.Frame{Addr: 3, Code: c.Code(), Data: data})); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	replies := map[string]osdp.Reply{
		"PD 3 → panel: NAK unexpected sequence":                            osdp.NAK{Reason: osdp.NAKSequence},
		"PD 3 → panel: LSTATR no tamper, power good":                       osdp.LSTATR{},
		"PD 3 → panel: ISTATR inactive; short; 9":                          osdp.ISTATR{0, 2, 9},
		"PD 3 → panel: COM address 5, 9600 bit/s":                          osdp.COM{Addr: 5, Baud: 9600},
		"PD 3 → panel: FTSTAT go on, wait 1s, wants the rest in the clear": osdp.FTSTAT{Action: osdp.FTLeaveSC, Delay: time.Second},
		"PD 3 → panel: FTSTAT status 9":                                    osdp.FTSTAT{Status: 9},
		"PD 3 → panel: BIOMATCHR reader 1, nobody came, score 0":           osdp.BIOMATCHR{Reader: 1, Status: osdp.BioTimeout},
		"PD 3 → panel: XRD mode 1, error 4":                                osdp.TransparentError{Mode: 1, Kind: 4},
		"PD 3 → panel: XRD mode 1, configuration 2":                        osdp.ModeReport{Mode: 1, Config: 2},
		"PD 3 → panel: XRD reader 0, PIN entry over, status 0, 2 tries":    osdp.PINEntered{Tries: 2},
		"PD 3 → panel: MFGREP of vendor 010203, 1 bytes (hidden)":          osdp.MFGREP{Vendor: [3]byte{1, 2, 3}, Data: []byte{4}},
	}
	for want, r := range replies {
		data, err := r.AppendData(nil)
		if err != nil {
			t.Fatal(err)
		}
		m := message(t, osdp.Frame{Addr: 3, Reply: true, Code: r.Code(), Data: data})
		if text, err := m.MarshalText(); err != nil || string(text) != want {
			t.Errorf("got %s, want %s", text, want)
		}
	}
	for want, f := range map[string]osdp.Frame{
		"panel → all: COMSET address 1, 9600 bit/s":           {Addr: osdp.Broadcast, Code: osdp.CodeCOMSET, Data: []byte{1, 0x80, 0x25, 0, 0}},
		"PD 3 → panel: RMAC_I the PD refuses the panel's key": {Addr: 3, Reply: true, Code: osdp.CodeRMACI, SCBType: osdp.SCS14, SCBData: []byte{0xff}},
		"panel → PD 3: POLL 0 bytes":                          {Addr: 3, Code: osdp.CodePOLL, SCBType: 0x21, SCBData: []byte{1}},
	} {
		if got := message(t, f).String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	m := message(t, osdp.Frame{Code: osdp.CodePOLL, SCBType: 0x21})
	if want := "not followed, security block 0x21 is not known"; m.Flags() != want {
		t.Errorf("got %s, want %s", m.Flags(), want)
	}
	if got := capture.Verdict(99).String(); got != "verdict 99" {
		t.Error(got)
	}
}
