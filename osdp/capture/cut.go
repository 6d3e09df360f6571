package capture

import (
	"errors"

	"latchkey/osdp"
)

// A kind is what a piece of a record is.
type kind uint8

const (
	noise kind = iota // bytes in no frame, MARK bytes among them
	good              // a frame
	bad               // a frame whose check is wrong
)

// A piece is a part of a record: data[from:to].
type piece struct {
	kind     kind
	from, to int
	frame    osdp.Frame // of good and bad; its slices point into the record
}

// cut takes data apart, without a gap. rest is where a frame begins that is not
// whole, len(data) when there is none. A good frame counts wherever it stands,
// so that a stray SOM or a damaged length does not hide it.
func cut(data []byte) (pieces []piece, rest int) {
	begun := 0 // of the noise before at
	put := func(p piece) {
		if begun < p.from {
			pieces = append(pieces, piece{from: begun, to: p.from})
		}
		if p.from < p.to {
			pieces = append(pieces, p)
		}
		begun = p.to
	}
	for at := 0; at < len(data); {
		f, n, err := osdp.ParseFrame(data[at:])
		switch {
		case err == nil:
			put(piece{good, at, at + n, f})
			at += n
		case errors.Is(err, osdp.ErrCheck):
			if next := findGood(data, at+1, at+n); next > 0 {
				at = next
				continue
			}
			put(piece{bad, at, at + n, f})
			at += n
		case errors.Is(err, osdp.ErrShort):
			if next := findGood(data, at+1, len(data)); next > 0 {
				at = next
				continue
			}
			put(piece{from: at, to: at})
			return pieces, at
		default:
			at++
		}
	}
	put(piece{from: len(data), to: len(data)})
	return pieces, len(data)
}

// findGood is where the first good frame begins in data[from:to], 0 for none.
func findGood(data []byte, from, to int) int {
	for at := from; at < to; at++ {
		if data[at] != osdp.SOM {
			continue
		}
		if _, _, err := osdp.ParseFrame(data[at:]); err == nil {
			return at
		}
	}
	return 0
}
