package osdptest_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"testing"

	"latchkey/osdp"
)

// A chain is the secure channel once more, written after annex D alone, so that
// nothing here is checked against itself. It does both ends, and says what a
// recording says, however odd.
type chain struct {
	enc, mac1, mac2 cipher.Block
	command, reply  [16]byte // full MAC of the last of either
}

// newChain is the channel after a handshake.
func newChain(t *testing.T, key osdp.Key, rndA, rndB []byte) *chain {
	t.Helper()
	block := func(k []byte) cipher.Block {
		b, err := aes.NewCipher(k)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	derive := func(tag byte) cipher.Block {
		k := make([]byte, 16)
		copy(k, []byte{1, tag})
		copy(k[2:], rndA[:6])
		block(key[:]).Encrypt(k, k)
		return block(k)
	}
	c := &chain{enc: derive(0x82), mac1: derive(1), mac2: derive(2)}
	copy(c.reply[:], rndB)
	copy(c.reply[8:], rndA)
	for _, b := range []cipher.Block{c.enc, c.mac1, c.mac2} {
		b.Encrypt(c.reply[:], c.reply[:])
	}
	c.command = c.reply
	return c
}

// mac is the full MAC of msg after the MAC last.
func (c *chain) mac(msg []byte, last [16]byte) (m [16]byte) {
	if len(msg)%16 != 0 {
		msg = append(bytes.Clone(msg), 0x80)
		msg = append(msg, make([]byte, (16-len(msg)%16)%16)...)
	}
	iv := last[:]
	if n := len(msg) - 16; n > 0 {
		head := make([]byte, n)
		cipher.NewCBCEncrypter(c.mac1, iv).CryptBlocks(head, msg[:n])
		iv = head[n-16:]
	}
	cipher.NewCBCEncrypter(c.mac2, iv).CryptBlocks(m[:], msg[len(msg)-16:])
	return m
}

// ends are the last MAC of whoever sent f, and that of the other end.
func (c *chain) ends(reply bool) (own, other *[16]byte) {
	if reply {
		return &c.reply, &c.command
	}
	return &c.command, &c.reply
}

// iv is what data is encrypted with that follows last.
func iv(last [16]byte) []byte {
	b := make([]byte, 16)
	for i := range b {
		b[i] = ^last[i]
	}
	return b
}

// open gives the data of a frame, whose bytes are wire, and whether its MAC is
// right. The chain moves on only then.
func (c *chain) open(f osdp.Frame, wire []byte) (data []byte, ok bool) {
	own, other := c.ends(f.Reply)
	m := c.mac(wire[:len(wire)-2-4], *other)
	if !bytes.Equal(m[:4], f.MAC[:]) {
		return nil, false
	}
	*own = m
	data = bytes.Clone(f.Data)
	if f.SCBType == osdp.SCS17 || f.SCBType == osdp.SCS18 {
		cipher.NewCBCDecrypter(c.enc, iv(*other)).CryptBlocks(data, data)
		data = bytes.TrimRight(data, "\x00")
		data = data[:len(data)-1]
	}
	return data, true
}

// seal is f with data as the next frame, in the block that f names.
func (c *chain) seal(t *testing.T, f osdp.Frame, data []byte) []byte {
	t.Helper()
	own, other := c.ends(f.Reply)
	f.Data = bytes.Clone(data)
	if f.SCBType == osdp.SCS17 || f.SCBType == osdp.SCS18 {
		f.Data = append(f.Data, 0x80)
		f.Data = append(f.Data, make([]byte, (16-len(f.Data)%16)%16)...)
		cipher.NewCBCEncrypter(c.enc, iv(*other)).CryptBlocks(f.Data, f.Data)
	}
	f.MAC = [4]byte{}
	b := encode(t, f)[1:]
	*own = c.mac(b[:len(b)-2-4], *other)
	f.MAC = [4]byte(own[:])
	return encode(t, f)
}
