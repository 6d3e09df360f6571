package delta

import "testing"

func TestMassLimit(t *testing.T) {
	for held, want := range map[int]int{0: 20, 200: 20, 209: 20, 210: 21, 10_000: 1000} {
		if got := MassLimit(held); got != want {
			t.Errorf("of %d openings %d may go, want %d", held, got, want)
		}
	}
}

func TestUncovered(t *testing.T) {
	word := &Approval{By: "ann", Removes: 30}
	for _, tt := range []struct {
		a          *Approval
		lost, want int
	}{{nil, 31, 31}, {word, 31, 1}, {word, 30, 0}, {word, 0, 0}} {
		if got := tt.a.Uncovered(tt.lost); got != tt.want {
			t.Errorf("%+v leaves %d of %d uncovered, want %d", tt.a, got, tt.lost, tt.want)
		}
	}
}
