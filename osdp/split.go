package osdp

import "fmt"

// A Splitter cuts a message into the fragments of a multi-part message.
type Splitter struct {
	message []byte
	first   int // most bytes of the first fragment
	rest    int // and of each other one
	at      int
	begun   bool
}

// NewSplitter makes a Splitter that cuts message, which it keeps, into
// fragments of at most size bytes. MaxPart says how many fit a frame. A message
// of more than 65535 bytes and a size below 1 are an ErrValue.
func NewSplitter(message []byte, size int) (*Splitter, error) {
	return newSplitter(message, size, size)
}

func newSplitter(message []byte, first, rest int) (*Splitter, error) {
	if len(message) > 0xffff || first < 1 || rest < 1 {
		return nil, fmt.Errorf("%w: message of %d bytes in fragments of %d, limit 65535 and at least 1", ErrValue, len(message), min(first, rest))
	}
	return &Splitter{message: message, first: first, rest: rest}, nil
}

// Next gives the next fragment, and false when there is none left. A message
// without bytes has one fragment. The data is a part of the message.
func (s *Splitter) Next() (p Part, data []byte, ok bool) {
	size := s.rest
	if !s.begun {
		size = s.first
	} else if s.at == len(s.message) {
		return Part{}, nil, false
	}
	s.begun = true
	end := min(s.at+size, len(s.message))
	data = s.message[s.at:end:end]
	p = Part{uint16(len(s.message)), uint16(s.at), uint16(len(data))}
	s.at = end
	return p, data, true
}

// Restart goes back to the first fragment.
func (s *Splitter) Restart() { s.at, s.begun = 0, false }

// String tells how far the message is cut.
func (s Splitter) String() string {
	return fmt.Sprintf("%d of %d bytes of a message (hidden)", s.at, len(s.message))
}

// Format prints String whatever the verb.
func (s Splitter) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// authExtra is the algorithm and key reference of a first fragment.
const authExtra = 2

// Split cuts c.Data into commands to send one after the other, of at most size
// bytes each besides the header; Part is ignored. They keep c.Data.
func (c GENAUTH) Split(size int) ([]Command, error) {
	return splitAuth(c.Data, size, func(p Part, data []byte) Command {
		if p.Offset > 0 {
			return GENAUTH{Part: p, Data: data}
		}
		return GENAUTH{p, c.Algorithm, c.KeyRef, data}
	})
}

// Split cuts c.Data into commands to send one after the other, of at most size
// bytes each besides the header; Part is ignored. They keep c.Data.
func (c CRAUTH) Split(size int) ([]Command, error) {
	return splitAuth(c.Data, size, func(p Part, data []byte) Command {
		if p.Offset > 0 {
			return CRAUTH{Part: p, Data: data}
		}
		return CRAUTH{p, c.Algorithm, c.KeyRef, data}
	})
}

func splitAuth(message []byte, size int, fragment func(Part, []byte) Command) ([]Command, error) {
	s, err := newSplitter(message, size-authExtra, size)
	if err != nil {
		return nil, err
	}
	var all []Command
	for p, data, ok := s.Next(); ok; p, data, ok = s.Next() {
		all = append(all, fragment(p, data))
	}
	return all, nil
}

// Split cuts r.Data into replies, one for each POLL, of at most size bytes each
// besides the header; Part is ignored. They keep r.Data.
func (r PIVDATAR) Split(size int) ([]Reply, error) {
	return splitReply(r.Data, size, func(p Part, data []byte) Reply { return PIVDATAR{p, data} })
}

// Split cuts r.Data into replies, one for each POLL, of at most size bytes each
// besides the header; Part is ignored. They keep r.Data.
func (r GENAUTHR) Split(size int) ([]Reply, error) {
	return splitReply(r.Data, size, func(p Part, data []byte) Reply { return GENAUTHR{p, data} })
}

// Split cuts r.Data into replies, one for each POLL, of at most size bytes each
// besides the header; Part is ignored. They keep r.Data.
func (r CRAUTHR) Split(size int) ([]Reply, error) {
	return splitReply(r.Data, size, func(p Part, data []byte) Reply { return CRAUTHR{p, data} })
}

// Split cuts the fields into replies, one for the ID command and one for each
// POLL after it, of at most size bytes each besides the header.
func (r EXTPDID) Split(size int) ([]Reply, error) {
	message, err := r.AppendData(nil)
	if err != nil {
		return nil, err
	}
	return splitReply(message, size, func(p Part, data []byte) Reply { return EXTPDIDPart{p, data} })
}

func splitReply(message []byte, size int, fragment func(Part, []byte) Reply) ([]Reply, error) {
	s, err := NewSplitter(message, size)
	if err != nil {
		return nil, err
	}
	var all []Reply
	for p, data, ok := s.Next(); ok; p, data, ok = s.Next() {
		all = append(all, fragment(p, data))
	}
	return all, nil
}

// What a frame holds besides its data, in bytes.
const (
	plainOverhead  = headerLen + 1 + 2              // code, CRC
	secureOverhead = headerLen + 2 + 1 + macLen + 2 // security block, code, MAC, CRC
)

// maxData is how many bytes after the code fit a frame of size bytes.
func maxData(size int, secure bool) int {
	if !secure {
		return size - plainOverhead
	}
	return (size-secureOverhead)/block*block - 1 // padding takes at least one byte
}

// MaxPart is how long a fragment of a multi-part message can be where the other
// end takes frames of receive bytes, secure under a session; 0 where none fits.
func MaxPart(receive int, secure bool) int {
	return max(maxData(min(receive, MaxFrame), secure)-partHeader, 0)
}

// MaxFragment is how long a fragment of a file can be where the PD takes frames
// of receive bytes, secure under a session; 0 where none fits.
func MaxFragment(receive int, secure bool) int {
	return max(maxData(min(receive, MaxFrame), secure)-fileHeader, 0)
}
