package delta

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"latchkey/access"
)

func mustEncode(t testing.TB, m Message) []byte {
	t.Helper()
	payload, err := Encode(m)
	if err != nil {
		t.Fatalf("%T: %v", m, err)
	}
	return payload
}

func TestEncodeDecode(t *testing.T) {
	types := map[string]bool{}
	for _, m := range samples() {
		payload := mustEncode(t, m)
		got, err := Decode(payload)
		if err != nil {
			t.Errorf("%T: %v\n%s", m, err, payload)
			continue
		}
		if !reflect.DeepEqual(got, m) {
			t.Errorf("%T: got %+v, want %+v", m, got, m)
		}
		h := HeaderOf(got)
		types[h.Type] = true
		if h.V != Version || TypOf(got) == "" {
			t.Errorf("%T: version %d, typ %q", m, h.V, TypOf(got))
		}
	}
	if len(types) != 13 {
		t.Errorf("samples of %d types, want all 13", len(types))
	}
}

func TestDecodeToleratesWhatIsNew(t *testing.T) {
	payload := mustEncode(t, samples()[0])
	newer := edit(payload, `"v":1,`, `"v":1,"colour":{"red":[1,2]},`)
	newer = edit(newer, `"op":"put","type":"setting"`, `"op":"put","since":3,"type":"parking"`)
	m, err := Decode(newer)
	if err != nil {
		t.Fatal(err)
	}
	if got := m.(*Delta).Changes[0].Kind; got != "parking" {
		t.Errorf("kind %q, want parking", got)
	}
}

func TestTimesAreUTC(t *testing.T) {
	m := &Beat{Header: header1(), Time: noon.In(time.FixedZone("", 3600))}
	m.At = m.Time
	if payload := mustEncode(t, m); !bytes.Contains(payload, []byte(`"time":"2026-12-01T12:00:00Z"`)) {
		t.Errorf("got %s", payload)
	}
}

func TestRefusals(t *testing.T) {
	long := strings.Repeat("x", 5000)
	change := func(f func(d *Delta)) Message { d := samples()[0].(*Delta); f(d); return d }
	for _, tt := range []struct {
		name string
		m    Message
		want string // in the error
	}{
		{"no site", &Beat{Header: Header{At: noon}}, "site id"},
		{"site in capitals", &Beat{Header: Header{Site: "North"}}, "site id"},
		{"site is a wildcard", &Beat{Header: Header{Site: "+"}}, "site id"},
		{"site with a slash", &Beat{Header: Header{Site: "a/b"}}, "site id"},
		{"site too long", &Beat{Header: Header{Site: strings.Repeat("a", 33)}}, "site id"},
		{"site of the cloud's name", &Beat{Header: Header{Site: "cloud"}}, "cloud's own name"},
		{"year", &Beat{Header: header1(), Time: noon.AddDate(9000, 0, 0)}, "year"},
		{"epoch 0", change(func(d *Delta) { d.Epoch = 0 }), "epoch 0"},
		{"seq 0", change(func(d *Delta) { d.Seq = 0 }), "seq 0"},
		{"seq too high", change(func(d *Delta) { d.Seq = 1 << 63 }), "seq"},
		{"no prev", change(func(d *Delta) { d.Prev = Hash{} }), "prev"},
		{"prev of 1", change(func(d *Delta) { d.Seq = 1 }), "prev"},
		{"deny without a kind", change(func(d *Delta) { d.Deny[0].Kind = "" }), "deny[0]"},
		{"deny with a zero byte", change(func(d *Delta) { d.Deny[0].Key = "a\x00b" }), "control character"},
		{"key not UTF-8", change(func(d *Delta) { d.Deny[0].Key = "\xff" }), "UTF-8"},
		{"key too long", change(func(d *Delta) { d.Deny[0].Key = long }), "key"},
		{"one record twice", change(func(d *Delta) { d.Changes = append(d.Changes, d.Changes[0]) }), "twice"},
		{"other op", change(func(d *Delta) { d.Changes[0].Op = "set" }), "op"},
		{"put without a record", change(func(d *Delta) { d.Changes[0].Record = nil }), "no JSON object"},
		{"record is a list", change(func(d *Delta) { d.Changes[0].Record = json.RawMessage(`[]`) }), "no JSON object"},
		{"record with a blank", change(func(d *Delta) { d.Changes[0].Record = json.RawMessage(`{"a": 1}`) }), "canonical"},
		{"record not escaped", change(func(d *Delta) { d.Changes[0].Record = json.RawMessage(`{"a":"<"}`) }), "canonical"},
		{"record with a name twice", change(func(d *Delta) { d.Changes[0].Record = json.RawMessage(`{"state":"a","State":"b"}`) }), "twice"},
		{"record with an escaped name twice", change(func(d *Delta) { d.Changes[0].Record = json.RawMessage(`{"state":1,"\u0073tate":2}`) }), "twice"},
		{"delete with a record", change(func(d *Delta) { d.Changes[1].Record = json.RawMessage(`{}`) }), "with a record"},
		{"approved by nobody", change(func(d *Delta) { d.Approved.By = "" }), "approved.by"},
		{"removes less than none", change(func(d *Delta) { d.Approved.Removes = -1 }), "approved.removes"},
		{"part 0", &Snapshot{Header: header1(), ID: "s", Re: "n", Parts: 1, Head: Head{Epoch: 1}}, "part 0"},
		{"part past the end", &Snapshot{Header: header1(), ID: "s", Re: "n", Part: 2, Parts: 1, Head: Head{Epoch: 1}}, "part 2"},
		{"snapshot without re", &Snapshot{Header: header1(), ID: "s", Part: 1, Parts: 1, Head: Head{Epoch: 1}}, "re"},
		{"snapshot deletes", &Snapshot{Header: header1(), ID: "s", Re: "n", Part: 1, Parts: 1, Head: Head{Epoch: 1}, Records: []Change{Del(access.Ref{Kind: "a", Key: "b"})}}, "op"},
		{"head without a hash", &Beat{Header: header1(), Head: Head{Epoch: 1, Seq: 1}}, "hash"},
		{"hash of nothing", &Beat{Header: header1(), Head: Head{Epoch: 1, Hash: hashOf("")}}, "hash"},
		{"applied nothing", &Applied{Header: header1()}, "epoch 0"},
		{"short nonce", &Hello{Header: header1(), Nonce: "AAAA"}, "nonce"},
		{"nonce with a newline", &Hello{Header: header1(), Nonce: NonceOf([16]byte{}) + "\n"}, "nonce"},
		{"version 0", &Hello{Header: header1(), Nonce: NonceOf([16]byte{}), Versions: []int{0}}, "versions"},
		{"ttl 0", &Command{Header: header1(), ID: "c", Re: "n", Name: "unlock"}, "ttl"},
		{"ttl of a week", &Command{Header: header1(), ID: "c", Re: "n", Name: "unlock", TTL: 7 * 86400}, "ttl"},
		{"need nothing", &Need{Header: header1(), Epoch: 1}, "from 0"},
		{"need backwards", &Need{Header: header1(), Epoch: 1, From: 3, To: 2}, "from 3 to 2"},
		{"parts of nothing", &Need{Header: header1(), Epoch: 1, From: 3, Parts: []int{1}}, "parts without"},
		{"part 0 needed", &Need{Header: header1(), Snapshot: true, ID: "s", Parts: []int{0}}, "parts[0]"},
		{"parts not ascending", &Need{Header: header1(), Snapshot: true, ID: "s", Parts: []int{2, 2}}, "parts[1]"},
		{"snapshot approved by nobody", &Snapshot{Header: header1(), ID: "s", Re: "n", Part: 1, Parts: 1, Head: Head{Epoch: 1}, Approved: &Approval{}}, "approved.by"},
		{"nack of less than nothing", &Nack{Header: header1(), Reason: ReasonMass, Removes: -1}, "removes"},
		{"nack without a reason", &Nack{Header: header1()}, "reason"},
		{"events with a gap", &Events{Header: header1(), EventEpoch: "e", Events: []access.Event{{N: 1, Kind: "a"}, {N: 3, Kind: "a"}}}, "without a gap"},
		{"event 0", &Events{Header: header1(), EventEpoch: "e", Events: []access.Event{{Kind: "a"}}}, "without a gap"},
		{"event without a kind", &Events{Header: header1(), EventEpoch: "e", Events: []access.Event{{N: 1}}}, "kind"},
		{"long text", &Result{Header: header1(), ID: "c", Text: long}, "text"},
		{"no event epoch", &Ack{Header: header1()}, "event_epoch"},
		{"held less than nothing", &Proof{Header: header1(), Controllers: []ControllerProof{{Controller: "c", Held: -1}}}, "held -1"},
		{"receipt of part 0", &Receipt{Header: header1(), ID: "s"}, "part 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Encode(tt.m)
			if !errors.Is(err, ErrShape) || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("encode: got %v, want %v about %q", err, ErrShape, tt.want)
			}
			// What one end must not send, the other must not take either.
			name, _ := kindOf(tt.m)
			h := HeaderOf(tt.m)
			h.V, h.Type = Version, name
			payload, err := json.Marshal(tt.m)
			if err != nil {
				return // JSON itself refuses
			}
			if strings.Contains(tt.name, "UTF-8") || strings.HasPrefix(tt.name, "record ") {
				return // json.Marshal mended it
			}
			if m, err := Decode(payload); err == nil {
				t.Errorf("decode took %s as %+v", payload, m)
			} else if !errors.Is(err, ErrShape) {
				t.Errorf("decode: got %v, want %v", err, ErrShape)
			}
		})
	}
}

func TestDecodeRefusesTexts(t *testing.T) {
	beat := mustEncode(t, samples()[2])
	for _, tt := range []struct {
		name    string
		payload []byte
		want    error
		reason  string
	}{
		{"empty", nil, ErrShape, "shape"},
		{"not JSON", []byte("{"), ErrShape, "shape"},
		{"two texts", append(bytes.Clone(beat), beat...), ErrShape, "shape"},
		{"not UTF-8", edit(beat, "nonce", "\xff"), ErrShape, "shape"},
		{"name twice", edit(beat, `"v":1`, `"v":1,"re":"other"`), ErrShape, "shape"},
		{"name twice in another case", edit(beat, `"v":1`, `"v":1,"SITE":"south"`), ErrShape, "shape"},
		{"type is a number", edit(beat, `"beat"`, `3`), ErrShape, "shape"},
		{"negative seq", edit(beat, `"seq":42`, `"seq":-1`), ErrShape, "shape"},
		{"fraction", edit(beat, `"seq":42`, `"seq":42.5`), ErrShape, "shape"},
		{"epoch too high", edit(beat, `"epoch":7`, `"epoch":4294967296`), ErrShape, "shape"},
		{"version 0", edit(beat, `"v":1`, `"v":0`), ErrShape, "shape"},
		{"version 2", edit(beat, `"v":1`, `"v":2`), ErrVersion, "version"},
		{"other type", edit(beat, `"beat"`, `"song"`), ErrType, "version"},
		{"too large", append(bytes.Clone(beat), bytes.Repeat([]byte(" "), MaxPayload)...), ErrSize, "size"},
		{"too deep", edit(beat, `"v":1`, `"v":1,"x":`+strings.Repeat("[", 40)+strings.Repeat("]", 40)), ErrShape, "shape"},
	} {
		if m, err := Decode(tt.payload); !errors.Is(err, tt.want) || m != nil {
			t.Errorf("%s: got %v, %v; want %v", tt.name, m, err, tt.want)
		} else if Reason(err) != tt.reason {
			t.Errorf("%s: reason %q, want %q", tt.name, Reason(err), tt.reason)
		}
	}
	var names strings.Builder
	for i := range maxNames + 1 {
		fmt.Fprintf(&names, `"x%d":0,`, i)
	}
	if _, err := Decode(edit(beat, `"v":1,`, `"v":1,`+names.String())); !errors.Is(err, ErrShape) {
		t.Errorf("too many names: got %v, want %v", err, ErrShape)
	}
}

func TestEncodeRefusesWhatIsTooLarge(t *testing.T) {
	d := samples()[0].(*Delta)
	for i := range 100 {
		d.Changes = append(d.Changes, put(fmt.Sprint("n", i), strings.Repeat("x", 1000)))
	}
	if _, err := Encode(d); !errors.Is(err, ErrSize) {
		t.Errorf("got %v, want %v", err, ErrSize)
	}
}

// An old site must still take access away when it can read nothing else.
func TestDenyIsReadableInEveryVersion(t *testing.T) {
	payload := mustEncode(t, samples()[0])
	newer := edit(edit(payload, `"v":1`, `"v":9`), `"changes":[`, `"changes":{"other":"form"},"old":[`)
	if _, err := Decode(newer); !errors.Is(err, ErrVersion) {
		t.Fatalf("decode: got %v, want %v", err, ErrVersion)
	}
	want := Denial{
		Head: Head{Epoch: 7, Seq: 43, Hash: HashOf(newer)}, Refs: []access.Ref{{Kind: access.KindPerson, Key: "p1"}},
		Approved: &Approval{By: "ann", Removes: 30},
	}
	if got, err := DecodeDeny(newer); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v %v, want %+v", got, err, want)
	}
	other := edit(newer, `"approved":{"by":"ann","removes":30}`, `"approved":["ann"]`)
	want.Head.Hash, want.Approved = HashOf(other), nil
	if got, err := DecodeDeny(other); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("with an approval of another form: got %+v %v, want %+v", got, err, want)
	}
	for _, bad := range [][]byte{mustEncode(t, samples()[2]), edit(newer, `"seq":43`, `"seq":0`), edit(newer, `"key":"p1"`, `"key":""`), []byte("x")} {
		if d, err := DecodeDeny(bad); err == nil {
			t.Errorf("%s: deny %v, want an error", bad, d.Refs)
		}
	}
}

func TestJudge(t *testing.T) {
	held := Head{Epoch: 7, Seq: 42, Hash: hashOf("42")}
	for _, tt := range []struct {
		name  string
		held  Head
		epoch uint32
		seq   uint64
		prev  Hash
		hash  Hash
		want  Verdict
	}{
		{"the next one", held, 7, 43, hashOf("42"), hashOf("43"), Apply},
		{"the first one", Head{Epoch: 7}, 7, 1, Hash{}, hashOf("1"), Apply},
		{"the newest one again", held, 7, 42, hashOf("41"), hashOf("42"), AckAgain},
		{"an older one", held, 7, 3, hashOf("2"), hashOf("3"), AckAgain},
		{"another newest one", held, 7, 42, hashOf("41"), hashOf("other"), Fork},
		{"the next one of another history", held, 7, 43, hashOf("other"), hashOf("43"), Fork},
		{"one too far", held, 7, 44, hashOf("43"), hashOf("44"), Gap},
		{"a stream that is over", held, 6, 43, hashOf("42"), hashOf("43"), OldEpoch},
		{"a stream that is new", held, 8, 1, Hash{}, hashOf("1"), NewEpoch},
		{"the first day", Head{}, 7, 1, Hash{}, hashOf("1"), NewEpoch},
	} {
		d := &Delta{Epoch: tt.epoch, Seq: tt.seq, Prev: tt.prev}
		if got := Judge(tt.held, d, tt.hash); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// FuzzDecode: what decodes, encodes, and decodes to the same again.
func FuzzDecode(f *testing.F) {
	for _, m := range samples() {
		f.Add(mustEncode(f, m))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		m, err := Decode(payload)
		if err != nil {
			return
		}
		again, err := Encode(m)
		if errors.Is(err, ErrSize) {
			return // escaping made it longer
		}
		if err != nil {
			t.Fatalf("decoded, but does not encode: %v", err)
		}
		m2, err := Decode(again)
		if err != nil {
			t.Fatalf("encoded, but does not decode: %v\n%s", err, again)
		}
		if !reflect.DeepEqual(m, m2) {
			t.Fatalf("got %+v, then %+v", m, m2)
		}
	})
}

// FuzzCanonical: a record that is canonical comes out of a delta as it went in.
func FuzzCanonical(f *testing.F) {
	for _, r := range []access.Record{
		access.Person{ID: "p", Name: "<Ann & Bob> \u2028", State: access.StateActive},
		access.Schedule{ID: "s", Zone: "Europe/Berlin", Weekly: []access.Interval{{Day: 1, From: 2, To: 3}}},
	} {
		raw, err := Canonical(r)
		if err != nil {
			f.Fatal(err)
		}
		if err := CheckCanonical(raw); err != nil {
			f.Fatalf("%s: %v", raw, err)
		}
		f.Add([]byte(raw))
	}
	f.Add([]byte(`{"a": 1}`))
	f.Add([]byte(`{"a":1,"\u0061":2}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if CheckCanonical(raw) != nil {
			return
		}
		d := samples()[0].(*Delta)
		d.Changes = []Change{{Op: OpPut, Ref: access.Ref{Kind: "x", Key: "y"}, Record: raw}}
		payload, err := Encode(d)
		if errors.Is(err, ErrSize) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		m, err := Decode(payload)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.(*Delta).Changes[0].Record; !bytes.Equal(got, raw) {
			t.Fatalf("went in as %s, came out as %s", raw, got)
		}
	})
}
