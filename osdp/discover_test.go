package osdp_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/osdp"
	"latchkey/osdp/osdptest"
)

// discover looks for pds at all addresses.
func discover(t *testing.T, ctx context.Context, pds ...*osdptest.PD) (found []osdp.Found, err error) {
	t.Helper()
	panel, far := net.Pipe()
	serving, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := osdptest.ServeLine(serving, far, pds...); err != nil {
			t.Errorf("ServeLine: %v", err)
		}
	})
	var addrs []uint8
	for a := range uint8(osdp.Broadcast) {
		addrs = append(addrs, a)
	}
	err = osdp.Discover(ctx, panel, 9600, addrs, func(f osdp.Found) { found = append(found, f) })
	stop()
	wg.Wait()
	return found, errors.Join(err, panel.Close(), far.Close())
}

func TestDiscover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := osdp.Key{1, 9, 4}
		id := func(serial uint32) osdp.PDID { return osdp.PDID{Vendor: [3]byte{1, 2, 3}, Serial: serial} }
		pds := []*osdptest.PD{
			osdptest.NewPD(osdptest.Config{Addr: 0, ID: id(100)}),
			osdptest.NewPD(osdptest.Config{Addr: 7, ID: id(107), ChecksumOnly: true}),
			osdptest.NewPD(osdptest.Config{Addr: 9, ID: id(109), SCBK: &key, RequireSecure: true}),
			osdptest.NewPD(osdptest.Config{Addr: 60, ID: id(160)}), // as two at one address, one after the other
			osdptest.NewPD(osdptest.Config{Addr: 61, ID: id(161)}), // two that speak at once
			osdptest.NewPD(osdptest.Config{Addr: 61, ID: id(162)}),
			osdptest.NewPD(osdptest.Config{Addr: 62, ID: id(162)}), // busy, then not
			osdptest.NewPD(osdptest.Config{Addr: 63, ID: id(163)}), // noise on its line
			osdptest.NewPD(osdptest.Config{Addr: 64, ID: id(164)}), // an adapter that hears itself
			osdptest.NewPD(osdptest.Config{Addr: 126, ID: id(226)}),
		}
		pds[3].Lie(osdptest.Repeat, 2)
		pds[6].Lie(osdptest.Busy, 1)
		pds[7].Lie(osdptest.Noise, 2)
		pds[8].Lie(osdptest.Echo, 2)
		began := time.Now()
		found, err := discover(t, t.Context(), pds...)
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 40*time.Second {
			t.Errorf("127 addresses took %v", took)
		}
		want := map[uint8]osdp.Found{
			0: {ID: id(100)}, 7: {ID: id(107)}, 9: {ID: id(109)}, 60: {ID: id(160), Double: true}, 61: {Damaged: true},
			62: {ID: id(162)}, 63: {ID: id(163)}, 64: {ID: id(164)}, 126: {ID: id(226)},
		}
		for i, f := range found {
			w := want[f.Addr]
			if f.ID != w.ID || f.Damaged != w.Damaged || f.Double != w.Double || (f.Caps == nil) != w.Damaged {
				t.Errorf("found %+v, want %+v", f, w)
			}
			if i > 0 && found[i-1].Addr >= f.Addr {
				t.Errorf("address %d after %d", f.Addr, found[i-1].Addr)
			}
			delete(want, f.Addr)
		}
		if len(want) > 0 {
			t.Errorf("not found: %+v", want)
		}
	})
}

func TestDiscoverStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		found, err := discover(t, ctx)
		if !errors.Is(err, context.DeadlineExceeded) || len(found) != 0 || time.Since(began) > 4*time.Second {
			t.Errorf("%v, found %v after %v", err, found, time.Since(began))
		}
		panel, far := net.Pipe()
		far.Close()
		if err := osdp.Discover(t.Context(), panel, 9600, []uint8{1}, nil); err == nil {
			t.Error("a port that is gone makes no error")
		}
	})
}
