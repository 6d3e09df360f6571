package peer

import (
	"bytes"
	"io"
	"testing"
	"time"

	"latchkey/osdp"
	"latchkey/serialline"
)

// A serialEnd is one end of a wire with nobody's protocol on it.
type serialEnd struct{ port serialline.Port }

func openEnd(t *testing.T, path string) *serialEnd {
	t.Helper()
	port, err := serialline.Open(serialline.Config{Path: path, Baud: 115200})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { port.Close() })
	return &serialEnd{port}
}

func (e *serialEnd) write(t *testing.T, b []byte) {
	t.Helper()
	if _, err := e.port.Write(b); err != nil {
		t.Fatal(err)
	}
}

func (e *serialEnd) wants(t *testing.T, want []byte) {
	t.Helper()
	e.port.SetReadDeadline(time.Now().Add(patience))
	got := make([]byte, len(want))
	if n, err := io.ReadFull(e.port, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("% x, %v; want % x", got[:n], err, want)
	}
}

func frame(t *testing.T, f osdp.Frame) []byte {
	t.Helper()
	b, err := f.AppendBinary([]byte{osdp.Mark})
	if err != nil {
		t.Fatal(err)
	}
	return b
}
