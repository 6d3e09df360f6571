package delta

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// The "typ" of an envelope. Each direction has its own, so that a message that
// is sent back to its sender is refused.
const (
	DownTyp = "latchkey-down" // cloud to site
	UpTyp   = "latchkey-up"   // site to cloud
)

// MaxSealed is the largest envelope in bytes: the 128 KiB of AWS IoT Core, the
// smallest limit among the brokers that we support. MaxPayload fits into it
// with the longest key ID.
const MaxSealed = 128 << 10

// algorithms is the one that there is. Any other is refused while parsing.
func algorithms() []jose.SignatureAlgorithm { return []jose.SignatureAlgorithm{jose.EdDSA} }

// Seal signs payload and returns the envelope: a JWS in compact form (RFC 7515
// §7.1), EdDSA (RFC 8037), with kid and typ in its header and nothing else.
// The same payload and key always give the same envelope. payload is not kept.
func Seal(k Key, typ string, payload []byte) ([]byte, error) {
	if err := k.check(); err != nil {
		return nil, err
	}
	if len(payload) > MaxPayload {
		return nil, fmt.Errorf("%w: payload of %d bytes, want at most %d", ErrSize, len(payload), MaxPayload)
	}
	if typ != DownTyp && typ != UpTyp {
		return nil, fmt.Errorf("%w: typ %q", ErrTyp, typ)
	}
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: k.Private, KeyID: k.ID}},
		(&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
	if err != nil {
		return nil, fmt.Errorf("delta: seal: %w", err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		return nil, fmt.Errorf("delta: seal: %w", err)
	}
	compact, err := jws.CompactSerialize()
	if err != nil {
		return nil, fmt.Errorf("delta: seal: %w", err)
	}
	return []byte(compact), nil
}

// Open checks an envelope and returns its payload and the ID of the key that
// signed it. It takes exactly what Seal writes: another algorithm, another typ,
// one more header field, a key that is not in keys, and every other spelling
// of the same envelope (a changed tail bit in base64, a newline at the end)
// are refused, each with its own error. envelope is not kept.
func Open(keys Keys, typ string, envelope []byte) (payload []byte, kid string, err error) {
	if len(envelope) > MaxSealed {
		return nil, "", fmt.Errorf("%w: envelope of %d bytes, want at most %d", ErrSize, len(envelope), MaxSealed)
	}
	compact := string(envelope)
	jws, err := jose.ParseSignedCompact(compact, algorithms())
	if other, ok := errors.AsType[*jose.ErrUnexpectedSignatureAlgorithm](err); ok {
		return nil, "", fmt.Errorf("%w: %.20q", ErrAlgorithm, other.Got)
	}
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrForm, err)
	}
	// base64 has spellings that decode alike, and go-jose takes them all.
	again, err := jws.CompactSerialize()
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrForm, err)
	}
	if again != compact {
		return nil, "", fmt.Errorf("%w: does not serialise back to itself", ErrForm)
	}
	protected := jws.Signatures[0].Protected
	if got, _ := protected.ExtraHeaders[jose.HeaderType].(string); got != typ {
		return nil, "", fmt.Errorf("%w: typ %.40q, want %q", ErrTyp, got, typ)
	}
	kid = protected.KeyID
	if err := checkKeyID(kid); err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrForm, err)
	}
	if want := header(kid, typ); len(compact) < len(want) || compact[:len(want)] != want {
		return nil, "", fmt.Errorf("%w: header has more than alg, kid and typ", ErrForm)
	}
	key, ok := keys[kid]
	if !ok || len(key) != ed25519.PublicKeySize {
		return nil, "", fmt.Errorf("%w: kid %q", ErrKey, kid)
	}
	payload, err = jws.Verify(key)
	if err != nil {
		return nil, "", fmt.Errorf("%w: kid %q: %w", ErrSignature, kid, err)
	}
	if len(payload) > MaxPayload {
		return nil, "", fmt.Errorf("%w: payload of %d bytes, want at most %d", ErrSize, len(payload), MaxPayload)
	}
	return payload, kid, nil
}

// header is the first part of an envelope, with the dot that ends it. A key ID
// has no character that JSON would escape.
func header(kid, typ string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"EdDSA","kid":"`+kid+`","typ":"`+typ+`"}`)) + "."
}
