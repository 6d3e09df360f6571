package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// The numbers of pcap (draft-ietf-opsawg-pcap, section 4).
const (
	magicMicro = 0xa1b2c3d4 // times in microseconds
	magicNano  = 0xa1b23c4d
	pcapHeader = 24        // bytes of a file
	pcapPacket = 16        // bytes before a packet
	pcapLink   = 1<<28 - 1 // of the last field of the header; the rest is the FCS's
)

type pcapReader struct {
	r     io.Reader
	order binary.ByteOrder // nil before the header
	unit  time.Duration
	acu   bool // who spoke last
}

// next reads the next packet.
func (p *pcapReader) next() (Record, error) {
	if p.order == nil {
		if err := p.begin(); err != nil {
			return Record{}, err
		}
	}
	var head [pcapPacket]byte
	if _, err := io.ReadFull(p.r, head[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = fmt.Errorf("capture: pcap ends inside a packet: %w", err)
		}
		return Record{}, err
	}
	sec, frac, n := p.order.Uint32(head[:]), p.order.Uint32(head[4:]), p.order.Uint32(head[8:])
	if n > MaxData {
		return Record{}, fmt.Errorf("capture: pcap packet of %d bytes, limit %d", n, MaxData)
	}
	data := make([]byte, n)
	if _, err := io.ReadFull(p.r, data); err != nil {
		return Record{}, fmt.Errorf("capture: pcap packet of %d bytes: %w", n, err)
	}
	if acu, ok := speaker(data); ok {
		p.acu = acu
	}
	r := Record{Time: time.Unix(int64(sec), 0).Add(time.Duration(frac) * p.unit).UTC(), FromACU: p.acu, Data: data}
	return r.tidy()
}

// begin reads the header of the file.
func (p *pcapReader) begin() error {
	var head [pcapHeader]byte
	if _, err := io.ReadFull(p.r, head[:]); err != nil {
		return fmt.Errorf("capture: pcap header: %w", err)
	}
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		switch order.Uint32(head[:]) {
		case magicMicro:
			p.order, p.unit = order, time.Microsecond
		case magicNano:
			p.order, p.unit = order, time.Nanosecond
		}
	}
	if p.order == nil {
		return fmt.Errorf("capture: pcap magic number % x", head[:4])
	}
	if link := p.order.Uint32(head[20:]) & pcapLink; link < linkUser0 || link > linkUser15 {
		return fmt.Errorf("capture: pcap link type %d, want %d to %d", link, linkUser0, linkUser15)
	}
	return nil
}
