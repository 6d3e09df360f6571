package agent

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"latchkey/access"
	"latchkey/cache"
	"latchkey/controller"
	"latchkey/delta"
)

// A Status is how the site stands: what the status page, its JSON and
// `latchkey-agent status` show. It has no secret and no whole card number.
type Status struct {
	Site        string              `json:"site"`
	Name        string              `json:"name"`
	At          time.Time           `json:"at"`
	Software    string              `json:"software"`
	Summary     string              `json:"summary"`
	Problems    []string            `json:"problems,omitempty"` // what a person should look at, in words
	Notices     []string            `json:"notices,omitempty"`  // what is as the site file wants it, and must not be forgotten
	Ready       bool                `json:"ready"`              // the site holds a verified state
	Damaged     string              `json:"damaged,omitempty"`  // why it does not any more
	Cloud       LinkStatus          `json:"cloud"`
	Head        delta.Head          `json:"head"`
	Lag         uint64              `json:"lag"` // changes that the cloud has and the site has not
	Counts      access.Counts       `json:"counts"`
	Doors       []DoorStatus        `json:"doors"`
	Controllers []controller.Status `json:"controllers"`
	Events      EventStatus         `json:"events"`
	Tasks       []TaskStatus        `json:"tasks"`
}

// A DoorStatus is one door as the cloud declares it and the site wires it.
type DoorStatus struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"`
	Kind       string    `json:"kind"`
	Mode       string    `json:"mode"`       // access.ModeNormal, …
	Controller string    `json:"controller"` // empty: the site's configuration has no hardware for it
	Readers    []string  `json:"readers"`
	Contact    string    `json:"contact"`            // "open", "closed" or "unknown"
	Unlocked   bool      `json:"unlocked,omitempty"` // the strike is held open now
	Online     bool      `json:"online"`
	Since      time.Time `json:"since,omitzero"` // of Online as it is now
	UpToDate   bool      `json:"up_to_date"`     // whoever decides at it holds what it should
	Text       string    `json:"text"`           // the same in words
}

// An EventStatus says how the site's events stand.
type EventStatus struct {
	Last      uint64    `json:"last"` // the newest event's n
	Unsent    int       `json:"unsent"`
	Oldest    time.Time `json:"oldest,omitzero"` // of those unsent
	Waiting   int       `json:"waiting"`         // in memory, for a disk that fails
	Lost      uint64    `json:"lost"`            // since the start
	Unaudited uint64    `json:"unaudited"`       // doors that opened before their event was on disk, since the start
	Failing   string    `json:"failing,omitempty"`
}

// Status may be called from any goroutine, also before Run.
func (a *Agent) Status(ctx context.Context) Status {
	db, ev := a.cache.Stats(), a.events.Stats()
	st := Status{
		Site: a.site, Name: a.name, At: time.Now(), Software: Software, Ready: db.Ready, Damaged: db.Damaged,
		Cloud: a.stream.Status(), Head: a.cache.Held(),
		Doors: []DoorStatus{}, Controllers: []controller.Status{},
		Events: EventStatus{Last: ev.Last, Waiting: ev.Waiting, Lost: ev.Lost, Unaudited: a.doors.unaudited.Load(), Failing: ev.Failing},
	}
	st.Lag = lag(st.Cloud, st.Head)
	var err error
	if st.Events.Unsent, st.Events.Oldest, err = a.events.Unsent(ctx); err != nil && ctx.Err() == nil {
		st.Problems = append(st.Problems, "The event store cannot be read: "+err.Error())
	}
	for _, d := range a.drivers {
		st.Controllers = append(st.Controllers, d.Status())
	}
	at := a.clock.now()
	a.cache.View(func(x *access.Index) {
		st.Counts = x.Counts()
		for _, d := range x.Doors() {
			st.Doors = append(st.Doors, doorStatus(d, x.PostureAt(d.ID, at), st.Controllers, st.Ready, st.Damaged != ""))
		}
	})
	st.Problems = append(st.Problems, problems(&st, a.clock.ahead())...)
	st.Problems = slices.Concat(st.Problems, db.Problems, ev.Problems, a.found)
	st.Notices = notices(st.Controllers)
	a.mu.Lock()
	st.Tasks = slices.Clone(a.tasks)
	a.mu.Unlock()
	st.Summary = summary(&st)
	return st
}

// problems says in words what a person should look at.
func problems(st *Status, ahead time.Duration) (list []string) {
	if st.Damaged != "" {
		list = append(list, "The site's own list is damaged: doors go on with what is left of it, controllers are left as they are, and the site asks the cloud for a new one.")
	}
	if st.Events.Failing != "" {
		list = append(list, fmt.Sprintf("The disk does not take events (%s): doors go on, and %d %s in memory. Make room, or change the disk.",
			st.Events.Failing, st.Events.Waiting, plural(st.Events.Waiting, "event waits", "events wait")))
	}
	if st.Cloud.Problem != "" {
		list = append(list, st.Cloud.Problem)
	}
	if ahead.Abs() >= clockWrong {
		way := "ahead of"
		if ahead < 0 {
			way = "behind"
		}
		list = append(list, fmt.Sprintf("This gateway's clock is %v %s the cloud's: schedules and expiry depend on it. Check its time service.", ahead.Abs().Round(time.Second), way))
	}
	for _, c := range st.Controllers {
		if c.Problem != "" {
			list = append(list, c.Name+": "+c.Problem)
		}
		if c.Line != nil {
			list = append(list, remarks(c.Name, c.Line.Remarks)...)
		}
		list = append(list, readerProblems(c.Readers)...)
		if c.Table != nil && c.Table.CannotHold > 0 {
			list = append(list, fmt.Sprintf("%s cannot hold %d %s as granted.", c.Name, c.Table.CannotHold, plural(c.Table.CannotHold, "card", "cards")))
		}
	}
	return append(list, unknownDoors(st.Doors, st.Controllers, st.Ready)...)
}

// readerProblems says what is wrong with the readers of one controller. What is
// said of an address is said once, however many readers share it.
func readerProblems(readers []controller.ReaderStatus) (list []string) {
	told := map[uint8]bool{}
	for _, r := range readers {
		if r.Tamper {
			list = append(list, fmt.Sprintf("Reader %s says that somebody is at its housing.", r.Name))
		}
		if r.Quality != nil && told[r.Address] {
			continue
		}
		told[r.Address] = true
		if r.Problem != "" {
			list = append(list, "Reader "+r.Name+": "+r.Problem)
		}
		list = append(list, remarks("Reader "+r.Name, r.Remarks)...)
	}
	return list
}

// remarks are those of rs that somebody must do something about.
func remarks(about string, rs []controller.Remark) (list []string) {
	for _, r := range rs {
		if !r.Harmless {
			list = append(list, about+": "+r.Text)
		}
	}
	return list
}

// notices names the readers that the site file lets go without encryption.
func notices(cs []controller.Status) (list []string) {
	for _, c := range cs {
		for _, r := range c.Readers {
			if r.Clear {
				list = append(list, fmt.Sprintf("Reader %s (%s) is not encrypted, as the site file allows: whoever reaches its cable reads its cards and can open its door.", r.Name, c.Name))
			}
		}
	}
	return list
}

func doorStatus(d access.Door, mode string, cs []controller.Status, ready, damaged bool) DoorStatus {
	st := DoorStatus{
		ID: d.ID, Name: cmp.Or(d.Name, d.ID), Kind: d.Kind, Mode: mode, Readers: []string{}, Contact: "unknown",
		Text: "not wired: the site file has no hardware for it",
	}
	for _, c := range cs {
		i := slices.IndexFunc(c.Doors, func(x controller.DoorStatus) bool { return x.ID == d.ID })
		if i < 0 {
			continue
		}
		st.Controller, st.Contact, st.Unlocked = c.Name, c.Doors[i].Contact, c.Doors[i].Unlocked
		st.Online, st.Since = c.Online, c.Since
		var silent, distrusted []string
		for _, r := range c.Readers {
			if r.Door != d.ID {
				continue
			}
			st.Readers = append(st.Readers, r.Name)
			switch {
			case r.Online:
			case r.Problem != "":
				distrusted = append(distrusted, r.Name)
			default:
				silent = append(silent, r.Name)
			}
			if c.Table == nil { // the readers themselves are the door's hardware
				if len(st.Readers) == 1 || r.Since.After(st.Since) {
					st.Since = r.Since
				}
				st.Online = len(silent)+len(distrusted) == 0
			}
		}
		st.UpToDate = st.Online && ready && (c.Table == nil || c.Table.Equal)
		st.Text = doorText(&st, c.Table, outage(silent, distrusted), ready, damaged)
	}
	return st
}

// outage says which readers of a door do not work, and whether they do not
// answer, or are not trusted though they do.
func outage(silent, distrusted []string) string {
	var parts []string
	say := func(names []string, one, many string) {
		if len(names) > 0 {
			parts = append(parts, plural(len(names), "reader ", "readers ")+strings.Join(names, ", ")+plural(len(names), one, many))
		}
	}
	say(silent, " does not answer", " do not answer")
	say(distrusted, " answers, but is not trusted", " answer, but are not trusted")
	return strings.Join(parts, "; ")
}

func doorText(st *DoorStatus, table *controller.TableStatus, outage string, ready, damaged bool) string {
	switch {
	case !st.Online && table != nil:
		return "controller does not answer; it decides by the list it has"
	case !st.Online:
		return outage
	case damaged:
		return "goes on with what is left of the site's list"
	case !ready && table != nil:
		return "waits for the first list from the cloud; decides by the list it has"
	case !ready:
		return "waits for the first list from the cloud; denies everybody"
	case table != nil && !table.Equal && table.Behind > 0:
		return fmt.Sprintf("%d %s behind since %s", table.Behind, plural(table.Behind, "change", "changes"), table.Since.Local().Format("15:04"))
	case table != nil && !table.Equal:
		return "its list is being read back"
	default:
		return "up to date"
	}
}

// unknownDoors names the doors that the configuration wires and the cloud does
// not know: nobody can be let in there.
func unknownDoors(doors []DoorStatus, cs []controller.Status, ready bool) (problems []string) {
	if !ready {
		return nil // no door is known yet
	}
	for _, c := range cs {
		for _, d := range c.Doors {
			if !slices.ContainsFunc(doors, func(x DoorStatus) bool { return x.ID == d.ID }) {
				problems = append(problems, fmt.Sprintf("Door %q of %s is in the site file, but the cloud does not know it: nobody can be let in there.", d.ID, c.Name))
			}
		}
	}
	return problems
}

// summary is the one line that answers "is this site all right?".
func summary(st *Status) string {
	good := 0
	var bad []string
	for _, d := range st.Doors {
		if d.UpToDate {
			good++
		} else {
			bad = append(bad, d.Name+": "+d.Text)
		}
	}
	var b strings.Builder
	switch {
	case len(st.Doors) == 0:
		b.WriteString("No doors are known yet.")
	case len(bad) == 0:
		b.WriteString(plural(len(st.Doors), "The door is up to date.", fmt.Sprintf("All %d doors are up to date.", len(st.Doors))))
	default:
		fmt.Fprintf(&b, "%d of %d %s up to date; %s.", good, len(st.Doors), plural(len(st.Doors), "door is", "doors are"), strings.Join(bad, "; "))
	}
	switch {
	case !st.Cloud.Connected && st.Cloud.LastBeat.IsZero():
		b.WriteString(" The cloud was not heard yet.")
	case !st.Cloud.Connected:
		b.WriteString(" The cloud is away since " + st.Cloud.Since.Local().Format("2 Jan 15:04") + "; doors go on with what they have.")
	case st.Lag > 0:
		fmt.Fprintf(&b, " %d %s on the way.", st.Lag, plural(int(min(st.Lag, math.MaxInt32)), "change is", "changes are"))
	}
	return b.String()
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// lag counts the changes that the cloud has and the site has not, as far as
// the last beat tells.
func lag(link LinkStatus, held delta.Head) uint64 {
	switch {
	case link.Cloud.Epoch > held.Epoch:
		return link.Cloud.Seq
	case link.Cloud.Epoch == held.Epoch && link.Cloud.Seq > held.Seq:
		return link.Cloud.Seq - held.Seq
	default:
		return 0
	}
}

// An EventQuery chooses events for the local pages. Empty fields choose all.
type EventQuery struct {
	Reader, Door, Kind string
	After              uint64    // events with a greater n
	Since              time.Time // events at or after
	Limit              int       // the newest so many
}

// RecentEvents returns the newest events that q lets through, newest first.
func (a *Agent) RecentEvents(ctx context.Context, q EventQuery) ([]access.Event, error) {
	return a.events.Recent(ctx, cache.EventFilter{
		Reader: q.Reader, Door: q.Door, Kind: q.Kind, After: q.After, Since: q.Since, Limit: q.Limit,
	})
}
