package osdp

import "testing"

// TestCRC holds the CRC of all lengths against the polynomial, bit by bit.
func TestCRC(t *testing.T) {
	// The check value that the catalogues give for CRC-16/SPI-FUJITSU.
	if got := crc([]byte("123456789")); got != 0xe5cc {
		t.Errorf("crc = %04x, want e5cc", got)
	}
	b := make([]byte, 0, 600)
	want := uint16(0x1d0f)
	for i := range cap(b) {
		v := byte(i*i + 7*i + i>>8)
		b = append(b, v)
		want ^= uint16(v) << 8
		for range 8 {
			if want&0x8000 != 0 {
				want = want<<1 ^ 0x1021
			} else {
				want <<= 1
			}
		}
		if got := crc(b); got != want {
			t.Fatalf("crc of %d bytes = %04x, want %04x", len(b), got, want)
		}
	}
}
