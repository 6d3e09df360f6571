package cloudapp

import (
	"reflect"
	"strings"
	"testing"

	"latchkey/access"
	"latchkey/cloud"
)

func TestCondition(t *testing.T) {
	for _, tt := range []struct {
		text string
		want cloud.Condition // empty is refused
	}{
		{"group=Employees", cloud.Condition{Group: "Employees"}},
		{"group=a=b:c", cloud.Condition{Group: "a=b:c"}},
		{"department:eq=Lab", cloud.Condition{Attr: "department", Op: "eq", Value: "Lab"}},
		{"department:ne=", cloud.Condition{Attr: "department", Op: "ne"}},
		{"title:co=a=b", cloud.Condition{Attr: "title", Op: "co", Value: "a=b"}},
		{"title:pr", cloud.Condition{Attr: "title", Op: "pr"}},
		{"urn:x:User:costCenter:sw=4", cloud.Condition{Attr: "urn:x:User:costCenter", Op: "sw", Value: "4"}},
		{"group=", cloud.Condition{}},
		{"group", cloud.Condition{}},
		{"department=Lab", cloud.Condition{}},
		{"department:eq", cloud.Condition{}},
		{"department:is=Lab", cloud.Condition{}},
		{"title:pr=yes", cloud.Condition{}},
		{":eq=Lab", cloud.Condition{}},
		{"", cloud.Condition{}},
	} {
		got, err := condition(tt.text)
		refused := tt.want == cloud.Condition{}
		if got != tt.want || (err != nil) != refused {
			t.Errorf("condition(%q) = %+v, %v; want %+v", tt.text, got, err, tt.want)
		}
		if refused && (err == nil || !strings.Contains(err.Error(), "want group=NAME")) {
			t.Errorf("condition(%q): error %v, want one that says what is wanted", tt.text, err)
		}
	}
}

func TestHours(t *testing.T) {
	for _, tt := range []struct {
		text string
		want []access.Interval // nil is refused
	}{
		{"mon=08:00-18:30", []access.Interval{{Day: 1, From: 480, To: 1110}}},
		{"Fri-Sun=00:00-24:00", []access.Interval{{Day: 5, From: 0, To: 1440}, {Day: 6, From: 0, To: 1440}, {Day: 0, From: 0, To: 1440}}},
		{"sat-sat=9:05-10:00", []access.Interval{{Day: 6, From: 545, To: 600}}},
		{"mon=18:00-08:00", nil},
		{"mon=08:00-08:00", nil},
		{"mon=08:00", nil},
		{"mon=8-18", nil},
		{"mon=08:60-18:00", nil},
		{"mon=08:00-24:01", nil},
		{"monday=08:00-18:00", nil},
		{"mon-=08:00-18:00", nil},
		{"", nil},
	} {
		got, err := hours(tt.text)
		if !reflect.DeepEqual(got, tt.want) || (err != nil) != (tt.want == nil) {
			t.Errorf("hours(%q) = %v, %v; want %v", tt.text, got, err, tt.want)
		}
		if err != nil && !strings.Contains(err.Error(), "--hours: got") {
			t.Errorf("hours(%q): %v", tt.text, err)
		}
	}
}
