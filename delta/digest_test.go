package delta

import (
	"crypto/sha256"
	"encoding/json"
	"math/big"
	"slices"
	"testing"

	"latchkey/access"

	"pgregory.net/rapid"
)

type digested struct {
	ref    access.Ref
	record []byte
}

func drawRecords(t *rapid.T) []digested {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) digested {
		return digested{
			access.Ref{
				Kind: access.Kind(rapid.SampledFrom([]string{"person", "grant", "door"}).Draw(t, "kind")),
				Key:  rapid.StringN(1, 20, 60).Draw(t, "key"),
			},
			rapid.SliceOfN(rapid.Byte(), 0, 700).Draw(t, "record"),
		}
	}), 0, 20).Draw(t, "records")
}

func TestDigestIsASum(t *testing.T) {
	modulus := new(big.Int).Lsh(big.NewInt(1), 256)
	rapid.Check(t, func(t *rapid.T) {
		records := drawRecords(t)
		var got Digest
		want := new(big.Int)
		for _, r := range records {
			got.Add(r.ref, r.record)
			text := string(r.ref.Kind) + "\x00" + r.ref.Key + "\x00" + string(r.record)
			sum := sha256.Sum256([]byte(text))
			want.Add(want, new(big.Int).SetBytes(sum[:])).Mod(want, modulus)
		}
		if new(big.Int).SetBytes(got[:]).Cmp(want) != 0 {
			t.Fatalf("got %v, want %x", got, want)
		}
		var shuffled Digest
		for _, r := range rapid.Permutation(records).Draw(t, "another order") {
			shuffled.Add(r.ref, r.record)
		}
		if shuffled != got {
			t.Fatalf("in another order: %v, want %v", shuffled, got)
		}
		for _, r := range rapid.Permutation(records).Draw(t, "order of taking away") {
			got.Sub(r.ref, r.record)
		}
		if got != (Digest{}) {
			t.Fatalf("after taking all away: %v", got)
		}
	})
}

func TestDigestTellsRecordsApart(t *testing.T) {
	seen := map[Digest]digested{}
	for _, r := range []digested{
		{access.Ref{Kind: "a", Key: "bc"}, []byte("d")},
		{access.Ref{Kind: "ab", Key: "c"}, []byte("d")},
		{access.Ref{Kind: "a", Key: "b"}, []byte("cd")},
		{access.Ref{Kind: "a", Key: "bcd"}, nil},
	} {
		var d Digest
		d.Add(r.ref, r.record)
		if other, ok := seen[d]; ok {
			t.Errorf("%v and %v have one digest", r, other)
		}
		seen[d] = r
	}
}

func TestHashAndDigestTexts(t *testing.T) {
	for _, h := range []Hash{{}, hashOf(""), hashOf("x")} {
		text, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		var got Hash
		if err := json.Unmarshal(text, &got); err != nil || got != h {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
	}
	good := hashOf("x").String()
	for _, text := range []string{"A", good + "=", good + "\n", good[:42], good[:42] + "_", "+" + good[1:], "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"} {
		if err := new(Hash).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("hash %q was taken", text)
		}
	}
	d := Digest{0: 0xab}
	var got Digest
	if err := got.UnmarshalText([]byte(d.String())); err != nil || got != d {
		t.Errorf("digest: got %v, %v", got, err)
	}
	zeros := Digest{}.String()
	for _, text := range []string{"", zeros[1:], zeros + "0", "AB" + zeros[2:], "g0" + zeros[2:]} {
		if err := new(Digest).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("digest %q was taken", text)
		}
	}
}

func BenchmarkDigest(b *testing.B) {
	c := put("opening-hours", "a value of the usual length, as records go")
	input := slices.Concat([]byte(c.Kind), []byte{0}, []byte(c.Key), []byte{0}, c.Record)
	b.Run("floor", func(b *testing.B) {
		for b.Loop() {
			sha256.Sum256(input)
		}
	})
	b.Run("add", func(b *testing.B) {
		b.ReportAllocs()
		var d Digest
		for b.Loop() {
			d.Add(c.Ref, c.Record)
		}
	})
}
