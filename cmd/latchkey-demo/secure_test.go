package main

import (
	"strings"
	"testing"

	"latchkey/controller"
)

// TestSecured: one reader without encryption is enough to fail, and so are none
// at all; what hangs on a controller of its own is not asked.
func TestSecured(t *testing.T) {
	reader := func(online, secure bool, encryption string) controller.ReaderStatus {
		return controller.ReaderStatus{Name: "r", Online: online, Secure: secure, Encryption: encryption}
	}
	good := reader(true, true, controller.Encrypted)
	for _, tt := range []struct {
		name    string
		readers []controller.ReaderStatus
		want    string // in the error; empty is none
	}{
		{"all", []controller.ReaderStatus{good, good}, ""},
		{"none", nil, "no OSDP readers"},
		{"clear", []controller.ReaderStatus{good, reader(true, false, "not encrypted")}, "online true, not encrypted"},
		{"offline", []controller.ReaderStatus{reader(false, false, "no encrypted line now"), good}, "online false"},
		{"label", []controller.ReaderStatus{reader(true, true, "")}, "online true"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := lineState{[]controller.Status{
				{Kind: "osdp", Readers: tt.readers, Line: &controller.LineStatus{Handshakes: 3}},
				{Kind: "serial", Readers: []controller.ReaderStatus{reader(true, false, "not encrypted")}},
			}}
			names, handshakes, err := s.secured()
			if tt.want == "" && (err != nil || len(names) != len(tt.readers) || handshakes != 3) {
				t.Errorf("%v, %d, %v", names, handshakes, err)
			}
			if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}
