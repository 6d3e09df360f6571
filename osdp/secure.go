package osdp

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// What can be wrong with a frame or an answer of the secure channel.
var (
	// ErrMAC means that a frame is not from whom it says, or not the next one.
	ErrMAC = errors.New("osdp: MAC does not match")
	// ErrHandshake means that the other end has not proven that it has the key.
	ErrHandshake = errors.New("osdp: secure channel handshake failed")
	// ErrPadding means that an authentic frame decrypts to no padded data.
	ErrPadding = errors.New("osdp: encrypted data without its padding")
	// ErrClear means that data which should be encrypted came authentic, but clear.
	ErrClear = errors.New("osdp: data is not encrypted")
)

const block = aes.BlockSize // bytes

// The key selectors of SCS_11 to SCS_13.
const (
	selectDefault = 0 // SCBK-D
	selectKey     = 1 // SCBK
)

// The status of SCS_14.
const (
	statusProven  = 0x01
	statusRefused = 0xff
)

// secrets are what both ends work out of a key and the panel's random number
// (OSDP v2.2 annex D.4). Only six bytes of the number enter.
type secrets struct{ enc, mac1, mac2 cipher.Block }

func derive(k Key, rndA [8]byte) (s secrets) {
	base := mustAES(k[:])
	sub := func(tag byte) cipher.Block {
		b := [block]byte{0x01, tag}
		copy(b[2:8], rndA[:6])
		base.Encrypt(b[:], b[:])
		return mustAES(b[:])
	}
	return secrets{enc: sub(0x82), mac1: sub(0x01), mac2: sub(0x02)}
}

// mustAES cannot fail: key is 16 bytes long.
func mustAES(key []byte) cipher.Block {
	c, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	return c
}

// cryptogram proves the key: first ‖ second under S-ENC.
func (s secrets) cryptogram(first, second [8]byte) (c [block]byte) {
	copy(c[:], first[:])
	copy(c[8:], second[:])
	s.enc.Encrypt(c[:], c[:])
	return c
}

// start is the channel after a handshake that ended with server's cryptogram:
// both chains begin at R-MAC_I.
func (s secrets) start(server [block]byte, acu bool) *Session {
	n := &Session{secrets: s, acu: acu}
	for i := range n.bare {
		n.bare[i][headLen] = 0x80
	}
	s.mac1.Encrypt(n.reply[:], server[:])
	s.mac2.Encrypt(n.reply[:], n.reply[:])
	n.command = n.reply
	return n
}

// An ACUHandshake is the panel's side of one handshake: CHLNG, CCRYPT, SCRYPT,
// RMAC_I (OSDP v2.2 annex D.3). It is used once.
type ACUHandshake struct {
	secrets
	selector uint8
	rndA     [8]byte
	server   [block]byte
}

// NewACUHandshake draws a random number from rand, which must be a CSPRNG, and
// begins with key. With def the PD is asked for SCBK-D, and key must be that.
func NewACUHandshake(rand io.Reader, key Key, def bool) (*ACUHandshake, error) {
	h := &ACUHandshake{selector: selectKey}
	if def {
		h.selector = selectDefault
	}
	if _, err := io.ReadFull(rand, h.rndA[:]); err != nil {
		return nil, fmt.Errorf("osdp: random number: %w", err)
	}
	h.secrets = derive(key, h.rndA)
	return h, nil
}

// Challenge gives f the block, code and data of CHLNG.
func (h *ACUHandshake) Challenge(f *Frame) {
	f.SCBType, f.SCBData, f.Code, f.Data = SCS11, []byte{h.selector}, CodeCHLNG, h.rndA[:]
}

// Client checks the PD's CCRYPT: block, selector and cryptogram, in constant
// time. cuid is what the PD calls itself; nobody agrees on its layout, so it is
// compared, never read. The error is an ErrHandshake.
func (h *ACUHandshake) Client(f Frame) (cuid [8]byte, err error) {
	if f.Code != CodeCCRYPT || f.SCBType != SCS12 || len(f.SCBData) != 1 || len(f.Data) != 32 {
		return cuid, fmt.Errorf("%w: %v is no CCRYPT", ErrHandshake, f)
	}
	if f.SCBData[0] != h.selector {
		return cuid, fmt.Errorf("%w: CCRYPT with key selector %d, want %d", ErrHandshake, f.SCBData[0], h.selector)
	}
	rndB := [8]byte(f.Data[8:])
	want := h.cryptogram(h.rndA, rndB)
	if subtle.ConstantTimeCompare(f.Data[16:], want[:]) != 1 {
		return cuid, fmt.Errorf("%w: the PD has another key", ErrHandshake)
	}
	h.server = h.cryptogram(rndB, h.rndA)
	return [8]byte(f.Data), nil
}

// Server gives f the block, code and data of SCRYPT; Client must have said nil.
func (h *ACUHandshake) Server(f *Frame) {
	f.SCBType, f.SCBData, f.Code, f.Data = SCS13, []byte{h.selector}, CodeSCRYPT, h.server[:]
}

// Session checks the PD's RMAC_I, status and value, and gives the channel. The
// error is an ErrHandshake.
func (h *ACUHandshake) Session(f Frame) (*Session, error) {
	if f.Code != CodeRMACI || f.SCBType != SCS14 || len(f.SCBData) != 1 {
		return nil, fmt.Errorf("%w: %v is no RMAC_I", ErrHandshake, f)
	}
	if f.SCBData[0] != statusProven {
		return nil, fmt.Errorf("%w: the PD refused our cryptogram, status 0x%02x", ErrHandshake, f.SCBData[0])
	}
	s := h.start(h.server, true)
	if subtle.ConstantTimeCompare(f.Data, s.reply[:]) != 1 {
		return nil, fmt.Errorf("%w: R-MAC_I does not match", ErrHandshake)
	}
	return s, nil
}

// A PDHandshake is the PD's side of one handshake. It is used once.
type PDHandshake struct {
	secrets
	selector   uint8
	client     [block]byte
	server     [block]byte // that the panel must send
	cuid, rndB [8]byte
}

// NewPDHandshake answers the panel's CHLNG f with key. The error is an
// ErrHandshake, or rand's: which key the panel asked for is for the caller to
// see, with Default.
func NewPDHandshake(rand io.Reader, key Key, cuid [8]byte, f Frame) (*PDHandshake, error) {
	if f.Code != CodeCHLNG || f.SCBType != SCS11 || len(f.SCBData) != 1 || len(f.Data) != 8 {
		return nil, fmt.Errorf("%w: %v is no CHLNG", ErrHandshake, f)
	}
	h := &PDHandshake{selector: f.SCBData[0], cuid: cuid}
	if _, err := io.ReadFull(rand, h.rndB[:]); err != nil {
		return nil, fmt.Errorf("osdp: random number: %w", err)
	}
	rndA := [8]byte(f.Data)
	h.secrets = derive(key, rndA)
	h.client = h.cryptogram(rndA, h.rndB)
	h.server = h.cryptogram(h.rndB, rndA)
	return h, nil
}

// AsksDefault says whether the CHLNG f asks for SCBK-D.
func AsksDefault(f Frame) bool { return len(f.SCBData) == 1 && f.SCBData[0] == selectDefault }

// Client gives f the block, code and data of CCRYPT.
func (h *PDHandshake) Client(f *Frame) {
	f.SCBType, f.SCBData, f.Code = SCS12, []byte{h.selector}, CodeCCRYPT
	f.Data = append(append(append(make([]byte, 0, 32), h.cuid[:]...), h.rndB[:]...), h.client[:]...)
}

// Session checks the panel's SCRYPT c and gives the channel, and f the block,
// code and data of RMAC_I. With an ErrHandshake f is the refusal, which tells
// nothing.
func (h *PDHandshake) Session(c Frame, f *Frame) (*Session, error) {
	f.SCBType, f.SCBData, f.Code, f.Data = SCS14, []byte{statusRefused}, CodeRMACI, nil
	if c.Code != CodeSCRYPT || c.SCBType != SCS13 || len(c.SCBData) != 1 || c.SCBData[0] != h.selector {
		return nil, fmt.Errorf("%w: %v is no SCRYPT to our CCRYPT", ErrHandshake, c)
	}
	if subtle.ConstantTimeCompare(c.Data, h.server[:]) != 1 {
		return nil, fmt.Errorf("%w: the panel has another key", ErrHandshake)
	}
	s := h.start(h.server, false)
	f.SCBData, f.Data = []byte{statusProven}, append([]byte(nil), s.reply[:]...)
	return s, nil
}

// A Session is one end of an established secure channel. It knows the last MAC
// of either direction, so every frame proves all before it. One goroutine owns
// it. A repeated frame is sent as the bytes that it was: Seal is called once a
// frame, and Open moves on only when it says nil.
type Session struct {
	secrets
	acu            bool           // the panel's end
	command, reply [block]byte    // full MAC of the last frame of either direction
	bare           [8][block]byte // what a frame without data gives to its MAC, see macBare
	sum            [block]byte    // MAC of the frame that Open looks at
	work           [MaxFrame]byte
}

const (
	headLen = headerLen + 2 + 1 // bytes of a sealed frame before its data
	tailLen = macLen + 2        // and behind it
)

// sealedData is how many bytes n bytes of data take when encrypted: always one
// byte of padding at least.
func sealedData(n int) int {
	if n == 0 {
		return 0
	}
	return (n/block + 1) * block
}

// SealedLen is the length on the wire of a frame with n bytes of data in a
// secure channel, in bytes from SOM to CRC.
func SealedLen(n int) int { return headLen + sealedData(n) + tailLen }

// Seal appends f to b as a frame of the channel: data encrypted, MAC and CRC
// set. f needs address, sequence, code and data; all else is the channel's. An
// ErrFrame means that it is too long; the channel has not moved then.
func (s *Session) Seal(b []byte, f *Frame) ([]byte, error) {
	n := SealedLen(len(f.Data))
	if n > MaxFrame || f.Addr > Broadcast || f.Seq > ctrlSeq {
		return b, fmt.Errorf("%w: %d bytes sealed, limit %d; address %d, sequence %d", ErrFrame, n, MaxFrame, f.Addr, f.Seq)
	}
	theirs, ours := &s.reply, &s.command
	// SOM to code as one word: block of two bytes, type SCS_15, and CRC.
	head := uint64(n)<<16 | uint64(f.Addr)<<8 | uint64(f.Seq)<<32 | uint64(f.Code)<<56 |
		SOM | (ctrlCRC|ctrlSCB)<<32 | 2<<40 | SCS15<<48
	if !s.acu {
		theirs, ours, head = ours, theirs, head+replyBit<<8+(SCS16-SCS15)<<48
	}
	at, le := len(b), binary.LittleEndian
	if len(f.Data) == 0 {
		b = le.AppendUint64(b, head)
		s.macBare(ours, head, theirs)
	} else {
		b = le.AppendUint64(b, head+(SCS17-SCS15)<<48)
		b = s.encrypt(b, f.Data, theirs)
		s.mac(ours, b[at:], theirs)
	}
	b = le.AppendUint32(b, le.Uint32(ours[:]))
	return le.AppendUint16(b, crc(b[at:])), nil
}

// encrypt appends data, padded, under S-ENC with the inverted last MAC of the
// other end as its start.
func (s *Session) encrypt(b, data []byte, last *[block]byte) []byte {
	at := len(b)
	b = append(append(b, data...), 0x80)
	for (len(b)-at)%block != 0 {
		b = append(b, 0)
	}
	invert(s.work[:block], last) // in an array of ours, so that nothing is allocated
	prev := s.work[:block]
	for c := b[at:]; len(c) > 0; c = c[block:] {
		xor(c, prev)
		s.enc.Encrypt(c[:block], c[:block])
		prev = c[:block]
	}
	return b
}

// xor changes the first block of dst, word by word: what was just written in
// pieces is so read sooner than whole, see macBare.
func xor(dst, src []byte) {
	le := binary.LittleEndian
	le.PutUint64(dst, le.Uint64(dst)^le.Uint64(src))
	le.PutUint64(dst[8:], le.Uint64(dst[8:])^le.Uint64(src[8:]))
}

func invert(dst []byte, src *[block]byte) {
	le := binary.LittleEndian
	le.PutUint64(dst, ^le.Uint64(src[:]))
	le.PutUint64(dst[8:], ^le.Uint64(src[8:]))
}

// mac sets to to the MAC of msg, chained on last: CBC with S-MAC1, and the last
// block with S-MAC2 (OSDP v2.2 annex D.5). to and last may be one.
func (s *Session) mac(to *[block]byte, msg []byte, last *[block]byte) {
	le := binary.LittleEndian
	if len(msg) == headLen {
		s.macBare(to, le.Uint64(msg), last)
		return
	}
	for ; len(msg) > block; last, msg = to, msg[block:] {
		subtle.XORBytes(to[:], last[:], msg[:block])
		s.mac1.Encrypt(to[:], to[:])
	}
	lo, hi := le.Uint64(last[:]), le.Uint64(last[8:])
	if len(msg) < 8 {
		lo ^= padded(msg)
	} else {
		lo, hi = lo^le.Uint64(msg), hi^padded(msg[8:])
	}
	le.PutUint64(to[:], lo)
	le.PutUint64(to[8:], hi)
	s.mac2.Encrypt(to[:], to[:])
}

// padded is the word that up to eight bytes make, with the padding behind them
// if they leave room for it.
func padded(b []byte) uint64 {
	w := uint64(0x80) << (8 * len(b))
	for i, v := range b {
		w |= uint64(v) << (8 * i)
	}
	return w
}

// macBare is mac of the eight bytes of head, a frame without data, as nearly
// all are. Such a frame is the same each time that its sequence number comes
// round, so its padded block is kept, one for each number and direction: the
// processor reads a block that was just written in pieces much later than one
// that lies there whole, and that is half as long as the AES.
func (s *Session) macBare(to *[block]byte, head uint64, last *[block]byte) {
	b, le := &s.bare[head>>32&ctrlSeq|head>>8&replyBit>>5], binary.LittleEndian
	if le.Uint64(b[:]) != head {
		le.PutUint64(b[:], head)
	}
	subtle.XORBytes(to[:], last[:], b[:])
	s.mac2.Encrypt(to[:], to[:])
}

// Open checks a frame of the other end, as ParseFrame gave it and with all its
// bytes still in place, and returns its data in the clear, good until the next
// Open or Seal. An ErrMAC means that it is not the next frame of this channel;
// the channel has not moved then. A block of the wrong direction is no fault,
// for the MAC covers the direction. An ErrClear comes with data that is
// authentic, but came unencrypted in SCS_15 or SCS_16, as libosdp's PD answers
// state requests; an ErrPadding with none: the channel has moved on, and the
// caller decides.
func (s *Session) Open(f *Frame) ([]byte, error) {
	if !hasMAC(f.SCBType) || len(f.SCBData) != 0 || len(f.wire) == 0 || f.Reply != s.acu {
		return nil, fmt.Errorf("%w: %s is no frame of the channel", ErrMAC, f.String())
	}
	theirs, ours := &s.command, &s.reply
	if s.acu {
		theirs, ours = &s.reply, &s.command
	}
	tail := tailLen
	if f.Checksum {
		tail--
	}
	s.mac(&s.sum, f.wire[:len(f.wire)-tail], ours)
	le := binary.LittleEndian
	if subtle.ConstantTimeEq(int32(le.Uint32(s.sum[:])), int32(le.Uint32(f.MAC[:]))) != 1 {
		return nil, ErrMAC
	}
	*theirs = s.sum
	switch {
	case len(f.Data) == 0:
		return nil, nil
	case f.SCBType < SCS17:
		return s.work[:copy(s.work[:], f.Data)], ErrClear
	}
	return s.decrypt(f.Data, ours)
}

func (s *Session) decrypt(data []byte, last *[block]byte) ([]byte, error) {
	if len(data)%block != 0 {
		return nil, fmt.Errorf("%w: %d bytes", ErrPadding, len(data))
	}
	iv := s.work[MaxFrame-block:]
	invert(iv, last)
	for at := 0; at < len(data); at += block {
		s.enc.Decrypt(s.work[at:at+block], data[at:at+block])
		xor(s.work[at:], iv)
		iv = data[at : at+block]
	}
	n := len(data)
	for n > 0 && s.work[n-1] == 0 {
		n--
	}
	if n == 0 || s.work[n-1] != 0x80 {
		return nil, ErrPadding
	}
	return s.work[:n-1], nil
}

// String hides what keys the channel has.
func (s *Session) String() string { return "secure channel (hidden)" }

// Format hides the keys from every verb.
func (s *Session) Format(st fmt.State, _ rune) { fmt.Fprint(st, s.String()) }
