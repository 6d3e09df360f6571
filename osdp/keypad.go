package osdp

import (
	"fmt"
	"time"
)

// A PINPad puts the keys of one reader together to PINs. A PD may send one key
// at a time or a whole PIN; both come out the same. # ends a PIN at once, *
// takes back what was keyed so far, and a pause ends the PIN too, because not
// every keypad has a # and not every person presses it. The zero PINPad is
// ready; one goroutine owns it. It prints without the digits.
type PINPad struct {
	// Pause is the time without a key that ends a PIN, 3 s when 0.
	Pause time.Duration
	// Length ends a PIN when it has so many digits; 0 for no fixed length.
	Length int
	// Most is the number of digits past which the whole entry is dropped, up to
	// its end, 16 when 0: whoever leans on the keypad has keyed no PIN.
	Most int

	digits []byte
	over   bool
	last   time.Time
}

// Keys takes the Digits of a Keypad event and returns the PINs they end, mostly
// none or one.
func (k *PINPad) Keys(now time.Time, keys string) (pins []string) {
	end := func() {
		if pin := k.end(); pin != "" {
			pins = append(pins, pin)
		}
	}
	if at, ok := k.Deadline(); ok && !now.Before(at) {
		end()
	}
	for _, c := range []byte(keys) {
		k.last = now
		switch {
		case c == '#':
			end()
		case c == '*':
			k.clear()
		case c >= '0' && c <= '9':
			most := k.Most
			if most == 0 {
				most = 16
			}
			if len(k.digits) >= most {
				k.over = true
			}
			if !k.over {
				k.digits = append(k.digits, c)
			}
			if k.Length > 0 && len(k.digits) == k.Length {
				end()
			}
		}
	}
	return pins
}

// Deadline is when the entry so far ends by itself; ok is false without one.
func (k *PINPad) Deadline() (at time.Time, ok bool) {
	if len(k.digits) == 0 {
		return time.Time{}, false
	}
	pause := k.Pause
	if pause == 0 {
		pause = 3 * time.Second
	}
	return k.last.Add(pause), true
}

// Expire returns the PIN that has ended by its pause at now.
func (k *PINPad) Expire(now time.Time) (pin string, ok bool) {
	if at, running := k.Deadline(); !running || now.Before(at) {
		return "", false
	}
	pin = k.end()
	return pin, pin != ""
}

// String hides the digits.
func (k PINPad) String() string { return "PIN pad (hidden)" }

// Format prints String whatever the verb.
func (k PINPad) Format(s fmt.State, _ rune) { fmt.Fprint(s, k.String()) }

// MarshalText is String.
func (k PINPad) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

func (k *PINPad) end() (pin string) {
	if !k.over {
		pin = string(k.digits)
	}
	k.clear()
	return pin
}

func (k *PINPad) clear() {
	clear(k.digits) // a PIN stays in memory no longer than it must
	k.digits, k.over = k.digits[:0], false
}

// digits writes keys as people name them. What is no key of a keypad is left out.
func digits(keys []byte) string {
	out := make([]byte, 0, len(keys))
	for _, k := range keys {
		switch {
		case k == KeyStar || k == '*':
			out = append(out, '*')
		case k == KeyPound || k == '#':
			out = append(out, '#')
		case k >= '0' && k <= '9' || k >= 'A' && k <= 'D':
			out = append(out, k)
		}
	}
	return string(out)
}
