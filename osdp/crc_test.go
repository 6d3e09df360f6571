package osdp

import "testing"

func TestCRC(t *testing.T) {
	// The check value that the catalogues give for CRC-16/SPI-FUJITSU.
	if got := crc([]byte("123456789")); got != 0xe5cc {
		t.Errorf("crc = %04x, want e5cc", got)
	}
	for i, got := range crcTable {
		c := uint16(i) << 8
		for range 8 {
			if c&0x8000 != 0 {
				c = c<<1 ^ 0x1021
			} else {
				c <<= 1
			}
		}
		if got != c {
			t.Errorf("crcTable[%d] = %04x, want %04x", i, got, c)
		}
	}
}

// TestCRCAhead holds the eight bytes at once against one after the other.
func TestCRCAhead(t *testing.T) {
	b := make([]byte, 100)
	for i := range b {
		b[i] = byte(i*i + 7*i)
		want := uint16(0x1d0f)
		for _, v := range b[:i] {
			want = want<<8 ^ crcTable[byte(want>>8)^v]
		}
		if got := crc(b[:i]); got != want {
			t.Errorf("crc of %d bytes = %04x, want %04x", i, got, want)
		}
	}
}
