package capture

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"unicode/utf8"
)

// A Reader reads a trace. One goroutine owns it.
type Reader struct {
	format Format
	next   func() (Record, error)
}

// NewReader finds out by its first bytes in which format r is. An empty r is an
// .osdpcap without records.
func NewReader(r io.Reader) (*Reader, error) {
	b := bufio.NewReader(r)
	head, err := b.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("capture: %w", err)
	}
	switch {
	case bytes.Equal(head, []byte{0x0a, 0x0d, 0x0d, 0x0a}):
		return &Reader{PCAPNG, (&pcapngReader{r: b}).next}, nil
	case isPCAP(head):
		return &Reader{PCAP, (&pcapReader{r: b}).next}, nil
	case isText(head):
		return &Reader{OSDPCap, newOSDPCapReader(b).next}, nil
	}
	return nil, fmt.Errorf("capture: file begins with % x, want %v, %v or %v", head, OSDPCap, PCAPNG, PCAP)
}

func isPCAP(head []byte) bool {
	if len(head) < 4 {
		return false
	}
	first := [4]byte(head)
	switch first {
	case [4]byte{0xd4, 0xc3, 0xb2, 0xa1}, [4]byte{0xa1, 0xb2, 0xc3, 0xd4}, [4]byte{0x4d, 0x3c, 0xb2, 0xa1}, [4]byte{0xa1, 0xb2, 0x3c, 0x4d}:
		return true
	}
	return false
}

// isText says whether a line of JSON may begin with head.
func isText(head []byte) bool {
	head = bytes.TrimLeft(bytes.TrimPrefix(head, []byte(byteOrderMark)), " \t\r\n")
	return len(head) == 0 || head[0] == '{' && utf8.Valid(head[:1])
}

// Format is what the Reader found the trace to be.
func (r *Reader) Format() Format { return r.format }

// Next reads the next record. It returns io.EOF at the end. After an ErrRecord
// the next call goes on behind the bad record; any other error is final.
func (r *Reader) Next() (Record, error) {
	rec, err := r.next()
	rec.foreign = err == nil
	return rec, err
}

// All yields the records that are left, and an ErrRecord for each bad one, with
// the zero Record. It stops at the end, or after yielding an error that is
// final.
func (r *Reader) All() iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for {
			rec, err := r.Next()
			if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				return
			}
			if !yield(rec, err) || err != nil && !errors.Is(err, ErrRecord) {
				return
			}
		}
	}
}
