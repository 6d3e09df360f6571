package osdp_test

import (
	"bytes"
	"errors"
	"testing"

	"latchkey/osdp"
)

// TestObserver follows each recorded channel from outside, and writes it again
// with every secret zero: whoever has the key can read the second trace, and
// finds in it the same frames.
func TestObserver(t *testing.T) {
	opened, rewritten := 0, 0
	for _, r := range recordings(t) {
		t.Run(r.Name, func(t *testing.T) {
			left := r.Handshakes
			var key osdp.Key
			var chlng osdp.Frame
			var reader, writer, again *osdp.Observer
			for i, rf := range r.Frames {
				f := parse(t, unhex(t, rf.Hex))
				var err error
				switch {
				case f.SCBType == 0:
				case f.SCBType == osdp.SCS11:
					chlng, key, left = f, osdp.Key(unhex(t, left[0].SCBK)), left[1:]
				case f.SCBType == osdp.SCS12:
					reader, err = osdp.Observe(key, chlng, f)
					if reader == nil && errors.Is(err, osdp.ErrHandshake) {
						continue // made with a key that nobody knows
					}
					writer, _ = osdp.Observe(key, chlng, f)
					again, _ = osdp.Observe(key, chlng, f)
				case f.SCBType <= osdp.SCS14:
					err = reader.Proven(f)
				default:
					var data []byte
					if data, err = reader.Open(&f); errors.Is(err, osdp.ErrClear) {
						err = nil
					}
					if rf.MACFull != "" && !bytes.Equal(data, unhex(t, rf.Plain)) {
						t.Fatalf("frame %d: opened to % x, want %s", i, data, rf.Plain)
					}
					opened++
					zero := make([]byte, len(data))
					b, err := writer.Rewrite(nil, f, zero)
					if err != nil {
						t.Fatalf("frame %d: %v", i, err)
					}
					g := parse(t, b)
					got, err := again.Open(&g)
					if err != nil && !errors.Is(err, osdp.ErrClear) || !bytes.Equal(got, zero) {
						t.Fatalf("frame %d: rewritten, opened to % x, %v", i, got, err)
					}
					if g.SCBType != f.SCBType || g.Code != f.Code || g.Seq != f.Seq || g.Len() != f.Len() {
						t.Fatalf("frame %d: %v became %v", i, f, g)
					}
					rewritten++
				}
				if err != nil {
					t.Fatalf("frame %d: %v", i, err)
				}
			}
		})
	}
	if opened < 500 || rewritten != opened {
		t.Errorf("only %d frames opened and %d rewritten", opened, rewritten)
	}
}

// TestRewriteIsExact: with the data that was there, every frame of a channel
// comes out as it was, also those that no Seal of ours would make.
func TestRewriteIsExact(t *testing.T) {
	for _, r := range recordings(t) {
		key := osdp.Key(unhex(t, r.Handshakes[0].SCBK))
		var chlng osdp.Frame
		var reader, writer *osdp.Observer
		for i, rf := range r.Frames {
			f := parse(t, unhex(t, rf.Hex))
			switch {
			case f.SCBType == osdp.SCS11:
				chlng = f
			case f.SCBType == osdp.SCS12:
				reader, _ = osdp.Observe(key, chlng, f)
				writer, _ = osdp.Observe(key, chlng, f)
			case f.SCBType >= osdp.SCS15 && reader != nil:
				data, err := reader.Open(&f)
				if err != nil && !errors.Is(err, osdp.ErrClear) {
					t.Fatalf("%s, frame %d: %v", r.Name, i, err)
				}
				got, err := writer.Rewrite(nil, f, data)
				if want := bytes.TrimLeft(unhex(t, rf.Hex), "\xff"); err != nil || !bytes.Equal(got, want) {
					t.Fatalf("%s, frame %d: % x, %v, want % x", r.Name, i, got, err, want)
				}
			}
		}
	}
}

// TestObserverRefuses: frames that are no handshake, another key, and data that
// does not fit.
func TestObserverRefuses(t *testing.T) {
	r := recordings(t)[0]
	key := osdp.Key(unhex(t, r.Handshakes[0].SCBK))
	var frames []osdp.Frame // from CHLNG
	for _, rf := range r.Frames {
		if f := parse(t, unhex(t, rf.Hex)); f.SCBType != 0 {
			frames = append(frames, f)
		}
	}
	chlng, ccrypt, scrypt, rmaci, poll := frames[0], frames[1], frames[2], frames[3], frames[4]
	for name, try := range map[string]func() (*osdp.Observer, error){
		"another key":       func() (*osdp.Observer, error) { return osdp.Observe(osdp.DefaultKey(), chlng, ccrypt) },
		"no CHLNG":          func() (*osdp.Observer, error) { return osdp.Observe(key, scrypt, ccrypt) },
		"no CCRYPT":         func() (*osdp.Observer, error) { return osdp.Observe(key, chlng, rmaci) },
		"nothing":           func() (*osdp.Observer, error) { return osdp.Observe(key, osdp.Frame{}, osdp.Frame{}) },
		"the wrong way out": func() (*osdp.Observer, error) { return osdp.Observe(key, ccrypt, chlng) },
	} {
		if o, err := try(); o != nil || !errors.Is(err, osdp.ErrHandshake) {
			t.Errorf("%s: %v, want %v", name, err, osdp.ErrHandshake)
		}
	}
	o, err := osdp.Observe(key, chlng, ccrypt)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []osdp.Frame{chlng, poll, {Code: osdp.CodeSCRYPT, SCBType: osdp.SCS13, Data: make([]byte, 16)}} {
		if err := o.Proven(f); !errors.Is(err, osdp.ErrHandshake) {
			t.Errorf("%v proves the key: %v", f, err)
		}
	}
	if _, err := o.Rewrite(nil, poll, []byte{1}); !errors.Is(err, osdp.ErrFrame) {
		t.Errorf("a POLL with data: %v", err)
	}
	if _, err := o.Rewrite(nil, chlng, nil); !errors.Is(err, osdp.ErrFrame) {
		t.Errorf("a clear frame: %v", err)
	}
	if _, err := o.Open(&poll); err != nil {
		t.Errorf("after all that: %v", err)
	}
}
