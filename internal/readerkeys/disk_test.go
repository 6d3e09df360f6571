package readerkeys

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"slices"
)

var (
	errPower = errors.New("the power went")
	errIO    = errors.New("input/output error")
)

// A memDisk is a disk whose power can go before any step, and that then holds
// what a real one may hold: see after.
type memDisk struct {
	now     map[string]*inode // the folder as programs see it
	durable map[string]*inode // as it was at the last SyncDir
	left    int               // steps until the power goes; negative is never
	fail    int               // steps until one fails; negative is never
	steps   int
	lazy    bool // Sync does nothing: for the test of the test
}

type inode struct{ data, synced []byte }

func newDisk() *memDisk {
	return &memDisk{now: map[string]*inode{}, durable: map[string]*inode{}, left: -1, fail: -1}
}

func (d *memDisk) step() error {
	if d.left == 0 {
		return errPower // and for ever
	}
	d.left, d.fail = d.left-1, d.fail-1
	d.steps++
	if d.fail == -1 {
		return errIO
	}
	return nil
}

// after lists what may be on the disk after the power went: the folder with or
// without what was not flushed, and of file contents that were not flushed
// nothing, a half, or all. The last is all of it; none is listed twice.
func (d *memDisk) after() (all []*memDisk) {
	for _, names := range []map[string]*inode{d.durable, d.now} {
		for part := range 3 {
			n := newDisk()
			n.lazy = d.lazy
			for name, i := range names {
				data := slices.Clone(i.synced)
				if !bytes.Equal(i.synced, i.data) {
					data = slices.Clone(i.data[:len(i.data)*part/2])
				}
				n.now[name] = &inode{data, slices.Clone(data)}
			}
			n.durable = maps.Clone(n.now)
			all = slices.DeleteFunc(all, n.equal)
			all = append(all, n)
		}
	}
	return all
}

func (d *memDisk) equal(o *memDisk) bool {
	return maps.EqualFunc(d.now, o.now, func(a, b *inode) bool { return bytes.Equal(a.data, b.data) })
}

func (d *memDisk) ReadFile(name string) ([]byte, error) {
	i, ok := d.now[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return slices.Clone(i.data), nil
}

func (d *memDisk) Create(name string) (file, error) {
	if err := d.step(); err != nil {
		return nil, err
	}
	i := &inode{}
	d.now[name] = i
	return memFile{d, i}, nil
}

func (d *memDisk) Rename(old, new string) error {
	if err := d.step(); err != nil {
		return err
	}
	d.now[new] = d.now[old]
	delete(d.now, old)
	return nil
}

func (d *memDisk) SyncDir() error {
	if err := d.step(); err != nil {
		return err
	}
	d.durable = maps.Clone(d.now)
	return nil
}

func (d *memDisk) List() ([]string, error) { return slices.Sorted(maps.Keys(d.now)), nil }

type memFile struct {
	d *memDisk
	i *inode
}

func (f memFile) Write(b []byte) (int, error) {
	if err := f.d.step(); err != nil {
		return 0, err
	}
	f.i.data = append(f.i.data, b...)
	return len(b), nil
}

func (f memFile) Sync() error {
	if err := f.d.step(); err != nil {
		return err
	}
	if !f.d.lazy {
		f.i.synced = slices.Clone(f.i.data)
	}
	return nil
}

func (f memFile) Close() error { return f.d.step() }
