package merge

import (
	"fmt"
	"testing"
)

// views of n messages, of the kinds that get large.
var largeViews = map[string]func(n int) View{
	"initial pull": func(n int) View {
		m := MailboxView{Name: "A"}
		for i := range n {
			m.New[Right] = append(m.New[Right], Arrival{ID: ID(fmt.Sprint(i)), Flags: SystemFlags(Seen)})
		}
		return View{Mailboxes: []MailboxView{m}}
	},
	"first contact": func(n int) View {
		m := MailboxView{Name: "A"}
		for _, s := range Sides {
			for i := range n {
				m.New[s] = append(m.New[s], Arrival{ID: ID(fmt.Sprint(i)), Flags: SystemFlags(Seen), Identity: Identity{uint64(i*7919%n + 1), int64(i*7919%n + 100)}})
			}
		}
		return View{Mailboxes: []MailboxView{m}}
	},
	"one content": func(n int) View {
		m := MailboxView{Name: "A"}
		for _, s := range Sides {
			for i := range n {
				m.New[s] = append(m.New[s], Arrival{ID: ID(fmt.Sprint(i)), Flags: SystemFlags(System(i % 64)), Identity: Identity{1, 100}, Content: Content{1}})
			}
		}
		return View{Mailboxes: []MailboxView{m}}
	},
	"flags changed": func(n int) View {
		m := MailboxView{Name: "A"}
		for i := range n {
			p := PairView{Pair: Pair{ID: [2]ID{ID(fmt.Sprint(i)), ID(fmt.Sprint(i))}}}
			p.Now[i%2].Flags = NewFlags(`\Seen`, "work")
			m.Changed = append(m.Changed, p)
		}
		return View{Mailboxes: []MailboxView{m}}
	},
	"new ids": func(n int) View {
		m := MailboxView{Name: "A"}
		for i := range n {
			id := Identity{uint64(i + 1), int64(i + 100)}
			m.Changed = append(m.Changed, PairView{Pair: Pair{ID: [2]ID{ID(fmt.Sprint(i)), ID(fmt.Sprint(i))}, Identity: id}, Now: [2]Look{{Gone: true}, {}}})
			m.New[Left] = append(m.New[Left], Arrival{ID: ID(fmt.Sprint("new", i)), Identity: id})
		}
		return View{Mailboxes: []MailboxView{m}}
	},
	"all moved": func(n int) View {
		v := View{Mailboxes: []MailboxView{{Name: "A"}, {Name: "B"}}}
		for i := range n {
			id := Identity{uint64(i + 1), int64(i + 100)}
			v.Mailboxes[0].Changed = append(v.Mailboxes[0].Changed, PairView{Pair: Pair{ID: [2]ID{ID(fmt.Sprint(i)), ID(fmt.Sprint(i))}, Identity: id}, Now: [2]Look{{Gone: true}, {}}})
			v.Mailboxes[1].New[Left] = append(v.Mailboxes[1].New[Left], Arrival{ID: ID(fmt.Sprint("new", i)), Identity: id})
		}
		return v
	},
	"moved to many mailboxes": func(n int) View {
		v := View{Mailboxes: []MailboxView{{Name: "A"}}}
		for i := range n {
			id := Identity{1, 100}
			v.Mailboxes[0].Changed = append(v.Mailboxes[0].Changed, PairView{Pair: Pair{ID: [2]ID{ID(fmt.Sprint(i)), ID(fmt.Sprint(i))}, Identity: id, Content: Content{1}}, Now: [2]Look{{Gone: true}, {}}})
			if i%100 == 0 {
				v.Mailboxes = append(v.Mailboxes, MailboxView{Name: fmt.Sprint("B", i)})
			}
			m := &v.Mailboxes[len(v.Mailboxes)-1]
			m.New[Left] = append(m.New[Left], Arrival{ID: ID(fmt.Sprint("new", i)), Identity: id, Content: Content{1}})
		}
		return v
	},
}

// TestLargeViews checks the results of the large views, and that two sizes differ in work as they do in size: in what is planned, not in time.
func TestLargeViews(t *testing.T) {
	const n = 2000
	for name, want := range map[string]string{
		"initial pull": "copy 2000", "first contact": "put 2000", "one content": "put 2000", "flags changed": "flags 2000",
		"new ids": "put 2000", "all moved": "move 2000", "moved to many mailboxes": "move 2000",
	} {
		p, q := Build(largeViews[name](n), DefaultRules())
		if len(q) > 0 {
			t.Errorf("%s: %d questions", name, len(q))
		}
		count := map[string]int{}
		for _, m := range p.Mailboxes {
			count["put"] += len(m.Commit.Put)
			for _, s := range Sides {
				for _, a := range m.Actions[s] {
					count[a.Kind.String()]++
				}
			}
		}
		got := ""
		for _, k := range []string{"put", "copy", "move", "flags", "delete"} {
			if count[k] > 0 {
				got += fmt.Sprintf("%s %d", k, count[k])
			}
		}
		if got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func BenchmarkBuild(b *testing.B) {
	for name, view := range largeViews {
		for _, n := range []int{10_000, 100_000} {
			v := view(n)
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, q := Build(v, DefaultRules()); len(q) > 0 {
						b.Fatal("questions")
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/message")
			})
		}
	}
}
