package cloud

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"latchkey/access"
)

// checkSlug wants what can stand in an MQTT topic and a URL.
func checkSlug(attr, id string) error {
	if id == "" || len(id) > 32 || strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return invalid(attr, "got %.40q, want 1 to 32 of a-z, 0-9 and -", id)
	}
	return nil
}

// checkName wants what can be an id inside an organisation. What JSON would
// escape is refused, so that an id takes in a message as many bytes as it has.
func checkName(attr, id string) error {
	odd := func(r rune) bool {
		return r <= ' ' || r == 0x7f || r == utf8.RuneError || r == '\u2028' || r == '\u2029' || strings.ContainsRune(`/\"<>&`, r)
	}
	if id == "" || len(id) > 64 || strings.ContainsFunc(id, odd) {
		return invalid(attr, "got %.40q, want 1 to 64 bytes with no blank, control character, slash, quote, <, > or &", id)
	}
	return nil
}

// checkLabel wants what can be shown as a name.
func checkLabel(attr, name string) error {
	if len(name) > maxName || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == utf8.RuneError }) {
		return invalid(attr, "want at most %d bytes with no control character", maxName)
	}
	return nil
}

// maxRecord is how large one record may be as JSON, in bytes: well within a
// message.
const maxRecord = 32 << 10

// checkRecord refuses what a site would refuse, and what no message holds.
func checkRecord(r access.Record) error {
	doc, err := encodeRecord(r)
	if err != nil {
		return err
	}
	if len(doc) > maxRecord {
		return invalid(string(r.Ref().Kind), "has %d bytes, want at most %d", len(doc), maxRecord)
	}
	if _, err := access.ParseRecord(r.Ref().Kind, doc); err != nil {
		return invalid(string(r.Ref().Kind), "%v", err)
	}
	return nil
}

func encodeRecord(v any) ([]byte, error) {
	doc, err := json.Marshal(v)
	if err != nil {
		return nil, invalid("", "%v", err)
	}
	return doc, nil
}
