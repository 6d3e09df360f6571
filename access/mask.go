package access

import (
	"cmp"
	"strconv"
)

// MaskCard names a credential for people without giving its number away: its
// format, or else its technology, and the last digits of its number, such as
// "H10302 …0731". It shows at most four digits and at most half of them, and
// none of a PIN or of a key that has no number yet.
func MaskCard(c Credential) string {
	name := cmp.Or(c.Format, c.Technology, TechCard)
	if c.Technology == TechPIN {
		return "PIN"
	}
	if c.Number == 0 {
		return name + " …"
	}
	digits := strconv.FormatUint(c.Number, 10)
	return name + " …" + digits[len(digits)-min(4, len(digits)/2):]
}
