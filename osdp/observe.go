package osdp

import (
	"bytes"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
)

// An Observer reads a secure channel that two others have, from what went over
// the line and the key: for traces. Like either end it must see every frame,
// once and in order. One goroutine owns it.
type Observer struct {
	handshake *ACUHandshake
	channel   *Session
}

// Observe begins with the CHLNG and the CCRYPT of a handshake, as ParseFrame
// gave them. An ErrHandshake says that they are none, or that the PD's
// cryptogram was not made with key. Which key is asked for, SCBK or SCBK-D, is
// for the caller to see, with AsksDefault: here only the cryptogram counts.
func Observe(key Key, chlng, ccrypt Frame) (*Observer, error) {
	if chlng.Code != CodeCHLNG || chlng.SCBType != SCS11 || len(chlng.Data) != 8 {
		return nil, fmt.Errorf("%w: %v is no CHLNG", ErrHandshake, chlng)
	}
	h, err := NewACUHandshake(bytes.NewReader(chlng.Data), key, AsksDefault(ccrypt))
	if err != nil {
		return nil, err
	}
	if _, err := h.Client(ccrypt); err != nil {
		return nil, err
	}
	return &Observer{h, h.start(h.server, true)}, nil
}

// Proven checks the SCRYPT or the RMAC_I that goes on with the handshake. An
// ErrHandshake says that it does not prove the key, or refuses the other's
// proof.
func (o *Observer) Proven(f Frame) error {
	if f.Reply {
		_, err := o.handshake.Session(f)
		return err
	}
	if f.Code != CodeSCRYPT || f.SCBType != SCS13 || subtle.ConstantTimeCompare(f.Data, o.handshake.server[:]) != 1 {
		return fmt.Errorf("%w: the panel has another key", ErrHandshake)
	}
	return nil
}

// Open is Session.Open for the frames of both ends.
func (o *Observer) Open(f *Frame) ([]byte, error) {
	o.channel.acu = f.Reply
	return o.channel.Open(f)
}

// Rewrite appends to b the frame that f would have been with data in it, which
// is as long as what f held: the same in all but data, MAC and check, for a
// trace that others may read. The Observer moves on as if that had been sent,
// so it reads no more of what was. An ErrFrame says that f is no frame of the
// channel, or that data does not fit; the Observer has not moved then.
func (o *Observer) Rewrite(b []byte, f Frame, data []byte) ([]byte, error) {
	sealed := f.SCBType >= SCS17 && len(f.Data) > 0
	n := len(data)
	if sealed {
		n = (n/block + 1) * block
	}
	if !hasMAC(f.SCBType) || n != len(f.Data) || f.Len() > MaxFrame {
		return b, fmt.Errorf("%w: %d bytes of data in place of %v", ErrFrame, len(data), f)
	}
	theirs, ours := &o.channel.reply, &o.channel.command
	if f.Reply {
		theirs, ours = ours, theirs
	}
	at := len(b)
	if f.Data = data; sealed {
		f.Data = o.channel.encrypt(nil, data, theirs)
	}
	b, err := f.AppendBinary(b)
	if err != nil {
		return b[:at], err
	}
	return o.remac(b, at, f, ours, theirs), nil
}

// remac gives the frame f at b[at:] the MAC and the check that go with its
// bytes.
func (o *Observer) remac(b []byte, at int, f Frame, ours, theirs *[block]byte) []byte {
	end := len(b) - 2 // of what the check covers
	if f.Checksum {
		end++
	}
	o.channel.mac(ours, b[at:end-macLen], theirs)
	copy(b[end-macLen:end], ours[:macLen])
	if f.Checksum {
		return append(b[:end], checksum(b[at:end]))
	}
	return binary.LittleEndian.AppendUint16(b[:end], crc(b[at:end]))
}

// String hides what keys the channel has.
func (o *Observer) String() string { return "observer of a secure channel (hidden)" }

// Format hides the keys from every verb.
func (o *Observer) Format(st fmt.State, _ rune) { fmt.Fprint(st, o.String()) }
