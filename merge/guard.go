package merge

// Guard says when deletions are too many to be meant. The limits are taken literally, so the zero Guard holds every
// deletion; a negative limit is no limit.
type Guard struct {
	Percent float64 // of the messages that were there, together with AtLeast
	AtLeast int     // up to this number, Percent does not matter
	AtMost  int     // above this number they are always too many
}

// Holds reports whether so many deletions out of so many messages must wait for a person: more than Percent of
// the messages and more than AtLeast, or more than AtMost. Messages counts what was there before the deletions; when it is
// told to be less than the deletions, all messages are taken to go.
func (g Guard) Holds(deletions, messages int) bool {
	if deletions <= 0 {
		return false
	}
	if g.AtMost >= 0 && deletions > g.AtMost {
		return true
	}
	if g.Percent < 0 || deletions <= g.AtLeast {
		return false
	}
	messages = max(messages, deletions)
	return float64(deletions)*100 > g.Percent*float64(messages)
}
