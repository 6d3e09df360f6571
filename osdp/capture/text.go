package capture

import (
	"encoding/hex"
	"fmt"
	"strings"

	"latchkey/osdp"
)

// Name is what the standard calls the message, such as "POLL"; of NoFrame it is
// "".
func (m Message) Name() string {
	switch {
	case m.Verdict == NoFrame:
		return ""
	case m.FromACU:
		return osdp.CommandName(m.Frame.Code)
	}
	return osdp.ReplyName(m.Frame.Code)
}

// Ends says who speaks to whom, such as "PD 3 → panel".
func (m Message) Ends() string {
	pd := fmt.Sprintf("PD %d", m.Addr())
	switch {
	case m.Verdict == NoFrame && m.FromACU:
		return "panel"
	case m.Verdict == NoFrame:
		return "line"
	case m.FromACU && m.Addr() == osdp.Broadcast:
		return "panel → all"
	case m.FromACU:
		return "panel → " + pd
	}
	return pd + " → panel"
}

// Flags are the verdict and what else is to be known, in words.
func (m Message) Flags() string {
	flags := []string{m.Verdict.String()}
	add := func(yes bool, s string) {
		if yes {
			flags = append(flags, s)
		}
	}
	add(m.Repeat, "repeat")
	add(m.Weak, "weak key")
	add(m.Redacted, "blanked")
	add(m.Note != "", m.Note)
	return strings.Join(flags, ", ")
}

// Text says what the message means, without its secrets; with show, with them.
// It is empty where the name says all.
func (m Message) Text(show bool) string {
	var s string
	switch {
	case m.Verdict == NoFrame:
		s = bytesText(len(m.Wire))
	case !m.Open:
		return bytesText(len(m.Frame.Data))
	case m.FromACU:
		s = commandText(m.Command)
		if m.Frame.SCBType == osdp.SCS11 {
			s = challengeText(m.Frame)
		}
	default:
		s = replyText(m.Reply)
		if m.Frame.SCBType == osdp.SCS14 {
			s = proofText(m.Frame)
		}
	}
	if show && strings.Contains(s, hidden) {
		return strings.Replace(s, " "+hidden, lead(secretText(m)), 1)
	}
	if show && m.Verdict == NoFrame {
		return s + ": " + hex.EncodeToString(m.Wire)
	}
	return s
}

// String is made for people: who to whom, and what.
func (m Message) String() string {
	return m.Ends() + ":" + lead(m.Name()) + lead(m.Text(false))
}

// lead sets s apart from what stands before it.
func lead(s string) string {
	if s == "" {
		return ""
	}
	return " " + s
}

// Format prints String whatever the verb.
func (m Message) Format(s fmt.State, _ rune) { fmt.Fprint(s, m.String()) }

// MarshalText is String.
func (m Message) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// hidden is what package osdp prints in place of a secret.
const hidden = "(hidden)"

// secretText is what stands where hidden stood.
func secretText(m Message) string {
	if m.FromACU {
		return hex.EncodeToString(commandSecret(m))
	}
	switch r := m.Reply.(type) {
	case osdp.RAW:
		return number(r.Data, r.Bits)
	case osdp.FMT:
		return fmt.Sprintf("%q", r.Chars)
	case osdp.KEYPAD:
		return fmt.Sprintf("%q", keys(r.Keys))
	case osdp.XRD:
		if card, ok := r.Meaning().(osdp.CardInfo); ok {
			return hex.EncodeToString(card.CSN) + lead(hex.EncodeToString(card.Data))
		}
	}
	return hex.EncodeToString(replySecret(m))
}

// commandSecret is what a command carries beside what its text says.
func commandSecret(m Message) []byte {
	switch c := m.Command.(type) {
	case osdp.KEYSET:
		return c.Key
	case osdp.MFG:
		return c.Data
	case osdp.FILETRANSFER:
		return c.Data
	case osdp.BIOMATCH:
		return c.Template
	case osdp.GENAUTH:
		return c.Data
	case osdp.CRAUTH:
		return c.Data
	case osdp.XWR:
		switch means := c.Meaning().(type) {
		case osdp.SendAPDU:
			return means.APDU
		case osdp.EnterPIN:
			return means.APDU
		}
		return c.Data
	}
	return m.Data // of a RawCommand
}

// replySecret is commandSecret for replies.
func replySecret(m Message) []byte {
	switch r := m.Reply.(type) {
	case osdp.MFGREP:
		return r.Data
	case osdp.BIOREADR:
		return r.Template
	case osdp.PIVDATAR:
		return r.Data
	case osdp.GENAUTHR:
		return r.Data
	case osdp.CRAUTHR:
		return r.Data
	case osdp.XRD:
		if answer, ok := r.Meaning().(osdp.CardAnswer); ok {
			return answer.APDU
		}
		return r.Data
	}
	return m.Data // of a RawReply
}

// number writes the first n bits of left aligned data as `latchkey-agent card
// decode` takes them: a number whose top bit is the first bit.
func number(data []byte, n int) string {
	out := make([]byte, (n+7)/8)
	shift := (8 - n%8) % 8
	for i := range out {
		out[i] = data[i] >> shift
		if i > 0 {
			out[i] |= data[i-1] << (8 - shift)
		}
	}
	return fmt.Sprintf("%d:%s", n, fmt.Sprintf("%X", out)[2*len(out)-(n+3)/4:])
}

// keys writes keys as they are printed on a keypad.
func keys(b []byte) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case osdp.KeyStar:
			return '*'
		case osdp.KeyPound:
			return '#'
		}
		return r
	}, string(b))
}
