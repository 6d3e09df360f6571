package cloud

// A CardFormat is a format in which card numbers can be written.
type CardFormat struct {
	Name        string  `json:"name"` // such as "H10302"
	Bits        int     `json:"bits"`
	Description string  `json:"description"`
	Facility    *uint64 `json:"facility,omitempty"` // the highest facility code; nil where the format has none
}

// CardFormats lists what a badge type or a pool can have as its format: those
// of package wiegand that have a card number.
func (s *Service) CardFormats() []CardFormat {
	var all []CardFormat
	for _, f := range s.formats.Formats() {
		if cardField(f) == "" {
			continue
		}
		one := CardFormat{Name: f.Name, Bits: f.Bits, Description: f.Description}
		if facility, ok := f.Fields["facility"]; ok {
			one.Facility = &facility.Max
		}
		all = append(all, one)
	}
	return all
}
