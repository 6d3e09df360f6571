package agent

import (
	"cmp"
	"fmt"
	"strings"
	"unicode"

	"latchkey/access"
	"latchkey/controller"
)

const maxText = 512 // bytes of an event's text

// describe puts a driver's event into the site's words. Neither bits nor digits
// are in it.
func (d *doors) describe(drv controller.Driver, e controller.Event) access.Event {
	ev := access.Event{
		At: e.At, Kind: kindOf(e.Kind), Door: e.Door, Reader: e.Reader, Controller: drv.Name(),
		Device: e.Device, DeviceTime: e.DeviceTime, Count: e.Count, Granted: e.Granted, Reason: e.Reason, Text: cut(e.Text),
	}
	if e.Kind == controller.Decided {
		ev.DecidedBy = access.ByController
	}
	if ev.Kind == access.EventDoorOpened && e.Device == nil && d.forced(e.Door) {
		ev.Kind = access.EventDoorForced
	}
	switch seen := d.see(e.Reader, e.Bits); {
	case e.Bits.Len() > 0:
		d.cache.View(func(x *access.Index) {
			if c, ok := x.Lookup(seen.bits); ok {
				ev.Person, ev.Credential, ev.Card = c.Person, c.ID, access.MaskCard(c)
			}
		})
		ev.Card = cmp.Or(ev.Card, seen.mask())
	case e.Digits != "":
		ev.Card = "keypad"
	}
	return ev
}

// mask describes a card that the site does not hold, as far as the site's own
// formats read it: an installer must be able to tell which card it was, and
// nobody must be able to copy it.
func (s sighting) mask() string {
	if n, ok := s.match.Fields["card"]; ok {
		return access.MaskCard(access.Credential{Technology: access.TechCard, Format: s.match.Format.Name, Bits: s.bits, Number: n})
	}
	return fmt.Sprintf("%d bits", s.bits.Len())
}

// kindOf says what the site calls what drivers report.
func kindOf(k controller.Kind) string {
	switch k {
	case controller.CardRead, controller.Decided:
		return access.EventAccess
	case controller.ReaderOnline:
		return access.EventReaderOnline
	case controller.ReaderOffline:
		return access.EventReaderOffline
	case controller.ControllerOnline:
		return access.EventControllerUp
	case controller.ControllerOffline:
		return access.EventControllerDown
	case controller.DoorOpened:
		return access.EventDoorOpened
	case controller.DoorClosed:
		return access.EventDoorClosed
	case controller.DoorForced:
		return access.EventDoorForced
	case controller.DoorHeld:
		return access.EventDoorHeld
	case controller.Tamper:
		return access.EventTamper
	case controller.PowerFail:
		return access.EventPowerFail
	case controller.ExitRequest:
		return access.EventExitRequest
	case controller.EventsLost:
		return access.EventControllerLost
	case controller.ForeignChange:
		return access.EventForeignChange
	default: // controller.Alarm, and what a later driver may report
		return access.EventAlarm
	}
}

// cut makes a text for people fit to be sent: at most maxText bytes of sound
// UTF-8 on one line.
func cut(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "")
	}
	return s
}
