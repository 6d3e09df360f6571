package building

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"

	"latchkey/wiegand"
)

// A ReaderInfo is one row of GET /readers.
type ReaderInfo struct {
	Name      string `json:"name"`
	Site      string `json:"site"`
	DecidedBy string `json:"decided_by"`          // who answers a card here
	EventLog  string `json:"event_log,omitempty"` // the site's status page, for the reason of a decision
	Granted   uint64 `json:"granted"`             // cards answered since the start
	Denied    uint64 `json:"denied"`
	None      uint64 `json:"none"` // cards that nobody answered
}

// A TableInfo is one row of GET /controllers: what a controller's own table
// holds, read past all protocols.
type TableInfo struct {
	Name    string   `json:"name"`
	Site    string   `json:"site"`
	Root    string   `json:"root"` // digest of the credential table, hex
	Version uint64   `json:"version"`
	Keys    []string `json:"keys"`    // hex
	Events  uint64   `json:"events"`  // the newest event's seq
	Granted uint64   `json:"granted"` // decisions in the event log since it was made
	Denied  uint64   `json:"denied"`
}

// A Card is what POST /badge holds to a reader.
type Card struct {
	Reader string       `json:"reader"`
	Bits   wiegand.Bits `json:"bits"` // "37:…"
}

// Handler serves the building's API. It is for loopback: whoever reaches it
// can hold any card to any reader.
func (b *Building) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readers", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, b.Readers()) })
	mux.HandleFunc("GET /controllers", func(w http.ResponseWriter, _ *http.Request) {
		list, err := b.Tables()
		if err != nil {
			refuse(w, http.StatusInternalServerError, err)
			return
		}
		answer(w, http.StatusOK, list)
	})
	mux.HandleFunc("POST /badge", b.serveBadge)
	mux.HandleFunc("POST /readers/{name}/mute", b.serveMute)
	return mux
}

// Readers lists the readers as configured, with what they have seen.
func (b *Building) Readers() []ReaderInfo {
	var list []ReaderInfo
	for _, name := range b.order {
		r := b.readers[name]
		r.tally.Lock()
		list = append(list, ReaderInfo{r.name, r.site, r.decidedBy, b.cfg.EventLogs[r.site], r.granted, r.denied, r.none})
		r.tally.Unlock()
	}
	return list
}

// Tables reads the controllers' tables.
func (b *Building) Tables() ([]TableInfo, error) {
	list := []TableInfo{}
	for _, t := range b.tables {
		records, root, version := t.hw.Dump()
		info := TableInfo{Name: t.Name, Site: t.Site, Root: hex.EncodeToString(root[:]), Version: version, Keys: []string{}}
		for _, r := range records {
			info.Keys = append(info.Keys, hex.EncodeToString(r.Key[:]))
		}
		c := t.hw.Counts()
		info.Events, info.Granted, info.Denied = c.LastSeq, c.Granted, c.Denied
		list = append(list, info)
	}
	return list, nil
}

func (b *Building) serveBadge(w http.ResponseWriter, r *http.Request) {
	var c Card
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<10)).Decode(&c); err != nil {
		refuse(w, http.StatusBadRequest, fmt.Errorf("building: badge: %w", err))
		return
	}
	if c.Bits.Len() == 0 {
		refuse(w, http.StatusBadRequest, fmt.Errorf("building: badge: no bits: want LENGTH:HEX"))
		return
	}
	o, err := b.Badge(r.Context(), c.Reader, c.Bits)
	if err != nil {
		refuse(w, http.StatusNotFound, err)
		return
	}
	answer(w, http.StatusOK, o)
}

// serveMute makes a reader or its controller silent, as if its cable were cut.
func (b *Building) serveMute(w http.ResponseWriter, r *http.Request) {
	var on struct {
		On bool `json:"on"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<10)).Decode(&on); err != nil {
		refuse(w, http.StatusBadRequest, fmt.Errorf("building: mute: %w", err))
		return
	}
	rd, ok := b.readers[r.PathValue("name")]
	if !ok {
		refuse(w, http.StatusNotFound, fmt.Errorf("building: no reader %q; there are %v", r.PathValue("name"), b.order))
		return
	}
	rd.mute(on.On)
	answer(w, http.StatusOK, on)
}

func answer(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, code int, err error) {
	answer(w, code, map[string]string{"error": err.Error()})
}
