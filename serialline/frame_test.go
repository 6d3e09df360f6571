package serialline

import (
	"bytes"
	"errors"
	"hash/crc32"
	"slices"
	"testing"
)

// sample has a frame of every length, with zeros and without.
func samples() []Frame {
	var out []Frame
	for n := range MaxPayload + 1 {
		p := make([]byte, n)
		for i := range p {
			p[i] = byte(i * n)
		}
		out = append(out, Frame{Addr: byte(1 + n%126), Seq: byte(n), Flags: byte(n), Op: byte(n), Payload: p},
			Frame{Addr: 0xFF, Seq: 0xFF, Flags: 0xFF, Op: 0xFF, Payload: bytes.Repeat([]byte{0xFF}, n)},
			Frame{Payload: make([]byte, n)})
	}
	return out
}

func equal(a, b Frame) bool {
	return a.Addr == b.Addr && a.Seq == b.Seq && a.Flags == b.Flags && a.Op == b.Op && bytes.Equal(a.Payload, b.Payload)
}

func TestFrameRoundTrip(t *testing.T) {
	for _, f := range samples() {
		wire, err := f.AppendBinary(nil)
		if err != nil {
			t.Fatalf("%d bytes: %v", len(f.Payload), err)
		}
		if len(wire) > MaxWire || wire[0] != 0 || wire[len(wire)-1] != 0 || bytes.IndexByte(wire[1:len(wire)-1], 0) >= 0 {
			t.Fatalf("payload of %d bytes: % x is not one frame between zeros", len(f.Payload), wire)
		}
		got, err := ParseFrame(wire[1 : len(wire)-1])
		if err != nil || !equal(got, f) {
			t.Fatalf("payload of %d bytes: got %+v, %v", len(f.Payload), got, err)
		}
	}
	if _, err := (Frame{Payload: make([]byte, MaxPayload+1)}).AppendBinary(nil); err == nil {
		t.Error("a payload that is too long was taken")
	}
}

// TestFrameVector holds the wire form still: a second implementation has the
// same bytes in docs/protocols/serial-door-link.md.
func TestFrameVector(t *testing.T) {
	for _, tt := range []struct {
		name string
		f    Frame
		want string
	}{
		{"POLL", Frame{Addr: 5, Seq: 1, Op: OpPoll}, "\x00\x04\x01\x05\x01\x06\x02\x5b\x60\x7e\x9f\x00"},
		{"ACK 7", Frame{Addr: 5, Seq: 2, Op: OpAck, Payload: AppendAck(nil, 7)}, "\x00\x04\x01\x05\x02\x03\x21\x07\x01\x01\x01\x01\x01\x01\x05\xf0\x74\x40\xb7\x00"},
	} {
		wire, err := tt.f.AppendBinary(nil)
		if err != nil || string(wire) != tt.want {
			t.Errorf("%s: got % x, %v, want % x", tt.name, wire, err, tt.want)
		}
	}
}

func TestFrameRefused(t *testing.T) {
	good, _ := Frame{Addr: 1, Seq: 1, Op: OpPoll}.AppendBinary(nil)
	good = good[1 : len(good)-1]
	for _, tt := range []struct {
		name string
		b    []byte
		want error
	}{
		{"empty", nil, ErrFrame},
		{"short", good[:len(good)-1], ErrFrame},
		{"a zero inside", append(slices.Clone(good[:2]), append([]byte{0}, good[3:]...)...), ErrFrame},
		{"code past the end", append([]byte{0xFE}, good[1:]...), ErrFrame},
		{"too long", bytes.Repeat([]byte{1}, maxEncoded+1), ErrFrame},
		{"another version", func() []byte {
			raw := []byte{2, 1, 1, 7, 2}
			raw = le.AppendUint32(raw, crc32.Checksum(raw, crc32.MakeTable(crc32.Castagnoli)))
			return append([]byte{byte(len(raw) + 1)}, raw...) // no byte of it is zero
		}(), ErrVersion},
	} {
		if f, err := ParseFrame(tt.b); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %+v, %v, want %v", tt.name, f, err, tt.want)
		}
	}
}

// TestFrameDamage flips every bit of a frame: CRC-32C finds all of them.
func TestFrameDamage(t *testing.T) {
	f := Frame{Addr: 9, Seq: 3, Op: OpUpsert, Payload: bytes.Repeat([]byte{7, 0, 0xA5}, 70)}
	wire, _ := f.AppendBinary(nil)
	for i := range len(wire) * 8 {
		bad := slices.Clone(wire)
		bad[i/8] ^= 1 << (i % 8)
		var s Scanner
		for _, got := range scanAll(&s, bad) {
			if !equal(got, f) {
				t.Fatalf("bit %d: a wrong frame came through", i)
			}
		}
	}
}

func scanAll(s *Scanner, p []byte) (out []Frame) {
	for len(p) > 0 {
		n, f, err := s.Scan(p)
		p = p[n:]
		if err == nil {
			f.Payload = slices.Clone(f.Payload)
			out = append(out, f)
		}
	}
	return out
}

func TestScannerFindsTheNextFrame(t *testing.T) {
	f := Frame{Addr: 1, Seq: 1, Op: OpPoll, Payload: []byte{0, 1, 0}}
	wire, _ := f.AppendBinary(nil)
	for _, noise := range [][]byte{nil, {0}, {0, 0, 0}, {1, 2, 3}, bytes.Repeat([]byte{9}, 5000), wire[:5], wire[3:], append([]byte{0xFE}, wire[1:4]...)} {
		var s Scanner
		in := append(slices.Clone(noise), wire...)
		in = append(in, wire...)
		var got []Frame
		for _, c := range in { // byte by byte: no gap and no chunk means anything
			got = append(got, scanAll(&s, []byte{c})...)
		}
		if len(got) < 2 || !equal(got[len(got)-1], f) || !equal(got[len(got)-2], f) {
			t.Errorf("after % x: got %d frames", noise[:min(len(noise), 8)], len(got))
		}
	}
}

func FuzzFrame(f *testing.F) {
	for _, s := range samples()[:60] {
		wire, _ := s.AppendBinary(nil)
		f.Add(wire[1 : len(wire)-1])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		fr, err := ParseFrame(b)
		if err != nil {
			return
		}
		wire, err := fr.AppendBinary(nil)
		if err != nil || !bytes.Equal(wire[1:len(wire)-1], b) {
			t.Fatalf("% x came back as % x, %v", b, wire, err)
		}
	})
}

// FuzzScanner: whatever came before, and however it is cut, a frame that
// follows a zero is found, and the scanner takes all it is given.
func FuzzScanner(f *testing.F) {
	f.Add([]byte{1, 2, 0, 3}, 2)
	f.Fuzz(func(t *testing.T, noise []byte, chunk int) {
		want := Frame{Addr: 2, Seq: 9, Op: OpHello, Payload: noise[:min(len(noise), MaxPayload)]}
		in, err := want.AppendBinary(slices.Clone(noise))
		if err != nil {
			t.Fatal(err)
		}
		var whole, cut Scanner
		a := scanAll(&whole, in)
		var b []Frame
		for c := range slices.Chunk(in, max(1, min(chunk, 4096))) {
			b = append(b, scanAll(&cut, c)...)
		}
		if len(a) == 0 || !equal(a[len(a)-1], want) || !slices.EqualFunc(a, b, equal) {
			t.Fatalf("got %d frames whole and %d in chunks", len(a), len(b))
		}
	})
}

// FuzzPayload: what a parser takes, Append gives back byte for byte.
func FuzzPayload(f *testing.F) {
	rec := Record{Key: MakeKey(26, []byte{1, 2, 3, 0x40}), Doors: 3}
	for i, p := range [][]byte{
		HelloRequest{}.Append(nil), Identity{Model: "x"}.Append(nil), TableInfo{}.Append(nil), PollReply{}.Append(nil),
		TimeRequest{}.Append(nil), TimeReply{}.Append(nil), BeginRequest{Txn: 1}.Append(nil),
		PutRequest{1, 2, []Record{rec}}.Append(nil), DelRequest{1, 2, []Key{rec.Key}}.Append(nil), CommitRequest{}.Append(nil),
		CommitReply{}.Append(nil), DigestRequest{}.Append(nil), DigestReply{Sums: []uint64{1}}.Append(nil), BucketRequest{}.Append(nil),
		BucketReply{Total: 1, Entries: []KeySum{{rec.Key, 1}}}.Append(nil), UpsertRequest{1, []Record{rec}}.Append(nil),
		EventsRequest{1, 2}.Append(nil), EventsReply{Events: []Event{{Seq: 1}}}.Append(nil), DoorRequest{}.Append(nil),
		PulseRequest{MS: 1}.Append(nil), SignalRequest{}.Append(nil), (&Refusal{Op: 1, Code: 2, Detail: []byte{3}}).Append(nil),
	} {
		f.Add(uint8(i), p)
	}
	type payload interface{ Append([]byte) []byte }
	f.Fuzz(func(t *testing.T, which uint8, p []byte) {
		var m payload
		var err error
		switch which {
		case 0:
			m, err = ParseHelloRequest(p)
		case 1:
			m, err = ParseIdentity(p)
		case 2:
			m, err = ParseTableInfo(p)
		case 3:
			m, err = ParsePollReply(p)
		case 4:
			m, err = ParseTimeRequest(p)
		case 5:
			m, err = ParseTimeReply(p)
		case 6:
			m, err = ParseBeginRequest(p)
		case 7:
			m, err = ParsePutRequest(p)
		case 8:
			m, err = ParseDelRequest(p)
		case 9:
			m, err = ParseCommitRequest(p)
		case 10:
			m, err = ParseCommitReply(p)
		case 11:
			m, err = ParseDigestRequest(p)
		case 12:
			m, err = ParseDigestReply(p)
		case 13:
			m, err = ParseBucketRequest(p)
		case 14:
			m, err = ParseBucketReply(p, 0)
		case 15:
			m, err = ParseUpsertRequest(p)
		case 16:
			m, err = ParseEventsRequest(p)
		case 17:
			m, err = ParseEventsReply(p)
		case 18:
			m, err = ParseDoorRequest(p)
		case 19:
			m, err = ParsePulseRequest(p)
		case 20:
			m, err = ParseSignalRequest(p)
		case 21:
			m, err = ParseRefusal(p)
		default:
			return
		}
		if err != nil {
			if !errors.Is(err, ErrPayload) {
				t.Fatalf("payload %d: %v is no ErrPayload", which, err)
			}
			return
		}
		if got := m.Append(nil); !bytes.Equal(got, p) {
			t.Fatalf("payload %d: % x came back as % x", which, p, got)
		}
	})
}

// BenchmarkFrame encodes and decodes the longest frame; its floor is a CRC-32C
// and a copy, each way.
func BenchmarkFrame(b *testing.B) {
	b.Run("floor", func(b *testing.B) {
		src, dst := make([]byte, maxContent), make([]byte, maxContent)
		table := crc32.MakeTable(crc32.Castagnoli)
		var sum uint32
		b.SetBytes(int64(len(src)))
		for b.Loop() {
			for range 2 {
				sum += crc32.Checksum(src, table)
				copy(dst, src)
			}
		}
		if sum == 1 {
			b.Log(sum)
		}
	})
	b.Run("codec", func(b *testing.B) {
		f := Frame{Addr: 1, Seq: 1, Op: OpPut, Payload: make([]byte, MaxPayload)}
		for i := range f.Payload {
			f.Payload[i] = byte(i * 31)
		}
		var s Scanner
		wire := make([]byte, 0, MaxWire)
		b.SetBytes(maxContent)
		b.ReportAllocs()
		for b.Loop() {
			wire, _ = f.AppendBinary(wire[:0])
			_, _, err := s.Scan(wire)
			if err != nil {
				b.Fatal(err)
			}
			s.Reset()
		}
	})
}
