package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/stdlib"

	"latchkey/cloud"
)

// Which process serves which site, and reads which directory. Only PostgreSQL has these tables; what is
// here asks the database's clock, because the processes' own may differ.

// A step is a statement with its arguments.
type step struct {
	query string
	args  []any
}

// claimSteps take part in no other transaction's turn: they touch tables that
// none of those writes.
func claimSteps(publisher string, ttl time.Duration) []step {
	const falls = `(SELECT id FROM publisher ORDER BY hashtextextended(id || lease.site, 0), id LIMIT 1)`
	return []step{
		// One claim at a time; the number is nobody else's.
		{`SELECT pg_advisory_xact_lock(7011906451)`, nil},
		{`INSERT INTO publisher (id, until) VALUES ($1, clock_timestamp() + $2::bigint * INTERVAL '1 millisecond')
			ON CONFLICT (id) DO UPDATE SET until = excluded.until`, []any{publisher, ttl.Milliseconds()}},
		{`DELETE FROM publisher WHERE until < clock_timestamp()`, nil},
		// What the last claim left out of its answer is served no more.
		{`UPDATE lease SET publisher = '', leaving = FALSE WHERE publisher = $1 AND leaving`, []any{publisher}},
		{`INSERT INTO lease (site, publisher, fence) SELECT id, '', 0 FROM site
			WHERE NOT EXISTS (SELECT 1 FROM lease WHERE site = site.id) ON CONFLICT DO NOTHING`, nil},
		{`INSERT INTO lease (site, publisher, fence) SELECT $1 || org, '', 0 FROM setting WHERE name = $2 ON CONFLICT DO NOTHING`,
			[]any{cloud.PullLease(""), cloud.PulledSetting}},
		// Of the living, each site has one that it falls to, whoever comes and goes.
		{`UPDATE lease SET publisher = $1, fence = fence + 1, leaving = FALSE
			WHERE NOT EXISTS (SELECT 1 FROM publisher WHERE id = lease.publisher) AND $1 = ` + falls, []any{publisher}},
		{`UPDATE lease SET leaving = TRUE WHERE publisher = $1 AND $1 <> ` + falls, []any{publisher}},
	}
}

// Claim is cloud.Shared's.
func (p *Postgres) Claim(ctx context.Context, publisher string, ttl time.Duration) (map[string]uint64, error) {
	fences, err := p.claim(ctx, publisher, ttl)
	if err != nil {
		return nil, fmt.Errorf("store: claim: %w", err)
	}
	return fences, nil
}

func (p *Postgres) claim(ctx context.Context, publisher string, ttl time.Duration) (map[string]uint64, error) {
	sqlTx, err := p.write.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return nil, err
	}
	defer sqlTx.Rollback() // after Commit it does nothing
	for _, s := range claimSteps(publisher, ttl) {
		if _, err := sqlTx.ExecContext(ctx, s.query, s.args...); err != nil {
			return nil, err
		}
	}
	rows, err := sqlTx.QueryContext(ctx, `SELECT site, fence FROM lease WHERE publisher = $1 AND NOT leaving`, publisher)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	fences := map[string]uint64{}
	for rows.Next() {
		var site string
		var fence int64
		if err := rows.Scan(&site, &fence); err != nil {
			return nil, err
		}
		fences[site] = uint64(fence)
	}
	return fences, errors.Join(rows.Err(), rows.Close(), sqlTx.Commit())
}

// Release is cloud.Shared's.
func (p *Postgres) Release(ctx context.Context, publisher string) error {
	if _, err := p.write.ExecContext(ctx, `DELETE FROM publisher WHERE id = $1`, publisher); err != nil {
		return fmt.Errorf("store: release: %w", err)
	}
	return nil
}

// CheckLease is cloud.Tx's. In SQLite, which one process has open, there are no
// leases to lose.
func (t *tx) CheckLease(site, publisher string, fence uint64) error {
	if !t.engine.shared {
		return nil
	}
	n, err := one(t, column[int64], `SELECT fence FROM lease WHERE site = $1 AND publisher = $2 FOR SHARE`, site, publisher)
	if errors.Is(err, cloud.ErrNotFound) || err == nil && uint64(n) != fence {
		return cloud.ErrNotPublisher
	}
	return err
}

// channel is where processes tell each other that logs grew.
const channel = "latchkey_grown"

// Announce is cloud.Shared's.
func (p *Postgres) Announce(ctx context.Context) error {
	if _, err := p.write.ExecContext(ctx, "NOTIFY "+channel); err != nil {
		return fmt.Errorf("store: announce: %w", err)
	}
	return nil
}

// Listen is cloud.Shared's.
func (p *Postgres) Listen(ctx context.Context, heard func()) error {
	conn, err := p.read.Conn(ctx)
	if err != nil {
		return fmt.Errorf("store: listen: %w", err)
	}
	defer conn.Close()
	err = conn.Raw(func(c any) error {
		pg := c.(*stdlib.Conn).Conn()
		if _, err := pg.Exec(ctx, "LISTEN "+channel); err != nil {
			return errors.Join(driver.ErrBadConn, err)
		}
		for {
			heard() // at first too: something may have been missed
			if _, err := pg.WaitForNotification(ctx); err != nil {
				return errors.Join(driver.ErrBadConn, err) // nobody else may get a connection that listens
			}
		}
	})
	return fmt.Errorf("store: listen: %w", err)
}
