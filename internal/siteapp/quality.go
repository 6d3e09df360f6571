package siteapp

import "latchkey/osdp"

// A readerQuality is how the exchange with one PD goes, since the agent's start.
// Times are in seconds.
type readerQuality struct {
	Line     string   `json:"line"`
	Address  uint8    `json:"address"`
	Readers  []string `json:"readers"`  // its heads
	Security string   `json:"security"` // as in the site file
	Online   bool     `json:"online"`
	Secure   bool     `json:"secure"`
	Trouble  string   `json:"trouble,omitzero"` // why it is not served although it answers
	Identity string   `json:"identity,omitzero"`

	Polls         uint64            `json:"polls"`
	Retries       uint64            `json:"retries"`
	CRCErrors     uint64            `json:"crc_errors"`
	NAKs          map[string]uint64 `json:"naks"` // by what they say
	Busy          uint64            `json:"busy"`
	Handshakes    uint64            `json:"handshakes"`
	Refused       uint64            `json:"handshakes_failed"`
	MACErrors     uint64            `json:"mac_errors"`
	ClearReplies  uint64            `json:"clear_replies"`
	Echoes        uint64            `json:"echoes"`
	OtherPanel    uint64            `json:"other_panel"`
	Unasked       uint64            `json:"unasked"`
	ReplyP50      float64           `json:"reply_p50_seconds"`
	ReplyP99      float64           `json:"reply_p99_seconds"`
	ReplyMax      float64           `json:"reply_max_seconds"`
	WorstPollGap  float64           `json:"worst_poll_gap_seconds"`
	ReplyMeasured bool              `json:"reply_measured"` // there was one
}

func (r *readers) Quality() []readerQuality {
	all := []readerQuality{}
	for _, cfg := range r.cfg {
		l := r.lines[cfg.Name]
		for _, s := range l.Quality() {
			q := qualityOf(s)
			q.Line = cfg.Name
			for _, reader := range cfg.Readers {
				if reader.Address == s.Addr {
					q.Readers, q.Security = append(q.Readers, reader.Name), reader.Security
				}
			}
			all = append(all, q)
		}
	}
	return all
}

func qualityOf(s osdp.PDStats) readerQuality {
	q := readerQuality{
		Address: s.Addr, Readers: []string{}, Online: s.Online, Secure: s.Secure, NAKs: map[string]uint64{},
		Polls: s.Polls, Retries: s.Retries, CRCErrors: s.CRCErrors, Busy: s.Busy, Handshakes: s.Handshakes, Refused: s.Refused,
		MACErrors: s.MACErrors, ClearReplies: s.ClearReplies, Echoes: s.Echoes, OtherPanel: s.OtherPanel, Unasked: s.Unasked,
		ReplyP50: s.Latency.Quantile(0.5).Seconds(), ReplyP99: s.Latency.Quantile(0.99).Seconds(), ReplyMax: s.Latency.Max.Seconds(),
		WorstPollGap: s.WorstPollGap.Seconds(), ReplyMeasured: s.Latency.Max > 0,
	}
	if s.Trouble != osdp.NoTrouble {
		q.Trouble = s.Trouble.String()
	}
	if s.ID != (osdp.PDID{}) {
		q.Identity = s.ID.String()
	}
	for code, n := range s.NAKCodes.All() {
		q.NAKs[code.String()] = n
	}
	if n := s.NAKCodes.Other; n > 0 {
		q.NAKs["other"] = n
	}
	return q
}
