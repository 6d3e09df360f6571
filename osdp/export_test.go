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
	mac := (headerLen + 2 + 1 + sealedData(n) + block - 1) / block
	return data + 2*mac, data
}
