package osdptest_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"latchkey/osdp"
	"latchkey/osdp/osdptest"
	"latchkey/wiegand"
)

// A reader that speaks to nobody without its key, the panel's line to it, and a
// card.
func Example() {
	key, err := osdp.ParseKey("9c2104e73b58d0661faa820dc47935ee")
	if err != nil {
		panic(err)
	}
	card, err := wiegand.MakeBits(26, []byte{0xab, 0xcd, 0xef, 0x80})
	if err != nil {
		panic(err)
	}
	pd := osdptest.NewPD(osdptest.Config{Addr: 5, SCBK: &key, RequireSecure: true})

	panel, reader := net.Pipe()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	go pd.Serve(ctx, reader)

	bus := osdp.NewBus([]osdp.PDConfig{{Addr: 5, Keys: osdp.Keys{Current: &key}}})
	open := func(context.Context) (osdp.Port, error) { return panel, nil }
	err = osdp.NewLine(bus, open, nil).Run(ctx, func(e osdp.Event) {
		switch e.Kind {
		case osdp.ReaderStatus: // the last thing that a panel asks a reader that came
			pd.Present(0, card)
		case osdp.Card:
			fmt.Println(e.Bits, "bits, in a session:", pd.Secure())
			cancel()
		}
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	// Output: 26 bits, in a session: true
}
