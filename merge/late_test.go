package merge

import "testing"

// lateView has a message that the right moved from INBOX to Archive while the left flagged it. What is late was seen in the second look only.
func lateView(goneSeen, goneLate, arrivalSeen, arrivalLate bool) View {
	id := Identity{Header: 2, Size: 10}
	p := Pair{ID: [2]ID{"l1", "r1"}, Identity: id}
	v := View{Mailboxes: []MailboxView{{Name: "Archive"}, {Name: "INBOX", Changed: []PairView{{
		Pair: p, Now: [2]Look{{Flags: NewFlags(`\Flagged`)}, {Gone: goneSeen, Late: goneLate}},
	}}}}}
	if arrivalSeen {
		v.Mailboxes[0].New[Right] = []Arrival{{ID: "r2", Identity: id, Late: arrivalLate}}
	}
	return v
}

// TestLate decides nothing about one end of a move that was seen late, and decides as ever about both ends.
func TestLate(t *testing.T) {
	for name, c := range map[string]struct {
		view  View
		kinds string // what is done on the left and on the right
		late  int
	}{
		"gone, not late":           {lateView(true, false, false, false), "delete/", 0},
		"gone late":                {lateView(true, true, false, false), "/", 1},
		"arrived, not late":        {lateView(false, false, true, false), "copy/flags", 0},
		"arrived late":             {lateView(false, false, true, true), "/flags", 1},
		"both, the arrival late":   {lateView(true, false, true, true), "move/", 0},
		"both, the departure late": {lateView(true, true, true, false), "move/", 0},
		"both late":                {lateView(true, true, true, true), "move/", 0},
	} {
		plan, q := Build(c.view, DefaultRules())
		if len(q) > 0 {
			t.Fatalf("%s: questions %v", name, q)
		}
		got, late := "", 0
		for s, sep := range []string{"/", ""} {
			for _, m := range plan.Mailboxes {
				for _, a := range m.Actions[s] {
					got += a.Kind.String()
				}
				if s == 0 {
					late += m.Late
				}
			}
			got += sep
		}
		if got != c.kinds || late != c.late {
			t.Errorf("%s: %q and %d late, want %q and %d", name, got, late, c.kinds, c.late)
		}
	}
}

// TestLateOnBothSides leaves a pair alone that is gone on both sides as long as one of them may have moved it.
func TestLateOnBothSides(t *testing.T) {
	v := lateView(true, true, false, false)
	v.Mailboxes[1].Changed[0].Now[Left] = Look{Gone: true}
	plan, _ := Build(v, DefaultRules())
	if m := plan.Mailboxes[1]; !m.Empty() || m.Late != 1 {
		t.Errorf("late: %+v", m)
	}
	v.Mailboxes[1].Changed[0].Now[Right].Late = false
	plan, _ = Build(v, DefaultRules())
	if m := plan.Mailboxes[1]; len(m.Commit.Drop) != 1 || m.Late != 0 {
		t.Errorf("not late: %+v", m)
	}
}

// TestLateHalf neither repeats nor forgets an append in doubt that is due when what vanished may have been its copy.
func TestLateHalf(t *testing.T) {
	for _, gone := range []bool{false, true} {
		for _, late := range []bool{false, true} {
			h := HalfView{Half: Half{Side: Left, ID: "l1", Reason: InDoubt, Mark: "m", Since: 1}, Now: Look{Gone: gone}, Due: true, Late: late}
			plan, _ := Build(View{Mailboxes: []MailboxView{{Name: "INBOX", Halves: []HalfView{h}}}}, DefaultRules())
			m := plan.Mailboxes[0]
			if m.Empty() != late || (m.Late == 1) != late {
				t.Errorf("gone %v, late %v: empty is %v, %d to look at again", gone, late, m.Empty(), m.Late)
			}
		}
	}
}
