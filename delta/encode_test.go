package delta

import (
	"encoding/json"
	"strings"
	"testing"

	"latchkey/access"
)

// What Encode lets through, Decode takes: a message that is stored in a log and
// that no site can read would stop that site's stream.
func TestEncodeRefusesWhatDecodeRefuses(t *testing.T) {
	nested := func(depth int) json.RawMessage {
		return json.RawMessage(`{"a":` + strings.Repeat("[", depth-1) + strings.Repeat("]", depth-1) + `}`)
	}
	ref := access.Ref{Kind: access.KindSetting, Key: "a"}
	put := func(record json.RawMessage) Message {
		return &Delta{Header: Header{Site: "north"}, Epoch: 1, Seq: 1, Changes: []Change{{Op: OpPut, Ref: ref, Record: record}}}
	}
	command := func(args string) Message {
		return &Command{Header: Header{Site: "north"}, ID: "c", Re: "r", TTL: 1, Name: "n", Args: json.RawMessage(args)}
	}
	taken := 0
	for name, m := range map[string]Message{
		"nested 28":       put(nested(28)),
		"nested 29":       put(nested(29)),
		"nested 30":       put(nested(30)),
		"nested 32":       put(nested(32)),
		"nested 33":       put(nested(33)),
		"args twice":      command(`{"a":1,"A":2}`),
		"args not UTF-8":  command("\"\xff\""),
		"args deep":       command(string(nested(32))),
		"args surrogate":  command(`"\ud800"`),
		"args big number": command(`1e400`),
		"args -0":         command(`-0`),
	} {
		payload, err := Encode(m)
		if err != nil {
			continue
		}
		taken++
		if _, err := Decode(payload); err != nil {
			t.Errorf("%s: Encode takes it, Decode says %v", name, err)
		}
	}
	if taken < 4 {
		t.Errorf("only %d were taken", taken)
	}
}
