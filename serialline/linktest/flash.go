package linktest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"latchkey/internal/durable"
)

// A flash is where a controller keeps what outlives a loss of power. Each write
// is on the disk when it returns. A cut during append leaves any part of b, one
// during replace leaves the old or the new content.
type flash interface {
	read(name string) ([]byte, error) // nil where there is none
	append(name string, b []byte) error
	replace(name string, b []byte) error
	truncate(name string, size int64) error
	close() error
}

// dirFlash is a flash in a folder.
type dirFlash struct {
	dir  string
	open map[string]*os.File
	lock *os.File
}

func openDir(dir string) (*dirFlash, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	return &dirFlash{dir: dir, open: make(map[string]*os.File), lock: lock}, nil
}

func (d *dirFlash) path(name string) string { return filepath.Join(d.dir, name) }

func (d *dirFlash) read(name string) ([]byte, error) {
	b, err := os.ReadFile(d.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

func (d *dirFlash) append(name string, b []byte) error {
	f := d.open[name]
	if f == nil {
		var err error
		if f, err = os.OpenFile(d.path(name), os.O_WRONLY|os.O_APPEND, 0); err != nil {
			return err
		}
		d.open[name] = f
	}
	if _, err := f.Write(b); err != nil {
		return err
	}
	return syncData(f)
}

func (d *dirFlash) replace(name string, b []byte) error {
	if f := d.open[name]; f != nil {
		f.Close()
		delete(d.open, name)
	}
	next := d.path(name) + ".new"
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(next, d.path(name)); err != nil {
		return err
	}
	return durable.Names(d.dir)
}

func (d *dirFlash) truncate(name string, size int64) error {
	f, err := os.OpenFile(d.path(name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Sync(), f.Close())
}

func (d *dirFlash) close() error {
	var all []error
	for _, f := range d.open {
		all = append(all, f.Close())
	}
	return errors.Join(append(all, d.lock.Close())...)
}

// ErrPower says that the power was cut, as CutPower asked. The controller does
// nothing any more; open it anew.
var ErrPower = errors.New("linktest: power is cut")

// A cutter cuts the power during a write.
type cutter struct {
	flash
	armed bool
	left  int // writes that still come through
	part  int // bytes of the write during which it happens
	dead  bool
}

// cut reports whether the power goes during the write that begins now.
func (c *cutter) cut() bool {
	if c.armed && c.left == 0 {
		c.dead = true
	}
	c.left--
	return c.dead
}

func (c *cutter) append(name string, b []byte) error {
	if c.dead {
		return ErrPower
	}
	if c.cut() {
		return errors.Join(ErrPower, c.flash.append(name, b[:min(c.part, len(b))]))
	}
	return c.flash.append(name, b)
}

func (c *cutter) replace(name string, b []byte) error {
	if c.dead {
		return ErrPower
	}
	if c.cut() {
		if c.part >= len(b) {
			return errors.Join(ErrPower, c.flash.replace(name, b))
		}
		return ErrPower
	}
	return c.flash.replace(name, b)
}

func (c *cutter) truncate(name string, size int64) error {
	if c.dead {
		return ErrPower
	}
	if c.cut() {
		return ErrPower
	}
	return c.flash.truncate(name, size)
}

// A journal is a file of entries: u16 length of the payload, the same inverted,
// u8 kind, payload, CRC-32C over all of it. What is half written at its end was
// never answered, and is cut. The inverted length tells an entry that was cut
// short from one whose length rotted, with all that follows it still there.
type journal struct {
	flash  flash
	name   string
	size   int64
	broken error // a write failed: what the file ends with is not known until it is opened anew
}

const (
	journalMagic = "LINKTAB1"
	entryHead    = 2 + 2 + 1
	entryOver    = entryHead + 4 // bytes of an entry besides its payload
)

// ErrDamaged says that a journal is damaged elsewhere than at its end.
var ErrDamaged = errors.New("linktest: journal is damaged")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func appendEntry(b []byte, kind uint8, payload []byte) []byte {
	at := len(b)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(payload)))
	b = binary.LittleEndian.AppendUint16(b, ^uint16(len(payload)))
	b = append(append(b, kind), payload...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[at:], castagnoli))
}

// openJournal gives every entry to apply, in order.
func openJournal(f flash, name string, apply func(kind uint8, payload []byte) error) (*journal, error) {
	j := &journal{flash: f, name: name}
	b, err := f.read(name)
	if err != nil {
		return nil, fmt.Errorf("linktest: %s: %w", name, err)
	}
	if len(b) == 0 {
		return j, j.rewrite(nil)
	}
	if string(b[:min(len(b), len(journalMagic))]) != journalMagic {
		return nil, fmt.Errorf("%w: %s does not begin like one", ErrDamaged, name)
	}
	at := len(journalMagic)
	damaged := func() error { return fmt.Errorf("%w: %s at byte %d of %d", ErrDamaged, name, at, len(b)) }
	for at < len(b) {
		end := len(b) + 1
		if len(b)-at >= 4 {
			size := binary.LittleEndian.Uint16(b[at:])
			end = at + entryOver + int(size)
			if binary.LittleEndian.Uint16(b[at+2:]) != ^size {
				// A file system may have grown the file and not filled it.
				if len(bytes.Trim(b[at:], "\x00")) > 0 {
					return nil, damaged()
				}
				end = len(b) + 1
			}
		}
		whole := end <= len(b)
		if whole && crc32.Checksum(b[at:end-4], castagnoli) != binary.LittleEndian.Uint32(b[end-4:end]) {
			// Only the last entry may be half written. Others were answered for.
			if end < len(b) {
				return nil, damaged()
			}
			whole = false
		}
		if !whole {
			if err := f.truncate(name, int64(at)); err != nil {
				return nil, fmt.Errorf("linktest: %s: cut its last entry: %w", name, err)
			}
			break
		}
		if err := apply(b[at+entryHead-1], b[at+entryHead:end-4]); err != nil {
			return nil, fmt.Errorf("%w: %s at byte %d: %w", ErrDamaged, name, at, err)
		}
		at = end
	}
	j.size = int64(at)
	return j, nil
}

// append writes one entry; it is on the disk when append returns nil.
func (j *journal) append(kind uint8, payload []byte) error {
	if j.broken != nil {
		return j.broken
	}
	if len(payload) > math.MaxUint16 {
		return fmt.Errorf("linktest: %s: entry of %d bytes, want at most %d", j.name, len(payload), math.MaxUint16)
	}
	b := appendEntry(nil, kind, payload)
	if err := j.flash.append(j.name, b); err != nil {
		j.broken = fmt.Errorf("linktest: %s: %w", j.name, err)
		return j.broken
	}
	j.size += int64(len(b))
	return nil
}

// rewrite replaces the whole journal by entries, made with appendEntry.
func (j *journal) rewrite(entries []byte) error {
	if j.broken != nil {
		return j.broken
	}
	b := append([]byte(journalMagic), entries...)
	if err := j.flash.replace(j.name, b); err != nil {
		j.broken = fmt.Errorf("linktest: %s: %w", j.name, err)
		return j.broken
	}
	j.size = int64(len(b))
	return nil
}
