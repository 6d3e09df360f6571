package store

import (
	"encoding/json"
	"errors"
	"time"

	"latchkey/access"
	"latchkey/cloud"
	"latchkey/delta"
)

func scanRecord(s scanner) (r cloud.RecordRow, err error) {
	return r, s.Scan(&r.Site, &r.Ref.Kind, &r.Ref.Key, &r.Owner, &r.Doc, &r.Seq)
}

func (t *tx) Records(owners []string) ([]cloud.RecordRow, error) {
	return listed(t, scanRecord, `SELECT site, kind, key, owner, doc, seq FROM site_record WHERE owner IN (%s)`, nil, owners)
}

func (t *tx) SiteRecords(site string) ([]cloud.RecordRow, error) {
	return all(t, scanRecord, `SELECT site, kind, key, owner, doc, seq FROM site_record WHERE site = $1 ORDER BY kind, key`, site)
}

func (t *tx) OwnRecords(site string) ([]cloud.RecordRow, error) {
	return all(t, scanRecord, `SELECT site, kind, key, owner, doc, seq FROM site_record WHERE site = $1 AND owner = ''`, site)
}

func (t *tx) Owners(site string) ([]string, error) {
	return all(t, column[string], `SELECT DISTINCT owner FROM site_record WHERE site = $1 AND owner > '' ORDER BY owner`, site)
}

func (t *tx) PutRecord(r cloud.RecordRow) error {
	return t.do(`INSERT INTO site_record (site, kind, key, owner, doc, seq) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (site, kind, key) DO UPDATE SET owner = excluded.owner, doc = excluded.doc, seq = excluded.seq`,
		r.Site, string(r.Ref.Kind), r.Ref.Key, r.Owner, r.Doc, clamp(r.Seq))
}

func (t *tx) DeleteRecord(site string, ref access.Ref) error {
	return t.must(`DELETE FROM site_record WHERE site = $1 AND kind = $2 AND key = $3`, site, string(ref.Kind), ref.Key)
}

func (t *tx) AppendLog(site string, epoch uint32, seq uint64, at time.Time, payload []byte, hash delta.Hash) error {
	return t.do(`INSERT INTO site_log (site, epoch, seq, at, hash, payload) VALUES ($1, $2, $3, $4, $5, $6)`,
		site, int64(epoch), int64(seq), millis(at), hash[:], payload)
}

func (t *tx) ReadLog(site string, epoch uint32, after uint64, limit int) ([][]byte, error) {
	return all(t, column[[]byte], `SELECT payload FROM site_log WHERE site = $1 AND epoch = $2 AND seq > $3 ORDER BY seq LIMIT $4`,
		site, int64(epoch), clamp(after), unlimited(limit))
}

func (t *tx) LogHash(site string, epoch uint32, seq uint64) (h delta.Hash, err error) {
	b, err := one(t, column[[]byte], `SELECT hash FROM site_log WHERE site = $1 AND epoch = $2 AND seq = $3`, site, int64(epoch), clamp(seq))
	if err != nil {
		return h, err
	}
	return h, sum(h[:], b)
}

func (t *tx) AckLog(site string, epoch uint32, after, upTo uint64, at time.Time) error {
	return t.do(`UPDATE site_log SET acked = $1 WHERE site = $2 AND epoch = $3 AND seq > $4 AND seq <= $5`,
		millis(at), site, int64(epoch), clamp(after), clamp(upTo))
}

func (t *tx) LogTimes(site string, epoch uint32, seq uint64) (written, acked time.Time, err error) {
	type times struct{ written, acked int64 }
	at, err := one(t, func(s scanner) (at times, err error) { return at, s.Scan(&at.written, &at.acked) },
		`SELECT at, acked FROM site_log WHERE site = $1 AND epoch = $2 AND seq = $3`, site, int64(epoch), clamp(seq))
	return moment(at.written), moment(at.acked), err
}

func (t *tx) PruneLog(site string, epoch uint32, seq uint64) error {
	return t.do(`DELETE FROM site_log WHERE site = $1 AND (epoch < $2 OR epoch = $2 AND seq <= $3)`, site, int64(epoch), clamp(seq))
}

// What sites say.

func (t *tx) SiteState(site string) (cloud.SiteState, error) {
	st, err := one(t, func(s scanner) (st cloud.SiteState, err error) {
		var hello, up, nack, proofAt, seq int64
		var proof string
		var hash, digest []byte
		err = s.Scan(&hello, &up, &st.Software, &st.Applied.Epoch, &seq, &hash, &digest, &st.Nack, &nack, &proof, &proofAt)
		if err != nil {
			return st, err
		}
		st.HelloAt, st.UpAt, st.NackAt, st.ProofAt = moment(hello), moment(up), moment(nack), moment(proofAt)
		st.Applied.Seq = uint64(seq)
		return st, errors.Join(sum(st.Applied.Hash[:], hash), sum(st.Applied.Digest[:], digest), json.Unmarshal([]byte(proof), &st.Proof))
	}, `SELECT hello_at, up_at, software, applied_epoch, applied_seq, applied_hash, applied_digest, nack, nack_at, proof, proof_at
		FROM site_state WHERE site = $1`, site)
	if errors.Is(err, cloud.ErrNotFound) {
		return cloud.SiteState{}, nil
	}
	return st, err
}

func (t *tx) PutSiteState(site string, st cloud.SiteState) error {
	return t.do(`INSERT INTO site_state (site, hello_at, up_at, software, applied_epoch, applied_seq, applied_hash, applied_digest, nack, nack_at, proof, proof_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
		ON CONFLICT (site) DO UPDATE SET hello_at = excluded.hello_at, up_at = excluded.up_at, software = excluded.software,
		applied_epoch = excluded.applied_epoch, applied_seq = excluded.applied_seq, applied_hash = excluded.applied_hash,
		applied_digest = excluded.applied_digest, nack = excluded.nack, nack_at = excluded.nack_at, proof = excluded.proof, proof_at = excluded.proof_at`,
		site, millis(st.HelloAt), millis(st.UpAt), st.Software, int64(st.Applied.Epoch), int64(st.Applied.Seq),
		st.Applied.Hash[:], st.Applied.Digest[:], st.Nack, millis(st.NackAt), list(st.Proof), millis(st.ProofAt))
}

func (t *tx) LastEvent(site, eventEpoch string) (uint64, error) {
	n, err := one(t, column[int64], `SELECT COALESCE(MAX(n), 0) FROM site_event WHERE site = $1 AND event_epoch = $2`, site, eventEpoch)
	return uint64(n), err
}

func (t *tx) AppendEvent(site, eventEpoch string, e access.Event) error {
	return t.do(`INSERT INTO site_event (site, pos, event_epoch, n, doc)
		SELECT $1, COALESCE(MAX(pos), 0) + 1, $2, $3, $4 FROM site_event WHERE site = $1`, site, eventEpoch, clamp(e.N), document(e))
}

func (t *tx) Events(site string, after uint64, limit int) ([]cloud.SiteEvent, error) {
	return all(t, func(s scanner) (e cloud.SiteEvent, err error) {
		var doc string
		if err := s.Scan(&e.Pos, &e.EventEpoch, &doc); err != nil {
			return e, err
		}
		return e, json.Unmarshal([]byte(doc), &e.Event)
	}, `SELECT pos, event_epoch, doc FROM site_event WHERE site = $1 AND pos > $2 ORDER BY pos LIMIT $3`, site, clamp(after), unlimited(limit))
}

func (t *tx) CountEvents(site string) (uint64, error) {
	// Positions have no gaps.
	n, err := one(t, column[int64], `SELECT COALESCE(MAX(pos), 0) FROM site_event WHERE site = $1`, site)
	return uint64(n), err
}
