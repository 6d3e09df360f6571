package capture

import (
	"fmt"
	"strings"
	"time"

	"latchkey/osdp"
)

func challengeText(f osdp.Frame) string {
	if osdp.AsksDefault(f) {
		return "asks for SCBK-D"
	}
	return "asks for SCBK"
}

func proofText(f osdp.Frame) string {
	if len(f.SCBData) == 1 && f.SCBData[0] == 1 {
		return "the channel stands"
	}
	return "the PD refuses the panel's key"
}

func commandText(c osdp.Command) string {
	switch c := c.(type) {
	case osdp.ID:
		return choose(c.Kind, "", "extended")
	case osdp.CAP, osdp.POLL, osdp.LSTAT, osdp.ISTAT, osdp.OSTAT, osdp.RSTAT, osdp.ABORT, osdp.SCRYPT:
		return ""
	case osdp.OUT:
		return each(c, outputText)
	case osdp.LED:
		return each(c, ledText)
	case osdp.BUZ:
		return buzzerText(c)
	case osdp.TEXT:
		return fmt.Sprintf("reader %d, row %d column %d: %q%s", c.Reader, c.Row, c.Col, c.Text, during(c.Time))
	case osdp.COMSET:
		return fmt.Sprintf("address %d, %d bit/s", c.Addr, c.Baud)
	case osdp.ACURXSIZE:
		return fmt.Sprintf("%d bytes", c.Size)
	case osdp.KEEPACTIVE:
		return c.Time.String()
	case osdp.TDSET:
		return fmt.Sprintf("%04d-%02d-%02d %02d:%02d:%02d", c.Year, c.Month, c.Day, c.Hour, c.Minute, c.Second)
	case osdp.BIOREAD:
		return fmt.Sprintf("reader %d, type %d, format %d, quality %d", c.Reader, c.Type, c.Format, c.Quality)
	case osdp.BIOMATCH:
		return fmt.Sprintf("reader %d, type %d, format %d, quality %d, %v", c.Reader, c.Type, c.Format, c.Quality, c.Template)
	case osdp.PIVDATA:
		return fmt.Sprintf("object %X, element %d, from byte %d", c.Object, c.Element, c.Offset)
	case osdp.XWR:
		return askText(c.Meaning())
	case osdp.RawCommand:
		return rawText(c.Data)
	}
	return plain(c, c.Code(), osdp.CommandName)
}

// askText is what an XWR asks.
func askText(c osdp.Command) string {
	switch c := c.(type) {
	case osdp.GetMode:
		return "asks for the mode"
	case osdp.SetMode:
		return fmt.Sprintf("mode %d, configuration %d", c.Mode, c.Config)
	case osdp.EndCard:
		return fmt.Sprintf("reader %d, ends the connection to the card", c.Reader)
	case osdp.ScanCard:
		return fmt.Sprintf("reader %d, looks for a card", c.Reader)
	}
	return plain(c, c.Code(), osdp.CommandName)
}

func replyText(r osdp.Reply) string {
	switch r := r.(type) {
	case osdp.ACK, osdp.BUSY, osdp.CCRYPT:
		return ""
	case osdp.NAK:
		return r.Reason.String()
	case osdp.PDCAP:
		return each(r, func(c osdp.Capability) string { return fmt.Sprintf("%d: %d/%d", c.Function, c.Compliance, c.Number) })
	case osdp.LSTATR:
		return choose(r.Tamper, "no tamper", "tamper") + ", " + choose(r.Power, "power good", "power failure")
	case osdp.ISTATR:
		return each(r, inputText)
	case osdp.OSTATR:
		return each(r, func(v uint8) string { return choose(v, "off", "on") })
	case osdp.RSTATR:
		return each(r, func(v osdp.ReaderState) string { return choose(uint8(v), "normal", "not connected", "tamper") })
	case osdp.COM:
		return fmt.Sprintf("address %d, %d bit/s", r.Addr, r.Baud)
	case osdp.FTSTAT:
		return fileStatusText(r)
	case osdp.BIOREADR:
		return fmt.Sprintf("reader %d, %s, type %d, quality %d, %v", r.Reader, scanText(r.Status), r.Type, r.Quality, r.Template)
	case osdp.BIOMATCHR:
		return fmt.Sprintf("reader %d, %s, score %d", r.Reader, scanText(r.Status), r.Score)
	case osdp.EXTPDID:
		return each(r, func(f osdp.IDField) string { return fmt.Sprintf("%d: %q", f.Tag, f.Value) })
	case osdp.XRD:
		return tellText(r.Meaning())
	case osdp.RawReply:
		return rawText(r.Data)
	}
	return plain(r, r.Code(), osdp.ReplyName)
}

// tellText is what an XRD tells.
func tellText(r osdp.Reply) string {
	switch r := r.(type) {
	case osdp.TransparentError:
		return fmt.Sprintf("mode %d, error %d", r.Mode, r.Kind)
	case osdp.ModeReport:
		return fmt.Sprintf("mode %d, configuration %d", r.Mode, r.Config)
	case osdp.CardPresent:
		return fmt.Sprintf("reader %d, %s", r.Reader, choose(r.Status, "no card", "card", "contactless card", "contact card"))
	case osdp.PINEntered:
		return fmt.Sprintf("reader %d, PIN entry over, status %d, %d tries", r.Reader, r.Status, r.Tries)
	}
	return plain(r, r.Code(), osdp.ReplyName)
}

func scanText(status uint8) string { return choose(status, "scanned", "nobody came") }

// rawText stands for bytes that mean nothing to us.
func rawText(data []byte) string {
	if len(data) == 0 {
		return ""
	}
	return bytesText(len(data)) + " " + hidden
}

func bytesText(n int) string {
	if n == 1 {
		return "1 byte"
	}
	return fmt.Sprintf("%d bytes", n)
}

// plain is how package osdp prints v, which hides what is secret, without the
// name of its code.
func plain(v any, code byte, name func(byte) string) string {
	return strings.TrimLeft(strings.TrimPrefix(fmt.Sprint(v), name(code)), ", ")
}

// each joins the texts of a list.
func each[T any](list []T, text func(T) string) string {
	parts := make([]string, len(list))
	for i, v := range list {
		parts[i] = text(v)
	}
	return strings.Join(parts, "; ")
}

// choose is the name of v, or v itself where it has none.
func choose(v uint8, names ...string) string {
	if int(v) < len(names) {
		return names[v]
	}
	return fmt.Sprint(v)
}

func during(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return " for " + d.String()
}

func outputText(o osdp.OutputControl) string {
	does := choose(uint8(o.Action), "nothing", "off", "on", "off after the timer", "on after the timer", "on", "off")
	if o.Action == osdp.OutputOnFor || o.Action == osdp.OutputOffFor {
		does += during(o.Timer)
	}
	return fmt.Sprintf("output %d %s", o.Output, does)
}

func ledText(l osdp.LEDControl) string {
	s := fmt.Sprintf("reader %d LED %d", l.Reader, l.LED)
	switch l.Temporary.Code {
	case osdp.LEDCancel:
		s += " ends what it shows for a time"
	case osdp.LEDSet:
		s += " " + blinkText(l.Temporary) + during(l.Timer)
	}
	if l.Permanent.Code == osdp.LEDPerm {
		s += " from then on " + blinkText(l.Permanent)
	}
	return s
}

func blinkText(b osdp.Blink) string {
	on, off := colorText(b.OnColor), colorText(b.OffColor)
	if b.Off == 0 || on == off {
		return on
	}
	if b.On == 0 {
		return off
	}
	return fmt.Sprintf("%s %v, %s %v", on, b.On, off, b.Off)
}

func colorText(c osdp.Color) string {
	return choose(uint8(c), "black", "red", "green", "amber", "blue", "magenta", "cyan", "white")
}

func buzzerText(b osdp.BUZ) string {
	s := fmt.Sprintf("reader %d %s", b.Reader, choose(b.Tone, "no tone", "off", "on"))
	if b.Tone < osdp.ToneDefault {
		return s
	}
	if b.Count == 0 {
		return fmt.Sprintf("%s, %v on %v off until told otherwise", s, b.On, b.Off)
	}
	return fmt.Sprintf("%s, %d times %v on %v off", s, b.Count, b.On, b.Off)
}

func inputText(s osdp.InputState) string {
	return choose(uint8(s), "inactive", "active", "short", "open", "fault", "unknown")
}

func fileStatusText(r osdp.FTSTAT) string {
	name, known := map[int16]string{
		osdp.FTOK: "go on", osdp.FTProcessed: "done", osdp.FTRebooting: "done, starts anew", osdp.FTFinishing: "finishing",
		osdp.FTAbort: "gives up", osdp.FTUnrecognised: "file not recognised", osdp.FTMalformed: "file malformed",
	}[r.Status]
	if !known {
		name = fmt.Sprintf("status %d", r.Status)
	}
	if r.Delay > 0 {
		name += fmt.Sprintf(", wait %v", r.Delay)
	}
	if r.Action&osdp.FTLeaveSC != 0 {
		name += ", wants the rest in the clear"
	}
	return name
}
