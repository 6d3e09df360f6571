package capture

import (
	"slices"
	"time"
)

// patience is how long the bytes of one frame may be apart. The longest pause
// inside a frame is 150 ms, through a USB adapter; a reply must begin within
// 200 ms of its command (OSDP v2.2 §5.7), and so must a repeat wait longer.
const patience = 200 * time.Millisecond

// An assembler puts the records of a frame that came in several reads together.
// The zero assembler is ready.
type assembler struct {
	held []Record // the last of a line whose end is missing; one a line
}

// push takes the next record and gives those that are whole, or will not
// become so. It copies what it keeps.
func (a *assembler) push(r Record) (out []Record) {
	if i := slices.IndexFunc(a.held, func(h Record) bool { return h.Line == r.Line }); i >= 0 {
		h := a.held[i]
		a.held = slices.Delete(a.held, i, i+1)
		if h.FromACU == r.FromACU && r.Time.Sub(h.Time) <= patience && len(h.Data)+len(r.Data) <= MaxData {
			h.Data = append(h.Data, r.Data...)
			r = h
		} else {
			out = append(out, h)
		}
	}
	if _, rest := cut(r.Data); rest < len(r.Data) {
		r.Data = slices.Clone(r.Data)
		a.held = append(a.held, r)
		return out
	}
	return append(out, r)
}

// flush gives the records whose ends have not come.
func (a *assembler) flush() []Record {
	held := a.held
	a.held = nil
	return held
}
