package osdp

// digits writes keys as people name them. What is no key of a keypad is left out.
func digits(keys []byte) string {
	out := make([]byte, 0, len(keys))
	for _, k := range keys {
		switch {
		case k == KeyStar || k == '*':
			out = append(out, '*')
		case k == KeyPound || k == '#':
			out = append(out, '#')
		case k >= '0' && k <= '9' || k >= 'A' && k <= 'D':
			out = append(out, k)
		}
	}
	return string(out)
}
