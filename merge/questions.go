package merge

// relevance counts what could match what, so that nothing is asked about messages that nothing can match. Mailboxes are
// numbered by the caller.
type relevance struct {
	arrivals, halves [][2]int // per mailbox and side
	allArrivals      [2]int
	goneOn           [2]int // pairs gone on that side
	lostHalves       [2]int // half-pairs gone on their side
	wandering        [2]int // half-pairs on that side whose other half may be in any mailbox
}

func newRelevance(mailboxes int) *relevance {
	return &relevance{arrivals: make([][2]int, mailboxes), halves: make([][2]int, mailboxes)}
}

func (r *relevance) addArrival(a *arrival, mb int) {
	r.arrivals[mb][a.side]++
	r.allArrivals[a.side]++
}

func (r *relevance) addPair(p *pair) {
	for _, s := range Sides {
		if p.Now[s].Gone {
			r.goneOn[s]++
		}
	}
}

func (r *relevance) addHalf(h *half, mb int) {
	r.halves[mb][h.Side]++
	if h.Now.Gone {
		r.lostHalves[h.Side]++
	}
	if h.wanders() {
		r.wandering[h.Side]++
	}
}

func (r *relevance) ofArrival(a *arrival, mb int) bool {
	o := a.side.Other()
	return r.arrivals[mb][o] > 0 || r.halves[mb][o] > 0 || r.goneOn[a.side] > 0 || r.lostHalves[a.side] > 0 || r.wandering[o] > 0
}

func (r *relevance) ofPair(p *pair) bool {
	return p.Now[0].Gone && r.allArrivals[0] > 0 || p.Now[1].Gone && r.allArrivals[1] > 0
}

func (r *relevance) ofHalf(h *half, mb int) bool {
	o := h.Side.Other()
	return r.arrivals[mb][o] > 0 || h.Now.Gone && r.allArrivals[h.Side] > 0 || h.wanders() && r.allArrivals[o] > 0
}

// survivor returns the side of the pair that can still be asked, if any.
func (p *pair) survivor() (Side, bool) {
	for _, s := range Sides {
		if !p.Now[s].Gone {
			return s, true
		}
	}
	return 0, false
}

// markRelevant finds the messages that may match another. Those that could not be read, and those that are gone before their identity was
// read, match nothing.
func (b *builder) markRelevant() {
	rel := newRelevance(len(b.names))
	usablePair := func(p *pair) bool {
		_, alive := p.survivor()
		return (p.Now[0].Gone || p.Now[1].Gone) && p.Content != Unreadable && (alive || p.Identity.Known())
	}
	usableHalf := func(h *half) bool {
		return !h.done && h.movedTo == none && h.Content != Unreadable && (!h.Now.Gone || h.Identity.Known())
	}
	for i := range b.arrivals {
		if a := &b.arrivals[i]; !a.used && a.Content != Unreadable {
			rel.addArrival(a, a.mb)
		}
	}
	for i := range b.pairs {
		if p := &b.pairs[i]; usablePair(p) {
			rel.addPair(p)
		}
	}
	for i := range b.halves {
		if h := &b.halves[i]; usableHalf(h) {
			rel.addHalf(h, h.mb)
		}
	}
	for i := range b.arrivals {
		a := &b.arrivals[i]
		a.relevant = !a.used && a.Content != Unreadable && rel.ofArrival(a, a.mb)
	}
	for i := range b.pairs {
		p := &b.pairs[i]
		p.relevant = usablePair(p) && rel.ofPair(p)
	}
	for i := range b.halves {
		h := &b.halves[i]
		h.relevant = usableHalf(h) && rel.ofHalf(h, h.mb)
	}
}

// askIdentities returns the questions for all identities that are not known yet.
func (b *builder) askIdentities() []Question {
	var q []Question
	for i := range b.arrivals {
		if a := &b.arrivals[i]; a.relevant && !a.Identity.Known() {
			q = append(q, b.askArrival(a, WantIdentity))
		}
	}
	for i := range b.pairs {
		if p := &b.pairs[i]; p.relevant && !p.Identity.Known() {
			if s, ok := p.survivor(); ok {
				q = append(q, b.askPair(p, s, WantIdentity))
			}
		}
	}
	for i := range b.halves {
		if h := &b.halves[i]; h.relevant && !h.Identity.Known() {
			q = append(q, b.askHalf(h, WantIdentity))
		}
	}
	return q
}

func (b *builder) askArrival(a *arrival, w Want) Question {
	return Question{Mailbox: b.names[a.mb], Side: a.side, ID: a.ID, Want: w}
}

func (b *builder) askPair(p *pair, s Side, w Want) Question {
	return Question{Mailbox: b.names[p.mb], Side: s, ID: p.ID[s], Want: w}
}

func (b *builder) askHalf(h *half, w Want) Question {
	return Question{Mailbox: b.names[h.mb], Side: h.Side, ID: h.ID, Want: w}
}
