package osdp

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// TestMAC holds mac against CBC as the standard writes it, for messages of all
// lengths, each on the MAC of the one before.
func TestMAC(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	s := derive(Key{1, 2, 3}, [8]byte{4, 5, 6}).start([block]byte{7}, true)
	want := s.reply
	for i := range 5000 {
		msg := make([]byte, 1+rnd.IntN(70))
		if i%2 == 0 {
			msg = msg[:min(headLen, len(msg))]
		}
		for k := range msg {
			msg[k] = byte(rnd.Uint32())
		}
		if len(msg) == headLen && i%3 > 0 { // as polls do, few are all that come
			binary.LittleEndian.PutUint64(msg, uint64(rnd.IntN(4))<<32|uint64(rnd.IntN(2))<<15|SOM)
		}
		padded := append([]byte(nil), msg...)
		if len(padded)%block != 0 {
			padded = append(padded, 0x80)
		}
		for len(padded)%block != 0 {
			padded = append(padded, 0)
		}
		for at := 0; at < len(padded); at += block {
			for k := range want {
				want[k] ^= padded[at+k]
			}
			if at+block < len(padded) {
				s.mac1.Encrypt(want[:], want[:])
			} else {
				s.mac2.Encrypt(want[:], want[:])
			}
		}
		got := &s.sum // as Open
		if i%5 == 0 {
			got = &s.reply // as Seal would, in place
		}
		s.mac(got, msg, &s.reply)
		if s.reply = *got; s.reply != want {
			t.Fatalf("message %d, % x: MAC % x, want % x", i, msg, s.reply, want)
		}
	}
}
