package osdp

import "fmt"

// The kinds of key that KEYSET sets.
const (
	KeyAES128 = 1 // the SCBK, 16 bytes
	KeyAES256 = 2 // 32 bytes, for a later secure channel
)

// KEYSET gives the PD its key. It must never leave the panel but under a
// session. It prints without the key.
type KEYSET struct {
	Kind uint8  // KeyAES128, KeyAES256
	Key  []byte // at most 255 bytes
}

// CHLNG opens the handshake of the secure channel (SCS_11).
type CHLNG struct {
	RND [8]byte // RND.A
}

// SCRYPT is the panel's proof that it has the key (SCS_13).
type SCRYPT struct {
	Cryptogram [16]byte
}

// CCRYPT is the PD's proof that it has the key (SCS_12).
type CCRYPT struct {
	CUID       [8]byte // names the PD; manufacturers do not agree on what is in it
	RND        [8]byte // RND.B
	Cryptogram [16]byte
}

// RMACI ends the handshake (SCS_14). A PD that did not like the SCRYPT may send
// it without the MAC: that is a RawReply.
type RMACI struct {
	MAC [16]byte // R-MAC_I
}

func (KEYSET) Code() byte { return CodeKEYSET }
func (CHLNG) Code() byte  { return CodeCHLNG }
func (SCRYPT) Code() byte { return CodeSCRYPT }
func (CCRYPT) Code() byte { return CodeCCRYPT }
func (RMACI) Code() byte  { return CodeRMACI }

func (c KEYSET) AppendData(b []byte) ([]byte, error) {
	if len(c.Key) > 0xff {
		return b, fmt.Errorf("%w: KEYSET key of %d bytes, limit 255", ErrValue, len(c.Key))
	}
	return append(append(b, c.Kind, byte(len(c.Key))), c.Key...), nil
}

func (c CHLNG) AppendData(b []byte) ([]byte, error)  { return append(b, c.RND[:]...), nil }
func (c SCRYPT) AppendData(b []byte) ([]byte, error) { return append(b, c.Cryptogram[:]...), nil }
func (r RMACI) AppendData(b []byte) ([]byte, error)  { return append(b, r.MAC[:]...), nil }

func (r CCRYPT) AppendData(b []byte) ([]byte, error) {
	return append(append(append(b, r.CUID[:]...), r.RND[:]...), r.Cryptogram[:]...), nil
}

// The handshake prints without its numbers: who has them can try out weak keys
// at leisure.

func (c KEYSET) String() string { return fmt.Sprintf("KEYSET, key of %d bytes (hidden)", len(c.Key)) }
func (c CHLNG) String() string  { return "CHLNG, 8 bytes (hidden)" }
func (c SCRYPT) String() string { return "SCRYPT, 16 bytes (hidden)" }
func (r CCRYPT) String() string { return "CCRYPT, 32 bytes (hidden)" }
func (r RMACI) String() string  { return "RMAC_I, 16 bytes (hidden)" }

func (c KEYSET) Format(s fmt.State, _ rune) { fmt.Fprint(s, c.String()) }
func (c CHLNG) Format(s fmt.State, _ rune)  { fmt.Fprint(s, c.String()) }
func (c SCRYPT) Format(s fmt.State, _ rune) { fmt.Fprint(s, c.String()) }
func (r CCRYPT) Format(s fmt.State, _ rune) { fmt.Fprint(s, r.String()) }
func (r RMACI) Format(s fmt.State, _ rune)  { fmt.Fprint(s, r.String()) }

func (c KEYSET) MarshalText() ([]byte, error) { return []byte(c.String()), nil }
func (c CHLNG) MarshalText() ([]byte, error)  { return []byte(c.String()), nil }
func (c SCRYPT) MarshalText() ([]byte, error) { return []byte(c.String()), nil }
func (r CCRYPT) MarshalText() ([]byte, error) { return []byte(r.String()), nil }
func (r RMACI) MarshalText() ([]byte, error)  { return []byte(r.String()), nil }

func parseKEYSET(d []byte) Command {
	if len(d) < 2 || len(d) != 2+int(d[1]) {
		return nil
	}
	return KEYSET{d[0], d[2:]}
}

func parseCHLNG(d []byte) Command {
	if len(d) != 8 {
		return nil
	}
	return CHLNG{[8]byte(d)}
}

func parseSCRYPT(d []byte) Command {
	if len(d) != 16 {
		return nil
	}
	return SCRYPT{[16]byte(d)}
}

func parseCCRYPT(d []byte) Reply {
	if len(d) != 32 {
		return nil
	}
	return CCRYPT{[8]byte(d), [8]byte(d[8:]), [16]byte(d[16:])}
}

func parseRMACI(d []byte) Reply {
	if len(d) != 16 {
		return nil
	}
	return RMACI{[16]byte(d)}
}
