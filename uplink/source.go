package uplink

import (
	"context"
	"errors"

	"latchkey/delta"
)

// ErrNoEntry says that a site's log has no such epoch and seq.
var ErrNoEntry = errors.New("uplink: no such log entry")

// A Source is the cloud's database as the link sees it. All methods may be
// called from many goroutines, but for one site from one at a time. An error
// makes the link leave the site for a while and try again; it never makes it
// skip anything.
type Source interface {
	// Sites are the ids of all sites. It is read at the start, after Changed,
	// and each 30 s.
	Sites(ctx context.Context) ([]string, error)
	// SiteKeys are the keys that the site may sign with; none for a site that
	// is not enrolled.
	SiteKeys(ctx context.Context, site string) (delta.Keys, error)
	// Head is the newest entry of the site's log. Epoch 0 means that the site
	// has no log yet.
	Head(ctx context.Context, site string) (delta.Head, error)
	// Read gives the payloads after the entry `after`, in order, at most limit
	// of them; fewer, or none, at the end of the log. If the first of them is
	// no longer kept it returns ErrNoEntry, and the site gets a snapshot.
	Read(ctx context.Context, site string, epoch uint32, after uint64, limit int) ([][]byte, error)
	// Snapshot is the site's whole state and the head at which it stands, read
	// in one transaction, and the word for what it takes from the site; nil for
	// nobody's.
	Snapshot(ctx context.Context, site string) (delta.Head, []delta.Change, *delta.Approval, error)
	// Approved is a person's word for the mass loss that the site's Nack refused,
	// nil until there is one. It is asked for now and then while the site refuses.
	Approved(ctx context.Context, site string) (*delta.Approval, error)
	// HashAt is the hash of one entry, ErrNoEntry when the log has none.
	HashAt(ctx context.Context, site string, epoch uint32, seq uint64) (delta.Hash, error)

	// Hello notes that the site connected. It comes before Head is read: a
	// source that finds the site ahead of its log (the cloud was restored from
	// a backup) can start a new epoch here.
	Hello(ctx context.Context, site string, m *delta.Hello) error
	// Applied notes that the site has everything up to head on its disk. head
	// is checked against the log. It may come more than once.
	Applied(ctx context.Context, site string, head delta.Head) error
	// Events stores events, each exactly once and in order, and returns up to
	// which n of m.EventEpoch all are stored now. Where m starts after a gap,
	// nothing of it is stored and upTo is what was there before.
	Events(ctx context.Context, site string, m *delta.Events) (upTo uint64, err error)
	// Result, Proof and Nack store what the site says.
	Result(ctx context.Context, site string, m *delta.Result) error
	Proof(ctx context.Context, site string, m *delta.Proof) error
	Nack(ctx context.Context, site string, m *delta.Nack) error

	// Changed receives after a commit that appended to any site's log. Its
	// capacity is 1 and the sender never blocks. The link alone reads it.
	Changed() <-chan struct{}
}

// A HeadSource is a Source that can tell the heads of all sites at once. The
// link then reads on only for the sites whose logs have grown; without it each
// change makes it ask for the head of every site.
type HeadSource interface {
	Source
	// Heads are the heads of all sites that Sites lists, by id, of one moment.
	Heads(ctx context.Context) (map[string]delta.Head, error)
}
