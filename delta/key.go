package delta

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"strings"
)

// ErrKeyText says that a text is no key.
var ErrKeyText = errors.New("delta: not a key")

// A Key signs. It prints as its ID alone.
type Key struct {
	ID      string // 1 to 64 of letters, digits, '.', '_' and '-'
	Private ed25519.PrivateKey
}

// Keys are the keys whose signatures are taken, by ID.
type Keys map[string]ed25519.PublicKey

const (
	privatePrefix = "latchkey-ed25519-private"
	publicPrefix  = "latchkey-ed25519"
)

// NewKey makes a key. With an empty id it is named after its public half.
func NewKey(id string) (Key, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Key{}, fmt.Errorf("delta: new key: %w", err)
	}
	if id == "" {
		sum := sha256.Sum256(public)
		id = hex.EncodeToString(sum[:8])
	}
	k := Key{ID: id, Private: private}
	return k, k.check()
}

// Public is what the other end pins; nil when k has no private half.
func (k Key) Public() ed25519.PublicKey {
	if len(k.Private) != ed25519.PrivateKeySize {
		return nil
	}
	public, _ := k.Private.Public().(ed25519.PublicKey)
	return public
}

// Keys is a set of the public half of k alone.
func (k Key) Keys() Keys { return Keys{k.ID: k.Public()} }

// String names the key and hides it.
func (k Key) String() string { return "key " + k.ID + " (hidden)" }

// GoString is String, for %#v.
func (k Key) GoString() string { return k.String() }

// MarshalText is String, so that neither JSON nor a log gets the key by
// accident. MarshalKey writes it on purpose.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

func (k Key) check() error {
	if err := checkKeyID(k.ID); err != nil {
		return err
	}
	if len(k.Private) != ed25519.PrivateKeySize {
		return fmt.Errorf("%w: %q: private half of %d bytes, want %d", ErrKeyText, k.ID, len(k.Private), ed25519.PrivateKeySize)
	}
	return nil
}

func checkKeyID(id string) error {
	if len(id) < 1 || len(id) > 64 {
		return fmt.Errorf("%w: ID of %d characters, want 1 to 64", ErrKeyText, len(id))
	}
	for _, c := range []byte(id) {
		if !isToken(c) && c != '.' {
			return fmt.Errorf("%w: ID %q: want letters, digits, '.', '_' and '-'", ErrKeyText, id)
		}
	}
	return nil
}

// MarshalKey is the text "latchkey-ed25519-private:ID:SEED" with the 32 byte
// seed in padded base64. It belongs into a file of mode 0600.
func MarshalKey(k Key) (string, error) {
	if err := k.check(); err != nil {
		return "", err
	}
	return privatePrefix + ":" + k.ID + ":" + base64.StdEncoding.EncodeToString(k.Private.Seed()), nil
}

// ParseKey reads what MarshalKey writes. Its errors never show the text.
func ParseKey(text string) (Key, error) {
	id, seed, err := splitKey(privatePrefix, text, ed25519.SeedSize)
	if err != nil {
		return Key{}, err
	}
	return Key{ID: id, Private: ed25519.NewKeyFromSeed(seed)}, nil
}

// MarshalPublic is the text "latchkey-ed25519:ID:KEY" with the 32 byte public
// key in padded base64.
func MarshalPublic(id string, public ed25519.PublicKey) (string, error) {
	if err := checkKeyID(id); err != nil {
		return "", err
	}
	if len(public) != ed25519.PublicKeySize {
		return "", fmt.Errorf("%w: %q: public half of %d bytes, want %d", ErrKeyText, id, len(public), ed25519.PublicKeySize)
	}
	return publicPrefix + ":" + id + ":" + base64.StdEncoding.EncodeToString(public), nil
}

// ParsePublic reads what MarshalPublic writes.
func ParsePublic(text string) (id string, public ed25519.PublicKey, err error) {
	id, public, err = splitKey(publicPrefix, text, ed25519.PublicKeySize)
	return id, public, err
}

func splitKey(prefix, text string, size int) (id string, key []byte, err error) {
	parts := strings.Split(text, ":")
	if len(parts) != 3 || parts[0] != prefix {
		return "", nil, fmt.Errorf("%w: want %s:ID:BASE64", ErrKeyText, prefix)
	}
	id = parts[1]
	if err := checkKeyID(id); err != nil {
		return "", nil, err
	}
	key, err = base64.StdEncoding.Strict().DecodeString(parts[2])
	if err != nil || len(key) != size {
		// The error would quote a piece of what may be a private key.
		return "", nil, fmt.Errorf("%w: %s %q: want %d bytes in base64", ErrKeyText, prefix, id, size)
	}
	return id, key, nil
}

// LoadPrivate reads the text of a key file: one private key. Blank lines and
// lines that start with '#' are passed over, in this and in LoadPublic.
func LoadPrivate(file string) (Key, error) {
	var found []Key
	for n, line := range keyLines(file) {
		k, err := ParseKey(line)
		if err != nil {
			return Key{}, fmt.Errorf("line %d: %w", n, err)
		}
		found = append(found, k)
	}
	if len(found) != 1 {
		return Key{}, fmt.Errorf("%w: %d private keys in the file, want 1", ErrKeyText, len(found))
	}
	return found[0], nil
}

// LoadPublic reads the text of a key file: one public key a line, at least one.
// One ID twice is refused.
func LoadPublic(file string) (Keys, error) {
	keys := Keys{}
	for n, line := range keyLines(file) {
		id, public, err := ParsePublic(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if _, ok := keys[id]; ok {
			return nil, fmt.Errorf("line %d: %w: ID %q twice", n, ErrKeyText, id)
		}
		keys[id] = public
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%w: no public key in the file", ErrKeyText)
	}
	return keys, nil
}

// keyLines yields the lines of a key file that matter, with their numbers.
func keyLines(file string) iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		n := 0
		for line := range strings.Lines(file) {
			n++
			line = strings.TrimSpace(line)
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			if !yield(n, line) {
				return
			}
		}
	}
}
