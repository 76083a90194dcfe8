package merge

// View is what a cycle observed, reduced to what differs from the state. Mailboxes without any
// difference need not be in it.
type View struct {
	Mailboxes []MailboxView
	// Blind says of which side some mailbox could not be looked at. What is gone there, or does not seem to have arrived, may be in that mailbox: unless something
	// else explains it, nothing follows from it.
	Blind [2]bool
}

// MailboxView is the view of one mailbox, seen on both sides.
type MailboxView struct {
	Name    string       // the mailbox, by its left name
	Changed []PairView   // pairs of which at least one side differs from its base
	New     [2][]Arrival // messages that neither a pair nor a half-pair knows
	Halves  []HalfView   // half-pairs that changed, or that an arrival may complete, or that are due
}

// PairView is a pair with what each side shows now.
type PairView struct {
	Pair
	Now [2]Look
}

// Look is what is seen now of one side of a pair.
type Look struct {
	Gone  bool
	Late  bool  // see Arrival.Late
	Flags Flags // meaningful unless Gone
}

// HalfView is a half-pair with what its side shows now.
type HalfView struct {
	Half
	Now Look
	Due bool // its Retry time has come; the caller has the clock
	// Late says that an arrival that may complete it vanished while it was asked about: it may be there again under another id. Then nothing follows from its being due.
	Late bool
}

// Arrival is a message that the state does not know.
type Arrival struct {
	ID       ID
	Flags    Flags
	Identity Identity // zero until asked for
	Content  Content  // zero until asked for
	// Late says that this was first seen after other mailboxes were looked at for the last time: the other end of a move may be there by now. What is
	// late may match, but when nothing matches it, nothing follows from it: neither is an arrival copied, nor a message that is gone deleted.
	Late bool
}
