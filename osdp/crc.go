package osdp

// crc is CRC-16 with polynomial 0x1021 and start value 0x1d0f, the one that
// annex C of the standard gives, not the 0xffff of most libraries.
func crc(b []byte) uint16 {
	c, t := uint32(0x1d0f), crcAhead
	for ; len(b) >= 8; b = b[8:] {
		// What c goes into comes last, so that the rest need not wait for it.
		ahead := t[5][b[2]] ^ t[4][b[3]] ^ t[3][b[4]] ^ t[2][b[5]] ^ t[1][b[6]] ^ t[0][b[7]]
		c = ahead ^ t[7][b[0]^byte(c>>8)] ^ t[6][b[1]^byte(c)]
	}
	if len(b) >= 4 {
		c = t[1][b[2]] ^ t[0][b[3]] ^ t[3][b[0]^byte(c>>8)] ^ t[2][b[1]^byte(c)]
		b = b[4:]
	}
	for _, v := range b {
		c = c<<8 ^ t[0][byte(c>>8)^v]
	}
	return uint16(c)
}

// crcAhead[k] is the CRC of each byte value that k more bytes stand behind, so
// that eight bytes can be looked up at once: for long frames the CRC is most of
// the work. It is behind a pointer and of words, so that a look-up is one
// instruction.
var crcAhead = ahead()

func ahead() *[8][256]uint32 {
	t := new([8][256]uint32)
	for i := range t[0] {
		c := uint32(i) << 8
		for range 8 {
			c = c<<1&0xffff ^ c>>15*0x1021
		}
		t[0][i] = c
	}
	for k := 1; k < len(t); k++ {
		for i, c := range t[k-1] {
			t[k][i] = c<<8&0xffff ^ t[0][c>>8]
		}
	}
	return t
}
