package osdp_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"latchkey/osdp"

	"pgregory.net/rapid"
)

// TestSplitAssemble: what is cut comes together again, at any size, with
// fragments repeated and with a start that was broken off.
func TestSplitAssemble(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		message := rapid.SliceOfN(rapid.Byte(), 0, 600).Draw(t, "message")
		size := rapid.IntRange(1, 300).Draw(t, "size")
		s, err := osdp.NewSplitter(message, size)
		if err != nil {
			t.Fatal(err)
		}
		a := osdp.NewAssembler(len(message))
		if rapid.Bool().Draw(t, "restart") {
			if p, data, ok := s.Next(); ok {
				if _, err := a.Add(p, data); err != nil {
					t.Fatal(err)
				}
			}
			s.Restart()
		}
		if n := assemble(t, a, s); n != max(1, (len(message)+size-1)/size) {
			t.Errorf("%d fragments of %d bytes for %d bytes", n, size, len(message))
		}
		if !bytes.Equal(a.Message(), message) {
			t.Errorf("got %x, want %x", a.Message(), message)
		}
	})
}

// assemble gives a all that s has, some of it twice, and counts the fragments.
func assemble(t *rapid.T, a *osdp.Assembler, s *osdp.Splitter) (n int) {
	last := osdp.PartMore
	for p, data, ok := s.Next(); ok; p, data, ok = s.Next() {
		n++
		if last == osdp.PartDone {
			t.Fatalf("fragment %d after the message was whole", n)
		}
		var err error
		if last, err = a.Add(p, data); err != nil || last == osdp.PartEnded {
			t.Fatalf("fragment %+v: %v, %v", p, last, err)
		}
		// The first one again would start anew, which is no repeat.
		if p.Offset > 0 && rapid.Bool().Draw(t, "repeat") {
			if state, err := a.Add(p, data); err != nil || state != osdp.PartRepeat {
				t.Fatalf("fragment %+v repeated: %v, %v", p, state, err)
			}
		}
	}
	if last != osdp.PartDone && n > 0 {
		t.Fatalf("not whole after %d fragments: %v", n, a)
	}
	return n
}

func TestAssemblerRules(t *testing.T) {
	type fragment struct {
		total, offset int
		data          string
	}
	for _, tt := range []struct {
		name  string
		parts []fragment
		want  string // the last answer, or a part of its error
		held  string
	}{
		{"one", []fragment{{3, 0, "abc"}}, "2", "abc"},
		{"two", []fragment{{4, 0, "abc"}, {4, 3, "d"}}, "2", "abcd"},
		{"not yet", []fragment{{4, 0, "abc"}}, "0", "abc"},
		{"no bytes", []fragment{{0, 0, ""}}, "2", ""},
		{"next message", []fragment{{1, 0, "a"}, {2, 0, "bc"}}, "2", "bc"},
		{"same message once more", []fragment{{1, 0, "a"}, {1, 0, "a"}}, "2", "a"},
		{"starts anew", []fragment{{4, 0, "ab"}, {4, 0, "cde"}, {4, 3, "f"}}, "2", "cdef"},
		{"starts anew with another length", []fragment{{4, 0, "ab"}, {3, 0, "cde"}}, "2", "cde"},
		{"repeat", []fragment{{5, 0, "ab"}, {5, 2, "cd"}, {5, 2, "cd"}}, "1", "abcd"},
		{"repeat of the last", []fragment{{3, 0, "ab"}, {3, 2, "c"}, {3, 2, "c"}}, "1", "abc"},
		{"repeat of an early one", []fragment{{5, 0, "ab"}, {5, 2, "c"}, {5, 3, "d"}, {5, 2, "c"}}, "1", "abcd"},
		{"broken off", []fragment{{5, 0, "ab"}, {5, 5, ""}}, "3", ""},
		{"broken off far behind", []fragment{{5, 0, "ab"}, {5, 9, ""}}, "3", ""},
		{"end after the whole", []fragment{{2, 0, "ab"}, {2, 2, ""}}, "1", "ab"},
		{"nothing new", []fragment{{5, 0, "ab"}, {5, 2, ""}}, "1", "ab"},
		{"start without bytes", []fragment{{2, 0, ""}, {2, 0, "ab"}}, "2", "ab"},

		{"starts in the middle", []fragment{{4, 2, "ab"}}, "offset 2, want 0", ""},
		{"gap", []fragment{{9, 0, "ab"}, {9, 3, "d"}}, "offset 3, want 2", ""},
		{"gap without bytes", []fragment{{9, 0, "ab"}, {9, 3, ""}}, "offset 3, want 2", ""},
		{"overlap", []fragment{{9, 0, "ab"}, {9, 1, "bc"}}, "offset 1, want 2", ""},
		{"repeat that differs", []fragment{{9, 0, "ab"}, {9, 2, "cd"}, {9, 2, "ce"}}, "2 bytes at 2 differ", ""},
		{"other length", []fragment{{4, 0, "ab"}, {5, 2, "c"}}, "message of 5 bytes, was 4", ""},
		{"too long", []fragment{{11, 0, "ab"}}, "message of 11 bytes, limit 10", ""},
		{"past its end", []fragment{{2, 0, "abc"}}, "ends at 3 in a message of 2 bytes", ""},
		{"after an error", []fragment{{4, 0, "ab"}, {4, 3, "d"}, {4, 2, "cd"}}, "offset 2, want 0", ""},
		{"after the end", []fragment{{4, 0, "ab"}, {4, 4, ""}, {4, 2, "cd"}}, "offset 2, want 0", ""},
	} {
		a := osdp.NewAssembler(10)
		var got string
		for _, f := range tt.parts {
			p := osdp.Part{Total: uint16(f.total), Offset: uint16(f.offset), Length: uint16(len(f.data))}
			state, err := a.Add(p, []byte(f.data))
			if got = fmt.Sprint(uint8(state)); err != nil {
				got = err.Error()
				if !errors.Is(err, osdp.ErrPart) {
					t.Errorf("%s: %v is no ErrPart", tt.name, err)
				}
			}
		}
		if !strings.Contains(got, tt.want) || string(a.Message()) != tt.held {
			t.Errorf("%s: %s and %q, want %s and %q", tt.name, got, a.Message(), tt.want, tt.held)
		}
	}
	if _, err := osdp.NewAssembler(10).Add(osdp.Part{Total: 2, Length: 2}, []byte{1}); !errors.Is(err, osdp.ErrPart) {
		t.Errorf("header of 2 bytes with 1: %v, want ErrPart", err)
	}
}

// TestAssemblerForgets: what is forgotten is gone from memory too.
func TestAssemblerForgets(t *testing.T) {
	a := osdp.NewAssembler(9)
	if _, err := a.Add(osdp.Part{Total: 9, Length: 3}, []byte("key")); err != nil {
		t.Fatal(err)
	}
	m := a.Message()
	if _, err := a.Add(osdp.Part{Total: 9, Offset: 7, Length: 1}, []byte("x")); !errors.Is(err, osdp.ErrPart) {
		t.Errorf("a gap: %v, want ErrPart", err)
	}
	if !bytes.Equal(m, make([]byte, 3)) {
		t.Errorf("%q is still there", m)
	}
}

// TestSplitMessages cuts each kind of multi-part message as recorded ones were.
func TestSplitMessages(t *testing.T) {
	data := []byte("0123456789")
	part := func(offset, length uint16) osdp.Part { return osdp.Part{Total: 10, Offset: offset, Length: length} }
	gen, err := osdp.GENAUTH{Algorithm: 7, KeyRef: 0x9a, Data: data}.Split(6)
	if want := []osdp.Command{
		osdp.GENAUTH{Part: part(0, 4), Algorithm: 7, KeyRef: 0x9a, Data: data[:4]}, osdp.GENAUTH{Part: part(4, 6), Data: data[4:]},
	}; err != nil || !reflect.DeepEqual(gen, want) {
		t.Errorf("GENAUTH: %v, %v; want %v", gen, err, want)
	}
	cr, err := osdp.CRAUTH{Algorithm: 7, KeyRef: 0x9a, Data: data}.Split(12)
	if want := []osdp.Command{osdp.CRAUTH{Part: part(0, 10), Algorithm: 7, KeyRef: 0x9a, Data: data}}; err != nil || !reflect.DeepEqual(cr, want) {
		t.Errorf("CRAUTH: %v, %v; want %v", cr, err, want)
	}
	piv, err := osdp.PIVDATAR{Data: data}.Split(7)
	if want := []osdp.Reply{osdp.PIVDATAR{Part: part(0, 7), Data: data[:7]}, osdp.PIVDATAR{Part: part(7, 3), Data: data[7:]}}; err != nil || !reflect.DeepEqual(piv, want) {
		t.Errorf("PIVDATAR: %v, %v; want %v", piv, err, want)
	}
	genr, err := osdp.GENAUTHR{Data: data}.Split(10)
	if want := []osdp.Reply{osdp.GENAUTHR{Part: part(0, 10), Data: data}}; err != nil || !reflect.DeepEqual(genr, want) {
		t.Errorf("GENAUTHR: %v, %v; want %v", genr, err, want)
	}
	crr, err := osdp.CRAUTHR{Data: data}.Split(9)
	if want := []osdp.Reply{osdp.CRAUTHR{Part: part(0, 9), Data: data[:9]}, osdp.CRAUTHR{Part: part(9, 1), Data: data[9:]}}; err != nil || !reflect.DeepEqual(crr, want) {
		t.Errorf("CRAUTHR: %v, %v; want %v", crr, err, want)
	}
	id, err := osdp.EXTPDID{{Tag: osdp.IDManufacturer, Value: "Acme"}}.Split(5)
	if want := []osdp.Reply{
		osdp.EXTPDIDPart{Part: osdp.Part{Total: 7, Length: 5}, Data: []byte("\x00\x04\x00Ac")},
		osdp.EXTPDIDPart{Part: osdp.Part{Total: 7, Offset: 5, Length: 2}, Data: []byte("me")},
	}; err != nil || !reflect.DeepEqual(id, want) {
		t.Errorf("EXT_PDID: %v, %v; want %v", id, err, want)
	}
}

func TestSplitRefusals(t *testing.T) {
	long := make([]byte, 0x10000)
	for name, split := range map[string]func() error{
		"size 0":          func() error { _, err := osdp.NewSplitter(nil, 0); return err },
		"message":         func() error { _, err := osdp.NewSplitter(long, 1); return err },
		"no room for key": func() error { _, err := osdp.GENAUTH{}.Split(2); return err },
		"CRAUTH":          func() error { _, err := osdp.CRAUTH{Data: long}.Split(200); return err },
		"PIVDATAR":        func() error { _, err := osdp.PIVDATAR{Data: long}.Split(200); return err },
		"GENAUTHR":        func() error { _, err := osdp.GENAUTHR{}.Split(-1); return err },
		"CRAUTHR":         func() error { _, err := osdp.CRAUTHR{}.Split(0); return err },
		"EXT_PDID":        func() error { _, err := osdp.EXTPDID{{Value: string(long)}}.Split(9); return err },
	} {
		if err := split(); !errors.Is(err, osdp.ErrValue) {
			t.Errorf("%s: %v, want ErrValue", name, err)
		}
	}
}

// TestRecordedMultiPart puts together the messages of a recorded session.
func TestRecordedMultiPart(t *testing.T) {
	assemblers := map[byte]*osdp.Assembler{}
	var whole []string
	add := func(code byte, p osdp.Part, data []byte) {
		if assemblers[code] == nil {
			assemblers[code] = osdp.NewAssembler(1024)
		}
		state, err := assemblers[code].Add(p, data)
		if err != nil {
			t.Errorf("code 0x%02x %+v: %v", code, p, err)
		}
		if m := assemblers[code].Message(); state == osdp.PartDone {
			whole = append(whole, fmt.Sprintf("%02x %d %x..%x", code, len(m), m[0], m[len(m)-1]))
		}
	}
	for _, v := range vectors(t) {
		if v.Name != "ext-bio-piv-auth-trs-plain" && v.Name != "ext-bio-piv-auth-trs-sc" {
			continue
		}
		for _, f := range v.Frames {
			code, _ := hex.DecodeString(f.Code)
			plain, _ := hex.DecodeString(f.Plain)
			if f.Dir == "pd>cp" {
				switch r := osdp.ParseReply(code[0], plain).(type) {
				case osdp.PIVDATAR:
					add(code[0], r.Part, r.Data)
				case osdp.GENAUTHR:
					add(code[0], r.Part, r.Data)
				case osdp.CRAUTHR:
					add(code[0], r.Part, r.Data)
				}
				continue
			}
			switch c := osdp.ParseCommand(code[0], plain).(type) {
			case osdp.GENAUTH:
				add(code[0], c.Part, c.Data)
			case osdp.CRAUTH:
				add(code[0], c.Part, c.Data)
			}
		}
	}
	once := []string{"80 250 0..f9", "a4 256 5a..a5", "81 64 ff..c0", "a5 64 5a..65", "82 64 ff..c0"}
	if want := append(once, once...); !reflect.DeepEqual(whole, want) {
		t.Errorf("got %q, want %q", whole, want)
	}
}

func TestMaxPart(t *testing.T) {
	for _, tt := range []struct {
		receive     int
		secure      bool
		part, chunk int
	}{
		{256, false, 242, 237},
		{256, true, 233, 228},
		{128, false, 114, 109}, // a known panel makes do with 95
		{128, true, 105, 100},
		{osdp.MaxFrame, false, 1426, 1421},
		{osdp.MaxFrame, true, 1417, 1412},
		{9999, false, 1426, 1421}, // no frame is that long
		{20, false, 6, 1},
		{19, false, 5, 0},
		{13, false, 0, 0},
		{45, true, 9, 4},
		{29, true, 0, 0},
		{0, true, 0, 0},
	} {
		if part, chunk := osdp.MaxPart(tt.receive, tt.secure), osdp.MaxFragment(tt.receive, tt.secure); part != tt.part || chunk != tt.chunk {
			t.Errorf("%d bytes, secure %v: parts of %d and fragments of %d, want %d and %d", tt.receive, tt.secure, part, chunk, tt.part, tt.chunk)
		}
		if tt.chunk == 0 {
			continue
		}
		// One more byte would not fit, this many do.
		for more := range 2 {
			f := osdp.FILETRANSFER{Data: make([]byte, tt.chunk+more)}
			data, err := f.AppendData(nil)
			if err != nil {
				t.Fatal(err)
			}
			fr := osdp.Frame{Code: f.Code(), Data: data}
			if tt.secure {
				fr.SCBType, fr.Data = osdp.SCS17, make([]byte, (len(data)/16+1)*16)
			}
			if fits := fr.Len() <= min(tt.receive, osdp.MaxFrame); fits != (more == 0) {
				t.Errorf("fragment of %d bytes, secure %v, makes a frame of %d for %d", tt.chunk+more, tt.secure, fr.Len(), tt.receive)
			}
		}
	}
}

// FuzzAssembler feeds fragments from bytes and holds the Assembler against the
// plainest thing that could be right: what the fragments say byte by byte since
// the last start.
func FuzzAssembler(f *testing.F) {
	f.Add([]byte{4, 0, 2, 'a', 'b', 4, 2, 2, 'c', 'd', 4, 2, 2, 'c', 'd', 4, 4, 0})
	f.Add([]byte{9, 0, 2, 'a', 'b', 9, 9, 0, 9, 2, 1, 'c'})
	f.Fuzz(func(t *testing.T, script []byte) {
		const limit = 100
		a := osdp.NewAssembler(limit)
		var model []byte
		for len(script) >= 3 {
			p := osdp.Part{Total: uint16(script[0]), Offset: uint16(script[1]), Length: uint16(script[2] % 16)}
			script = script[3:]
			data := script[:min(len(script), int(p.Length))]
			script = script[len(data):]
			state, err := a.Add(p, data)
			if p.Offset == 0 && state != osdp.PartRepeat {
				model = nil
			}
			switch {
			case err != nil || state == osdp.PartEnded:
				model = nil
			case state != osdp.PartRepeat:
				model = append(model, data...)
			}
			if !bytes.Equal(a.Message(), model) || len(model) > limit {
				t.Fatalf("%+v: %v, %v holds %q, want %q", p, state, err, a.Message(), model)
			}
			if state == osdp.PartDone && len(model) != int(p.Total) {
				t.Fatalf("%+v: whole with %d bytes", p, len(model))
			}
		}
	})
}
