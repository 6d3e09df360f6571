package osdp

// CRC lets the benchmark measure its floor.
func CRC(b []byte) uint16 { return crc(b) }

// Follow makes s go on from mac, as if it had sent a reply with that MAC: what
// a PD that deviates did.
func (s *Session) Follow(mac [16]byte) { s.reply = mac }

// Blocks is how many AES blocks a frame with n bytes of data takes at both
// ends, so that the benchmark can measure its floor.
func Blocks(n int) (encrypt, decrypt int) {
	data := sealedData(n) / block
	mac := (headLen + sealedData(n) + block - 1) / block
	return data + 2*mac, data
}

// SealClear is Seal as a PD does it that does not encrypt: the data in SCS_16.
func (s *Session) SealClear(f Frame) []byte { return s.sealRaw(f, SCS16) }

// SealPadding is Seal as a PD does it that encrypts nothing but the padding.
func (s *Session) SealPadding(f Frame) []byte {
	f.Data = s.encrypt(nil, nil, &s.command)
	return s.sealRaw(f, SCS18)
}

func (s *Session) sealRaw(f Frame, scb uint8) []byte {
	f.SCBType, f.Reply = scb, true
	b, err := f.AppendBinary(nil)
	if err != nil {
		panic(err)
	}
	s.mac(&s.reply, b[:len(b)-2-macLen], &s.command)
	copy(f.MAC[:], s.reply[:])
	b, _ = f.AppendBinary(nil)
	return b
}
