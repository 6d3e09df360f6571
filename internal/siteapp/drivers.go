package siteapp

import (
	"context"
	"log/slog"
	"time"

	"latchkey/agent"
	"latchkey/cache"
	"latchkey/controller"
	"latchkey/osdp"
	"latchkey/serialline"
)

// newDrivers makes a driver for each line and controller of the site file.
func newDrivers(cfg *agent.Config, db *cache.DB, keys controller.KeyStore, wants *wants, log *slog.Logger) (drivers []controller.Driver) {
	for _, l := range cfg.OSDP {
		port := serialline.Config{Path: l.Port, Baud: l.Baud, Backend: l.Backend, RS485: l.RS485}
		c := controller.OSDPConfig{
			Name: l.Name, Port: l.Port, Baud: l.Baud, Poll: l.Poll, Keys: keys, Log: log,
			Open: func(context.Context) (osdp.Port, error) {
				p, err := serialline.Open(port)
				if err != nil {
					return nil, err // not p: a nil Port in an osdp.Port is not nil
				}
				return p, nil
			},
		}
		for _, r := range l.Readers {
			c.Readers = append(c.Readers, controller.OSDPReader{
				Name: r.Name, Addr: r.Address, Door: r.Door, Output: r.Output, Reader: r.Reader,
				ContactInput: input(r.Contact), ExitInput: input(r.Exit), ContactInverted: r.ContactInverted,
				Security: security(r.Security),
			})
		}
		drivers = append(drivers, controller.NewOSDP(c))
	}
	for _, s := range cfg.Serial {
		port := serialline.Config{Path: s.Port, Baud: s.Baud, Backend: s.Backend, RS485: s.RS485}
		var ids []string
		c := controller.SerialConfig{
			Name: s.Name, Port: s.Port, Baud: s.Baud, Addr: s.Address, Log: log, Ledger: ledger{db}, Changes: wants.changes,
			Now:  func() time.Time { return wants.now() }, // set once there is an agent, before drivers run
			Open: func(context.Context) (serialline.Port, error) { return serialline.Open(port) },
		}
		for _, d := range s.Doors {
			c.Doors = append(c.Doors, controller.SerialDoor{ID: d.Door, Index: int(d.Index), Reader: d.Reader})
			ids = append(ids, d.Door)
		}
		wants.watch(ids)
		c.Wanted = func() controller.Wanted { return wants.wanted(ids) }
		drivers = append(drivers, controller.NewSerial(c))
	}
	return drivers
}

// security is a reader's setting as the line knows it; what the site file does
// not say is secure.
func security(s string) osdp.Security {
	if s == agent.SecurityAllowClear {
		return osdp.AllowClear
	}
	return osdp.RequireSCBK
}

// input turns an input as the site file counts, from 0 and perhaps absent, into
// one as drivers count, from 1.
func input(n *uint8) int {
	if n == nil {
		return 0
	}
	return int(*n) + 1
}

// ledger is the cache as controllers' drivers want it.
type ledger struct{ *cache.DB }

func (l ledger) Ledger(ctx context.Context, name string) (rows []controller.LedgerRow, err error) {
	held, err := l.DB.Ledger(ctx, name)
	for _, r := range held {
		rows = append(rows, controller.LedgerRow(r))
	}
	return rows, err
}

func (l ledger) SetLedger(ctx context.Context, name string, rows []controller.LedgerRow) error {
	held := make([]cache.LedgerRow, 0, len(rows))
	for _, r := range rows {
		held = append(held, cache.LedgerRow(r))
	}
	return l.DB.SetLedger(ctx, name, held)
}
