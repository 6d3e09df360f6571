package cache

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"latchkey/internal/durable"
)

// KeySize is the size of a cache key in bytes.
const KeySize = 32

// OpenKey reads the cache key in the file path: 64 hexadecimal digits. Where
// there is no such file it makes a random key and the file, readable by its
// owner alone, and its folder. A key file that others may read or write is
// refused (except on Windows, where the folder's rights decide). Keep the file
// apart from the cache: without it the cache cannot be read, and with both
// everything can.
func OpenKey(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := makeKey(path); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("cache: make key file: %w", err)
		}
	case err != nil:
		return nil, fmt.Errorf("cache: key file: %w", err)
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("cache: key file %s: mode %#o, want 0600", path, info.Mode().Perm())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cache: key file: %w", err)
	}
	// The text is never part of an error: it is the key.
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != KeySize {
		return nil, fmt.Errorf("cache: key file %s: %d bytes of text, want %d hexadecimal digits", path, len(text), 2*KeySize)
	}
	return key, nil
}

// makeKey writes the file under another name first, so that a crash leaves no
// half a key, and links it, so that of two programs at once only one wins.
func makeKey(path string) (err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	key := make([]byte, KeySize)
	rand.Read(key) // never fails (crypto/rand)
	f, err := os.CreateTemp(dir, ".key-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	_, err = f.WriteString(hex.EncodeToString(key) + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	return durable.Names(dir)
}

// errSeal says that a row is not what was once written under its name.
var errSeal = errors.New("cache: row does not verify")

// A sealer encrypts and authenticates rows. AES-256-GCM is both the encryption
// at rest and the MAC of a row: the associated data names the table and every
// column beside the box, so a box that is moved to another row, or whose row
// was changed, does not open. Each Seal takes 12 random bytes as its nonce,
// which holds for 2^32 rows under one key (NIST SP 800-38D §8.3): a snapshot of
// 250,000 records a day for 47 years.
type sealer struct {
	aead cipher.AEAD
	mac  []byte
}

// newSealer derives the keys for one file from the site's cache key.
func newSealer(key []byte, file string) (*sealer, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("cache: key of %d bytes, want %d", len(key), KeySize)
	}
	enc, err := hkdf.Expand(sha256.New, key, "latchkey cache 1 rows of "+file, 32)
	if err != nil {
		return nil, fmt.Errorf("cache: derive key: %w", err)
	}
	mac, err := hkdf.Expand(sha256.New, key, "latchkey cache 1 names in "+file, 32)
	if err != nil {
		return nil, fmt.Errorf("cache: derive key: %w", err)
	}
	block, err := aes.NewCipher(enc)
	if err != nil {
		return nil, fmt.Errorf("cache: cipher: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("cache: cipher: %w", err)
	}
	return &sealer{aead, mac}, nil
}

// seal returns nonce, ciphertext and tag of plain, bound to where.
func (s *sealer) seal(where, plain []byte) []byte { return s.aead.Seal(nil, nil, plain, where) }

// open returns what seal was given, in a slice of its own. Its error is
// errSeal.
func (s *sealer) open(where, box []byte) ([]byte, error) {
	plain, err := s.aead.Open(nil, nil, box, where)
	if err != nil {
		return nil, errSeal
	}
	return plain, nil
}

// name is a keyed hash of secret, to find a row by a value that must not stand
// in the file.
func (s *sealer) name(table string, secret []byte) []byte {
	h := hmac.New(sha256.New, s.mac)
	h.Write(where(table, 0, 0, string(secret)))
	return h.Sum(nil)
}

// where names a row for seal and open: its table, two numbers and its texts,
// each with its length before it, so that no two rows have one name.
func where(table string, a, b uint64, texts ...string) []byte {
	w := make([]byte, 0, 96)
	w = binary.AppendUvarint(w, uint64(len(table)))
	w = append(w, table...)
	w = binary.BigEndian.AppendUint64(w, a)
	w = binary.BigEndian.AppendUint64(w, b)
	for _, t := range texts {
		w = binary.AppendUvarint(w, uint64(len(t)))
		w = append(w, t...)
	}
	return w
}
