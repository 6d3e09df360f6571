package delta

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

func mustSeal(t testing.TB, k Key, typ string, payload []byte) []byte {
	t.Helper()
	envelope, err := Seal(k, typ, payload)
	if err != nil {
		t.Fatal(err)
	}
	return envelope
}

func TestOpenTakesWhatSealWrites(t *testing.T) {
	k, other := testKey("cloud-1"), testKey("cloud-2")
	keys := Keys{k.ID: k.Public(), other.ID: other.Public()}
	for _, payload := range []string{"", "{}", `{"v":1}`, strings.Repeat("x", MaxPayload)} {
		envelope := mustSeal(t, other, DownTyp, []byte(payload))
		if len(envelope) > MaxSealed {
			t.Errorf("%d bytes of payload make %d, more than brokers take", len(payload), len(envelope))
		}
		got, kid, err := Open(keys, DownTyp, envelope)
		if err != nil || string(got) != payload || kid != other.ID {
			t.Errorf("%d bytes: got %d bytes of %q, %v", len(payload), len(got), kid, err)
		}
	}
	long := testKey(strings.Repeat("k", 64))
	if n := len(mustSeal(t, long, DownTyp, make([]byte, MaxPayload))); n > MaxSealed {
		t.Errorf("with the longest key ID: %d bytes, want at most %d", n, MaxSealed)
	}
}

// resign signs payload with a header of our own.
func resign(k Key, header, payload string) []byte {
	b64 := base64.RawURLEncoding.EncodeToString
	signed := b64([]byte(header)) + "." + b64([]byte(payload))
	return []byte(signed + "." + b64(ed25519.Sign(k.Private, []byte(signed))))
}

func TestOpenRefuses(t *testing.T) {
	k, stranger := testKey("cloud-1"), testKey("stranger")
	payload := []byte(`{"v":1}`)
	good := mustSeal(t, k, DownTyp, payload)
	parts := strings.Split(string(good), ".")
	join := func(p ...string) []byte { return []byte(strings.Join(p, ".")) }
	flip := func(s string, i int) string { // the character after it in the alphabet
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		b := []byte(s)
		b[i] = alphabet[(strings.IndexByte(alphabet, b[i])^1)%64]
		return string(b)
	}
	impostor := testKey("stranger")
	impostor.ID = k.ID
	hmac, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: jose.JSONWebKey{Key: []byte(k.Public()), KeyID: k.ID}},
		(&jose.SignerOptions{}).WithType(DownTyp))
	if err != nil {
		t.Fatal(err)
	}
	confused, err := hmac.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	confusedText, err := confused.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"cloud-1","typ":"latchkey-down"}`))

	for _, tt := range []struct {
		name     string
		envelope []byte
		want     error
		reason   string
	}{
		{"bad signature", join(parts[0], parts[1], flip(parts[2], 3)), ErrSignature, "signature"},
		{"payload changed", join(parts[0], base64.RawURLEncoding.EncodeToString([]byte(`{"v":2}`)), parts[2]), ErrSignature, "signature"},
		{"another's signature under our key's name", mustSeal(t, impostor, DownTyp, payload), ErrSignature, "signature"},
		{"reflected", mustSeal(t, k, UpTyp, payload), ErrTyp, "signature"},
		{"no typ", resign(k, `{"alg":"EdDSA","kid":"cloud-1"}`, "{}"), ErrTyp, "signature"},
		{"unknown key", mustSeal(t, stranger, DownTyp, payload), ErrKey, "signature"},
		{"no key ID", resign(k, `{"alg":"EdDSA","typ":"latchkey-down"}`, "{}"), ErrForm, "signature"},
		{"tail bit of the signature", join(parts[0], parts[1], flip(parts[2], len(parts[2])-1)), ErrForm, "signature"},
		{"tail bit of the payload", join(parts[0], flip(parts[1], len(parts[1])-1), parts[2]), ErrForm, "signature"},
		{"newline at the end", append(bytes.Clone(good), '\n'), ErrForm, "signature"},
		{"newline within", join(parts[0], parts[1]+"\n", parts[2]), ErrForm, "signature"},
		{"padding", append(bytes.Clone(good), "=="...), ErrForm, "signature"},
		{"header with a blank", resign(k, `{"alg":"EdDSA", "kid":"cloud-1","typ":"latchkey-down"}`, "{}"), ErrForm, "signature"},
		{"header in another order", resign(k, `{"kid":"cloud-1","alg":"EdDSA","typ":"latchkey-down"}`, "{}"), ErrForm, "signature"},
		{"header with more", resign(k, `{"alg":"EdDSA","kid":"cloud-1","note":1,"typ":"latchkey-down"}`, "{}"), ErrForm, "signature"},
		{"header with a key", resign(k, `{"alg":"EdDSA","jwk":{"crv":"Ed25519","kty":"OKP","x":"`+base64.RawURLEncoding.EncodeToString(stranger.Public())+`"},"kid":"cloud-1","typ":"latchkey-down"}`, "{}"), ErrForm, "signature"},
		{"HMAC with the public key", []byte(confusedText), ErrAlgorithm, "signature"},
		{"no algorithm", join(none, parts[1], ""), ErrAlgorithm, "signature"},
		{"empty", nil, ErrForm, "signature"},
		{"two parts", join(parts[0], parts[1]), ErrForm, "signature"},
		{"four parts", join(parts[0], parts[1], parts[2], ""), ErrForm, "signature"},
		{"JSON form", fmt.Appendf(nil, `{"protected":%q,"payload":%q,"signature":%q}`, parts[0], parts[1], parts[2]), ErrForm, "signature"},
		{"too large", bytes.Repeat([]byte("a"), MaxSealed+1), ErrSize, "size"},
		{"payload too large", resign(k, `{"alg":"EdDSA","kid":"cloud-1","typ":"latchkey-down"}`, strings.Repeat("x", MaxPayload+1)), ErrSize, "size"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, _, err := Open(k.Keys(), DownTyp, tt.envelope)
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if got != nil {
				t.Error("a payload came with the error")
			}
			if Reason(err) != tt.reason {
				t.Errorf("reason %q, want %q", Reason(err), tt.reason)
			}
		})
	}
	if _, _, err := Open(Keys{k.ID: k.Public()[:5]}, DownTyp, good); !errors.Is(err, ErrKey) {
		t.Errorf("pinned key of 5 bytes: got %v, want %v", err, ErrKey)
	}
}

func TestSealRefuses(t *testing.T) {
	for _, tt := range []struct {
		name    string
		key     Key
		typ     string
		payload int
		want    error
	}{
		{"no key", Key{ID: "a"}, DownTyp, 1, ErrKeyText},
		{"no key ID", Key{Private: testKey("a").Private}, DownTyp, 1, ErrKeyText},
		{"key ID that JSON escapes", Key{ID: `"`, Private: testKey("a").Private}, DownTyp, 1, ErrKeyText},
		{"other typ", testKey("a"), "JWT", 1, ErrTyp},
		{"too large", testKey("a"), UpTyp, MaxPayload + 1, ErrSize},
	} {
		if _, err := Seal(tt.key, tt.typ, make([]byte, tt.payload)); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestKeyTexts(t *testing.T) {
	k := testKey("cloud-1")
	private, err := MarshalKey(k)
	if err != nil {
		t.Fatal(err)
	}
	public, err := MarshalPublic(k.ID, k.Public())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := LoadPrivate("# the cloud\n\n" + private + "\n"); err != nil || !got.Private.Equal(k.Private) || got.ID != k.ID {
		t.Errorf("private: got %v, %v", got, err)
	}
	if got, err := LoadPublic("\r\n" + public + "\r\n# end"); err != nil || !got[k.ID].Equal(k.Public()) {
		t.Errorf("public: got %v, %v", got, err)
	}
	for _, text := range []string{"", "x", public, private + "x", private[:len(private)-4], private + "\n" + private, "latchkey-ed25519-private::AAAA", strings.Replace(private, "cloud", "clo ud", 1)} {
		if _, err := LoadPrivate(text); !errors.Is(err, ErrKeyText) {
			t.Errorf("%d characters: got %v, want %v", len(text), err, ErrKeyText)
		} else if secret := strings.Split(private, ":")[2]; strings.Contains(err.Error(), secret[:8]) {
			t.Errorf("the error shows the key")
		}
	}
	for _, text := range []string{"", private, public + "\n" + public, public + "="} {
		if _, err := LoadPublic(text); !errors.Is(err, ErrKeyText) {
			t.Errorf("%d characters: got %v, want %v", len(text), err, ErrKeyText)
		}
	}
	if made, err := NewKey(""); err != nil || len(made.ID) != 16 {
		t.Errorf("made %v, %v", made, err)
	}
}

func TestKeyIsNotShown(t *testing.T) {
	k := testKey("cloud-1")
	b, err := json.Marshal(struct{ K Key }{k})
	if err != nil {
		t.Fatal(err)
	}
	shown := fmt.Sprintf("%v %+v %#v %s %s", k, k, k, k, b)
	seed := k.Private.Seed()
	for _, secret := range []string{base64.StdEncoding.EncodeToString(seed)[:8], fmt.Sprintf("%x", seed)[:8], fmt.Sprint([]byte(seed))[1:12]} {
		if strings.Contains(shown, secret) {
			t.Fatalf("shown: %s", shown)
		}
	}
}

// FuzzOpen: whatever opens is, byte for byte, what sealing its payload makes.
func FuzzOpen(f *testing.F) {
	k := testKey("cloud-1")
	for _, m := range samples() {
		payload, err := Encode(m)
		if err != nil {
			f.Fatal(err)
		}
		good := mustSeal(f, k, DownTyp, payload)
		f.Add(good)
		f.Add(append(bytes.Clone(good), '\n'))
	}
	f.Add(resign(k, `{"alg":"EdDSA","kid":"cloud-1","note":1,"typ":"latchkey-down"}`, "{}"))
	f.Fuzz(func(t *testing.T, envelope []byte) {
		payload, kid, err := Open(k.Keys(), DownTyp, envelope)
		if err != nil {
			return
		}
		if again := mustSeal(t, k, DownTyp, payload); kid != k.ID || !bytes.Equal(again, envelope) {
			t.Fatalf("opened as %s, but it seals to\n%s, not\n%s", kid, again, envelope)
		}
	})
}

func benchPayload(b *testing.B) []byte {
	b.Helper()
	payload, err := Encode(samples()[0])
	if err != nil {
		b.Fatal(err)
	}
	return payload
}

// The floor is what ed25519 alone costs; the rest is the envelope.
func BenchmarkSeal(b *testing.B) {
	k, payload := testKey("cloud-1"), benchPayload(b)
	b.Run("floor", func(b *testing.B) {
		for b.Loop() {
			ed25519.Sign(k.Private, payload)
		}
	})
	b.Run("seal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			mustSeal(b, k, DownTyp, payload)
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	k, payload := testKey("cloud-1"), benchPayload(b)
	keys, envelope, signature := k.Keys(), mustSeal(b, k, DownTyp, payload), ed25519.Sign(k.Private, payload)
	b.Run("floor", func(b *testing.B) {
		for b.Loop() {
			if !ed25519.Verify(keys[k.ID], payload, signature) {
				b.Fatal("signature does not hold")
			}
		}
	})
	b.Run("open", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := Open(keys, DownTyp, envelope); err != nil {
				b.Fatal(err)
			}
		}
	})
}
