package osdp

import "fmt"

// check refuses a command that its bytes can hold and that no PD can carry out,
// or that would take the PD off its line: what the tables of OSDP v2.2 §6 leave
// open is for the PD to refuse. A RawCommand passes: whoever sends what is no
// command of the standard knows better.
func check(c Command) error {
	switch c := c.(type) {
	case OUT:
		return c.check()
	case LED:
		return c.check()
	case BUZ:
		return within("BUZ tone", c.Tone, ToneNone, ToneDefault)
	case TEXT:
		return c.check()
	case COMSET:
		return c.check()
	case GENAUTH:
		return c.Part.check("GENAUTH")
	case CRAUTH:
		return c.Part.check("CRAUTH")
	}
	return nil
}

// meant is c by its type, also where it is given as bytes.
func meant(c Command) Command {
	if raw, ok := c.(RawCommand); ok {
		return ParseCommand(raw.Op, raw.Data)
	}
	return c
}

// within refuses a value that is not from least to most.
func within[T ~uint8](what string, got, least, most T) error {
	if got < least || got > most {
		return fmt.Errorf("%w: %s %d, want %d to %d", ErrValue, what, got, least, most)
	}
	return nil
}

func (c OUT) check() error {
	if len(c) == 0 {
		return fmt.Errorf("%w: OUT without a record", ErrValue)
	}
	for _, o := range c {
		if err := within("OUT action", o.Action, OutputNOP, lastOutputAction); err != nil {
			return err
		}
	}
	return nil
}

func (c LED) check() error {
	if len(c) == 0 {
		return fmt.Errorf("%w: LED without a record", ErrValue)
	}
	for _, l := range c {
		if err := l.Temporary.check("temporary", LEDSet, LEDSet); err != nil {
			return err
		}
		if err := l.Permanent.check("permanent", LEDPerm, LEDPerm); err != nil {
			return err
		}
	}
	return nil
}

// check holds the codes to most, and what is shown, with the code set, to what
// can be seen.
func (k Blink) check(what string, set, most uint8) error {
	if err := within("LED "+what+" code", k.Code, LEDNop, most); err != nil || k.Code != set {
		return err
	}
	for _, color := range []Color{k.OnColor, k.OffColor} {
		if err := within("LED "+what+" colour", color, Black, White); err != nil {
			return err
		}
	}
	if k.On == 0 && k.Off == 0 {
		return fmt.Errorf("%w: LED %s block on for 0 s and off for 0 s, want one of them longer", ErrValue, what)
	}
	return nil
}

func (c TEXT) check() error {
	if err := within("TEXT mode", c.Mode, TextPermanent, TextForWrap); err != nil {
		return err
	}
	if c.Row == 0 || c.Col == 0 {
		return fmt.Errorf("%w: TEXT at row %d, column %d, want them from 1", ErrValue, c.Row, c.Col)
	}
	for i := range len(c.Text) {
		if c.Text[i] >= 0x80 {
			return fmt.Errorf("%w: TEXT has byte 0x%02x at %d, want ASCII", ErrValue, c.Text[i], i)
		}
	}
	return nil
}

func (c COMSET) check() error {
	if c.Addr >= Broadcast {
		return fmt.Errorf("%w: COMSET to address %d, want 0 to %d", ErrValue, c.Addr, Broadcast-1)
	}
	if c.Baud < baudLeast || c.Baud > baudMost {
		return fmt.Errorf("%w: COMSET to %d bit/s, want %d to %d", ErrValue, c.Baud, baudLeast, baudMost)
	}
	return nil
}

func (p Part) check(what string) error {
	if p.Length > 0 && int(p.Offset)+int(p.Length) > int(p.Total) {
		return fmt.Errorf("%w: %s fragment of %d bytes at %d of %d", ErrValue, what, p.Length, p.Offset, p.Total)
	}
	return nil
}

// free refuses a COMSET of p to where another PD of the line is, or can be: two
// that answer at once are both lost.
func (b *Bus) free(p *pd, c Command) error {
	com, ok := c.(COMSET)
	if !ok {
		return nil
	}
	for _, other := range b.pds {
		if other != p && (other.addr == com.Addr || other.away != nil && other.away.addr == com.Addr) {
			return fmt.Errorf("%w: COMSET to address %d, which another PD of this line has", ErrValue, com.Addr)
		}
	}
	return nil
}
