package pages_test

import (
	"fmt"
	"testing"
	"time"

	"latchkey/access"
	"latchkey/cloud"
	"latchkey/delta"
)

// happens lets north's agent report events.
func (w *world) happens(events ...access.Event) {
	w.Helper()
	for i := range events {
		w.happened++
		events[i].N, events[i].At = w.happened, time.Now()
	}
	_, err := w.cloud.Events(w.ctx, "north", &delta.Events{EventEpoch: "e", Events: events})
	w.ok(err)
}

func TestBuilding(t *testing.T) {
	w := newWorld(t)
	const at = "properties/north/building"
	w.wants(w.get(at), 200, "Its gateway has never been heard of", "Set the gateway's public key", "No event has come yet", "No controller has been reported yet")
	w.rule("All", []string{"staff"})
	ann := w.user("Ann", "", "104711")
	w.ok(w.cloud.Hello(w.ctx, "north", &delta.Hello{Software: "latchkey-agent 1.2"}))
	w.wants(w.get(at), 200, "latchkey-agent 1.2", "are on their way", "Changes are on their way to it")
	w.confirm()
	w.wants(w.get(at), 200, "Up to date", "it has confirmed all", "east", "holds what it should", "1 person, 1 opening")
	w.ok(w.cloud.Nack(w.ctx, "north", &delta.Nack{Epoch: 1, Seq: 9, Reason: "signature"}))
	w.wants(w.get(at), 200, "Its gateway refuses what it was sent: ", "Last refused a change", "signature")
	_, err := w.cloud.PatchPerson(w.ctx, by, "acme", ann, cloud.PersonPatch{Suspended: new(true)})
	w.ok(err)
	w.wants(w.get(at), 200, "Access that went within the last hour", "People or cards were disabled, suspended or deleted: 1 opening went")
}

// TestEventsInWords: what happened, where, to whom and why.
func TestEventsInWords(t *testing.T) {
	w := newWorld(t)
	w.rule("All", []string{"staff"})
	ann := w.user("Ann", "", "104711")
	w.happens(
		access.Event{Kind: access.EventAccess, Door: "front", Granted: true, Reason: access.Granted, Person: ann, Card: "H10302 …711"},
		access.Event{Kind: access.EventAccess, Door: "lab", Reason: access.NoGroup, Person: ann, Card: "H10302 …711"},
		access.Event{Kind: access.EventAccess, Door: "front", Reason: access.UnknownCard, Card: "H10302 …99"},
		access.Event{Kind: access.EventAccess, Door: "<b>", Reason: "something <i>new</i>", Person: "gone"},
		access.Event{Kind: access.EventDoorForced, Door: "front"}, access.Event{Kind: access.EventDoorOpened, Door: "front"},
		access.Event{Kind: access.EventGap, Count: 7}, access.Event{Kind: access.EventAlarm, Text: "the clock is wrong"},
	)
	a := w.get("properties/north/building")
	w.wants(a, 200, "Let in", "Front door", ">Ann</a>", "The person is in no access group for this door.", "people/"+ann+"/why/north?door=lab", "Nobody at this site has this card.",
		"somebody who is deleted", "&lt;b&gt;", "something &lt;i&gt;new", "nobody had been let in", "Door opened", "7 events could not be kept.", "the clock is wrong")
	w.lacks(a, "104711", "<i>new", "Earlier")
}

func TestEventsByPages(t *testing.T) {
	w := newWorld(t)
	for i := range 60 {
		w.happens(access.Event{Kind: access.EventAlarm, Text: fmt.Sprintf("number %02d", i)})
	}
	a := w.get("properties/north/building")
	w.wants(a, 200, "number 59", "number 10", "building?before=11", "Newest events")
	w.lacks(a, "number 09")
	a = w.get("properties/north/building?before=11")
	w.wants(a, 200, "number 09", "number 00", "Earlier events")
	w.lacks(a, "number 10", "?before")
	w.wants(w.get("properties/north/building?before=x"), 200, "number 59")
}
