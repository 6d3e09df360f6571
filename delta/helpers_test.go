package delta

import (
	"crypto/ed25519"
	"encoding/json"
	"strings"
	"time"

	"latchkey/access"
)

// testKey is a key that is the same in each run.
func testKey(id string) Key {
	seed := make([]byte, ed25519.SeedSize)
	copy(seed, id)
	return Key{ID: id, Private: ed25519.NewKeyFromSeed(seed)}
}

var noon = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)

func hashOf(text string) Hash { return HashOf([]byte(text)) }

func header1() Header { return Header{Site: "north", At: noon} }

func put(name, value string) Change {
	c, err := Put(access.Setting{Name: name, Value: value})
	if err != nil {
		panic(err) // a setting of two texts
	}
	return c
}

// samples is one full message of each type.
func samples() []Message {
	head := Head{Epoch: 7, Seq: 42, Hash: hashOf("42"), Digest: Digest{31: 1}}
	person := access.Ref{Kind: access.KindPerson, Key: "p1"}
	return []Message{
		&Delta{
			Header: header1(), Epoch: 7, Seq: 43, Prev: hashOf("42"), Digest: Digest{0: 0xff}, Deny: []access.Ref{person},
			Changes:  []Change{put("a", "<&>"), Del(person)},
			Approved: &Approval{By: "ann", Removes: 30},
		},
		&Snapshot{Header: header1(), ID: "s1", Re: "nonce", Part: 2, Parts: 3, Head: head, Records: []Change{put("a", "1"), put("b", "2")}},
		&Beat{Header: header1(), Re: "nonce", Head: head, Time: noon},
		&Ack{Header: header1(), EventEpoch: "e1", N: 99},
		&Command{Header: header1(), ID: "c1", Re: "nonce", TTL: 30, Name: "unlock", Args: json.RawMessage(`{"door":"front"}`)},
		&Hello{Header: header1(), Head: head, Nonce: NonceOf([16]byte{1}), Versions: []int{1}, EventEpoch: "e1", Events: 99, Software: "1.2"},
		&Applied{Header: header1(), Head: head},
		&Need{Header: header1(), Epoch: 7, From: 43, To: 50},
		&Need{Header: header1(), Snapshot: true, ID: "s1", Parts: []int{1, 3}, Reason: "parts"},
		&Nack{Header: header1(), Epoch: 7, Seq: 43, Reason: "shape"},
		&Nack{Header: header1(), Epoch: 7, Seq: 43, Reason: ReasonMass, Removes: 30, People: 20, Openings: 40},
		&Snapshot{Header: header1(), ID: "s2", Re: "nonce", Part: 1, Parts: 1, Head: head, Records: []Change{put("a", "1")}, Approved: &Approval{By: "ann", Removes: 30}},
		&Events{Header: header1(), EventEpoch: "e1", Events: []access.Event{
			{N: 1, At: noon, Kind: access.EventAccess, Door: "front", Granted: true, Reason: access.Granted, Card: "H10302 …0731"},
			{N: 2, At: noon, Kind: access.EventGap, Count: 3, Since: noon, Device: &access.Device{Serial: "s", Boot: 1, Seq: 2}},
		}},
		&Result{Header: header1(), ID: "c1", OK: true, Text: "done"},
		&Proof{Header: header1(), Controllers: []ControllerProof{{Controller: "c", Wanted: 2, Held: 1, Epoch: 7, Seq: 42, Since: noon}}},
		&Receipt{Header: header1(), ID: "s1", Re: "nonce", Part: 2},
	}
}

// edit is payload with old replaced by new, once.
func edit(payload []byte, old, new string) []byte {
	if !strings.Contains(string(payload), old) {
		panic("edit: no " + old + " in " + string(payload))
	}
	return []byte(strings.Replace(string(payload), old, new, 1))
}
