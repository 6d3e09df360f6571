package access

import (
	"fmt"
	"strings"
)

// What puts an event's kind into words for people.
func (e Event) What() string {
	switch {
	case e.Kind == EventAccess && e.Granted:
		return "Let in"
	case e.Kind == EventAccess:
		return "Refused"
	case e.Kind == "":
		return "Event"
	default:
		return strings.ToUpper(e.Kind[:1]) + e.Kind[1:]
	}
}

// Why puts an event's reason into words for people who are not engineers, with
// what to do about it. It is empty where there is nothing to say.
func (e Event) Why() string {
	text := e.advice()
	switch {
	case e.Text == "":
		return text
	case text == "":
		return e.Text
	}
	return text + " " + strings.ToUpper(e.Text[:1]) + e.Text[1:] + "."
}

func (e Event) advice() string {
	switch e.Kind {
	case EventAccess:
		return e.Reason.advice()
	case EventDoorForced:
		return "The door opened, and nobody had been let in or had asked to leave. Look at it."
	case EventDoorHeld:
		return "The door stands open for too long. Shut it."
	case EventReaderOffline:
		return "The reader does not answer: look at its power and its cable."
	case EventControllerDown:
		return "The controller does not answer. It decides by the list it has; look at its power and its cable."
	case EventTamper:
		return "Somebody is at the housing or the wiring. Look at it."
	case EventPowerFail:
		return "The mains power is gone; the battery lasts for hours at most."
	case EventForeignChange:
		return "The controller held what nobody had put there. It was mended; ask the installer who can reach it."
	case EventGap:
		return fmt.Sprintf("%d events could not be kept.", e.Count)
	case EventControllerLost:
		return fmt.Sprintf("The controller overwrote %d events before they were fetched.", e.Count)
	case EventCacheQuarantined:
		return "The site's own list was damaged. It asks the cloud for a new one."
	default:
		return ""
	}
}

func (r Reason) advice() string {
	switch r {
	case Granted:
		return ""
	case UnknownCard:
		return "Nobody at this site has this card. Check the card number in the directory."
	case WrongFormat:
		return "The card's format is not one of this site's. Ask the installer."
	case WrongFacility:
		return "The card is of a facility that this site does not take. Ask the installer."
	case CardNotActive:
		return "The card is suspended or not issued yet."
	case PersonInactive:
		return "The person's account is disabled in the directory."
	case NoGroup:
		return "The person is in no access group for this door."
	case OutsideHours:
		return "The person's access does not hold at this time."
	case NotYetValid:
		return "The card is not valid yet."
	case Expired:
		return "The card has expired."
	case Lockdown:
		return "The door is locked down."
	case WrongDoorKind:
		return "The person may open key cabinets only."
	case UnknownDoor:
		return "The cloud does not know this door."
	case NoData:
		return "The site has no list from the cloud yet."
	case StaleData:
		return "The site has not heard from the cloud for too long."
	case Blocked:
		return "The access was withdrawn a moment ago."
	case Fault:
		return "The decision went wrong; see the log."
	default:
		return string(r)
	}
}
