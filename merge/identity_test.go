package merge

import "testing"

func TestContentSame(t *testing.T) {
	a, b := Content{1}, Content{2}
	for _, c := range []struct {
		x, y Content
		want bool
	}{
		{a, a, true}, {a, b, false}, {a, Content{}, false}, {Content{}, Content{}, false}, {Unreadable, Unreadable, false}, {a, Unreadable, false},
	} {
		if c.x.Same(c.y) != c.want || c.y.Same(c.x) != c.want {
			t.Errorf("%x and %x: want %v", c.x, c.y, c.want)
		}
	}
	if (Content{}).Known() || !Unreadable.Known() || (Identity{Size: 1}).Known() || !(Identity{Header: 1}).Known() {
		t.Error("what is known is mixed up")
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Left.String(), "left"}, {Right.String(), "right"}, {Side(7).String(), "side(7)"}, {Left.Other().String(), "right"},
		{InDoubt.String(), "in doubt"}, {Quarantined.String(), "quarantined"}, {Held.String(), "held"}, {Policy.String(), "kept by policy"},
		{Window.String(), "outside the window"}, {Reason(99).String(), "unknown reason"},
		{Copy.String(), "copy"}, {Move.String(), "move"}, {SetFlags.String(), "flags"}, {Delete.String(), "delete"}, {Kind(99).String(), "unknown action"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}
