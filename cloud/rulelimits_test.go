package cloud_test

import (
	"errors"
	"strings"
	"testing"

	"latchkey/cloud"
)

// TestConditionsAreShort: what a condition says is compared with everybody, in
// the one transaction that writes. A megabyte of it would hold up all
// organisations.
func TestConditionsAreShort(t *testing.T) {
	w := newWorld(t)
	long := strings.Repeat("x", 1025)
	for what, c := range map[string]cloud.Condition{
		"value": {Attr: "title", Op: cloud.OpContains, Value: long}, "attribute": {Attr: long, Op: cloud.OpPresent}, "group": {Group: long}, "group id": {GroupID: long},
	} {
		_, err := w.svc.CreateRule(w.ctx, admin, "acme", "north", cloud.Rule{Enabled: true, Conditions: []cloud.Condition{c}})
		if invalid, ok := errors.AsType[*cloud.Invalid](err); !ok || invalid.Attr != "conditions" {
			t.Errorf("%s: %v, want *Invalid about the conditions", what, err)
		}
	}
	_, err := w.svc.CreateRule(w.ctx, admin, "acme", "north", cloud.Rule{Enabled: true, Conditions: []cloud.Condition{{Attr: "title", Op: cloud.OpContains, Value: long[1:]}}})
	w.ok(err)
}
