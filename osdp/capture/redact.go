package capture

import (
	"bytes"
	"slices"

	"latchkey/osdp"
)

// A redactor blanks the secrets of a trace, record by record. The zero redactor
// is ready.
type redactor struct {
	channels map[place]*weakChannel
}

// record is r with its secrets blanked, and its checks made anew, so that the
// trace can still be read. It leaves r.Data as it is. r is whole: what stands
// in no frame may be the rest of a damaged one, and is blanked.
func (d *redactor) record(r Record) Record {
	was := r.Data
	r.Data = slices.Clone(was)
	pieces, rest := cut(r.Data)
	for _, p := range pieces {
		b := r.Data[p.from:p.to]
		switch p.kind {
		case noise:
			blankNoise(b)
		case bad:
			blankBad(b, p.frame)
		case good:
			d.good(r.Line, b, p.frame)
		}
	}
	blankNoise(r.Data[rest:])
	r.Redacted = r.Redacted || !bytes.Equal(was, r.Data)
	return r
}

// blankNoise zeroes what is no MARK byte.
func blankNoise(b []byte) {
	for i, v := range b {
		if v != osdp.Mark {
			b[i] = 0
		}
	}
}

// good blanks the frame f of line, whose bytes are b.
func (d *redactor) good(line string, b []byte, f osdp.Frame) {
	at := place{line, f.Addr}
	c := d.channels[at]
	if c == nil {
		c = new(weakChannel)
	}
	data := f.Data
	switch {
	case f.SCBType >= osdp.SCS15 && f.SCBType <= osdp.SCS18 && c.open:
		data = c.blank(b, f)
	case sealed(f):
		return // nobody reads it without the key
	default:
		c.handshakes(b, f)
		d.keep(at, c)
		clear(f.SCBData[min(openSelector(f.SCBType), len(f.SCBData)):])
		blank(f.Reply, f.Code, f.Data)
		rewrite(b, f)
	}
	if addr, ok := moves(f, data); ok {
		d.keep(place{line, addr}, c)
	}
}

// keep remembers a channel that is, or may become, of interest.
func (d *redactor) keep(at place, c *weakChannel) {
	if c.chlng.Code != osdp.CodeCHLNG {
		return
	}
	if d.channels == nil {
		d.channels = map[place]*weakChannel{}
	}
	d.channels[at] = c
}

// blankBad blanks a frame whose check is wrong. Nothing in it is to be believed, its
// code as little as its block. The check stays as wrong as it was.
func blankBad(b []byte, f osdp.Frame) {
	received := checkOf(b, f)
	rewrite(b, f)
	right := checkOf(b, f)
	clear(f.SCBData)
	clear(f.Data)
	f.MAC = [4]byte{}
	rewrite(b, f)
	for i := range received {
		b[len(b)-len(received)+i] ^= received[i] ^ right[i]
	}
}

// checkOf copies the CRC or the checksum of f, whose bytes are b.
func checkOf(b []byte, f osdp.Frame) []byte {
	n := 2
	if f.Checksum {
		n = 1
	}
	return slices.Clone(b[len(b)-n:])
}

// rewrite puts f, as it is now, into b: the bytes that it was parsed from. So
// it fits, and nothing in it is new but values.
func rewrite(b []byte, f osdp.Frame) {
	if _, err := f.AppendBinary(b[:0:len(b)]); err != nil {
		clear(b)
	}
}

// sealed says whether the data of f is encrypted, as far as its looks tell.
// Data of other lengths is none that AES gave, whatever the block says.
func sealed(f osdp.Frame) bool {
	return (f.SCBType == osdp.SCS17 || f.SCBType == osdp.SCS18) && len(f.SCBData) == 0 && len(f.Data)%16 == 0
}
