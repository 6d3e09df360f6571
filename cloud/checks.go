package cloud

import (
	"encoding/json"
	"strings"

	"latchkey/access"
)

// checkSlug wants what can stand in an MQTT topic and a URL.
func checkSlug(attr, id string) error {
	if id == "" || len(id) > 32 || strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return invalid(attr, "got %.40q, want 1 to 32 of a-z, 0-9 and -", id)
	}
	return nil
}

// checkName wants what can be an id inside an organisation.
func checkName(attr, id string) error {
	if id == "" || len(id) > 64 || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r == '/' || r == 0x7f || r == 0xfffd }) {
		return invalid(attr, "got %.40q, want 1 to 64 bytes with no blank, slash or control character", id)
	}
	return nil
}

// checkLabel wants what can be shown as a name.
func checkLabel(attr, name string) error {
	if len(name) > maxName || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd }) {
		return invalid(attr, "want at most %d bytes with no control character", maxName)
	}
	return nil
}

// checkRecord refuses what a site would refuse.
func checkRecord(r access.Record) error {
	doc, err := encodeRecord(r)
	if err != nil {
		return err
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
