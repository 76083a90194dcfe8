package merge

import (
	"cmp"
	"iter"
	"slices"
)

type itemKind uint8

const (
	isArrival itemKind = iota
	isPair
	isHalf
)

// item is a message that may match another, in a form that sorts fast.
type item struct {
	header uint64
	size   int64
	mb     int
	kind   itemKind
	index  int
}

func compareItems(a, b item) int {
	return cmp.Or(cmp.Compare(a.header, b.header), cmp.Compare(a.mb, b.mb), cmp.Compare(a.kind, b.kind), cmp.Compare(a.index, b.index))
}

// items returns all relevant messages, by header hash, mailbox and kind.
func (b *builder) items() []item {
	var out []item
	for i := range b.arrivals {
		if a := &b.arrivals[i]; a.relevant {
			out = append(out, item{a.Identity.Header, a.Identity.Size, a.mb, isArrival, i})
		}
	}
	for i := range b.pairs {
		if p := &b.pairs[i]; p.relevant {
			out = append(out, item{p.Identity.Header, p.Identity.Size, p.mb, isPair, i})
		}
	}
	for i := range b.halves {
		if h := &b.halves[i]; h.relevant {
			out = append(out, item{h.Identity.Header, h.Identity.Size, h.mb, isHalf, i})
		}
	}
	slices.SortFunc(out, compareItems)
	return out
}

func (b *builder) contentOf(it item) Content {
	switch it.kind {
	case isArrival:
		return b.arrivals[it.index].Content
	case isPair:
		return b.pairs[it.index].Content
	}
	return b.halves[it.index].Content
}

func (b *builder) setClass(it item, class int) {
	switch it.kind {
	case isArrival:
		b.arrivals[it.index].class = class
	case isPair:
		b.pairs[it.index].class = class
	default:
		b.halves[it.index].class = class
	}
}

// draft reports whether the message is one that people edit: mail programs replace a draft by another one with
// the same header, and it may be of the same size.
func (b *builder) draft(it item) bool {
	switch it.kind {
	case isArrival:
		return b.arrivals[it.index].Flags.sys&Draft != 0
	case isPair:
		p := &b.pairs[it.index]
		return (p.Base[0].sys|p.Base[1].sys|p.Now[0].Flags.sys|p.Now[1].Flags.sys)&Draft != 0
	}
	h := &b.halves[it.index]
	return (h.Base.sys|h.Now.Flags.sys)&Draft != 0
}

// classify proves which messages have the same content, and gives them the same class. Where that takes contents that are not known, it
// returns the questions.
func (b *builder) classify() []Question {
	items := b.items()
	var open []item // no proof by identity
	var q []Question
	for start := 0; start < len(items); {
		end := start + 1
		for end < len(items) && items[end].header == items[start].header {
			end++
		}
		rest, ask := b.classifyHeader(items[start:end])
		open = append(open, rest...)
		q = append(q, ask...)
		start = end
	}
	q = append(q, b.shareSize(open)...)
	q = b.uniqueQuestions(q)
	if len(q) > 0 {
		return q
	}
	byContent := map[Content]int{}
	for _, it := range open {
		c := b.contentOf(it)
		if !c.Known() || c == Unreadable {
			continue
		}
		class, ok := byContent[c]
		if !ok {
			class = b.newClass()
			byContent[c] = class
		}
		b.setClass(it, class)
	}
	return nil
}

func (b *builder) newClass() int {
	b.classes++
	return b.classes - 1
}

// classifyHeader looks at the messages with one header hash. Those that identity proves to be equal get their class; the others are
// returned, with the questions for the contents that are needed.
//
// Identity proves within one mailbox, where everything that could match is there and finds its match; otherwise among
// all messages with this header that remain, because a message may have been moved.
func (b *builder) classifyHeader(items []item) (open []item, q []Question) {
	known := 0
	for local := range mailboxRuns(items) {
		k := 0
		for _, it := range local {
			if it.kind != isArrival {
				k++
			}
		}
		if k > 0 && b.unique(local) && b.closed(local) {
			b.giveClass(local)
			continue
		}
		open, known = append(open, local...), known+k
	}
	if len(open) < 2 {
		return open, nil
	}
	if known > 0 {
		if b.unique(open) {
			b.giveClass(open)
			return nil, nil
		}
		return open, b.askGroup(open)
	}
	items, open = open, nil
	for local := range mailboxRuns(items) {
		if b.unique(local) && b.closed(local) {
			b.giveClass(local)
			continue
		}
		open = append(open, local...)
	}
	return open, b.askGroup(open)
}

// mailboxRuns yields the parts of sorted items that are in one mailbox.
func mailboxRuns(items []item) iter.Seq[[]item] {
	return func(yield func([]item) bool) {
		for start := 0; start < len(items); {
			end := start + 1
			for end < len(items) && items[end].mb == items[start].mb {
				end++
			}
			if !yield(items[start:end:end]) {
				return
			}
			start = end
		}
	}
}

// askGroup asks for the contents of those messages of a group with one header that another one of the group may match.
func (b *builder) askGroup(group []item) []Question {
	if len(group) < 2 {
		return nil
	}
	rel := &relevance{}
	n := 0 // mailboxes are counted within the group, so that the effort is of its size
	for local := range mailboxRuns(group) {
		rel.arrivals, rel.halves = append(rel.arrivals, [2]int{}), append(rel.halves, [2]int{})
		for _, it := range local {
			if b.contentOf(it) == Unreadable {
				continue
			}
			switch it.kind {
			case isArrival:
				rel.addArrival(&b.arrivals[it.index], n)
			case isPair:
				rel.addPair(&b.pairs[it.index])
			default:
				rel.addHalf(&b.halves[it.index], n)
			}
		}
		n++
	}
	var q []Question
	n = 0
	for local := range mailboxRuns(group) {
		for _, it := range local {
			var may bool
			switch it.kind {
			case isArrival:
				may = rel.ofArrival(&b.arrivals[it.index], n)
			case isPair:
				may = rel.ofPair(&b.pairs[it.index])
			default:
				may = rel.ofHalf(&b.halves[it.index], n)
			}
			if may {
				q = b.askContent(q, it)
			}
		}
		n++
	}
	return q
}

func (b *builder) giveClass(items []item) {
	class := b.newClass()
	for _, it := range items {
		b.setClass(it, class)
	}
}

// orphaned reports whether the message is gone on both sides: what looks like it now may be deleted for its sake, which takes equal content.
func (b *builder) orphaned(it item) bool {
	return it.kind == isPair && b.pairs[it.index].Now[0].Gone && b.pairs[it.index].Now[1].Gone
}

// together reports whether these are one pair and an arrival on each side of one mailbox: both sides moved it there, and nothing is deleted.
func (b *builder) together(items []item) bool {
	var in [2]int
	n := 0
	for _, it := range items {
		if it.kind == isArrival {
			in[b.arrivals[it.index].side] = it.mb + 1
			n++
		}
	}
	return n == 2 && len(items) == 3 && in[0] == in[1]
}

// unique reports whether identity is proof for these messages with one header: at most one of them is there on each side, at most one
// is known to the state, all are of one size, none is a draft, and no known content says otherwise.
func (b *builder) unique(items []item) bool {
	if len(items) < 2 || len(items) > 3 {
		return false
	}
	var there [2]int
	var known int
	var content Content
	for _, it := range items {
		switch it.kind {
		case isArrival:
			there[b.arrivals[it.index].side]++
		case isPair:
			if s, ok := b.pairs[it.index].survivor(); ok {
				there[s]++
			}
			known++
		case isHalf:
			if h := &b.halves[it.index]; !h.Now.Gone {
				there[h.Side]++
			}
			known++
		}
		if it.size != items[0].size || b.draft(it) || it.header&weakHeader != 0 || b.orphaned(it) && !b.together(items) {
			return false
		}
		if c := b.contentOf(it); c.Known() {
			if content.Known() && !content.Same(c) {
				return false
			}
			content = c
		}
	}
	return there[0] <= 1 && there[1] <= 1 && known <= 1
}

// closed reports whether each of these messages of one mailbox, at most one arrival per side and one that the state knows, finds its match
// here: nothing is left that could match elsewhere.
func (b *builder) closed(items []item) bool {
	var arrived, wanted [2]bool
	known := false
	for _, it := range items {
		switch it.kind {
		case isArrival:
			arrived[b.arrivals[it.index].side] = true
		case isPair:
			p := &b.pairs[it.index]
			wanted, known = [2]bool{p.Now[0].Gone, p.Now[1].Gone}, true
		case isHalf:
			h := &b.halves[it.index]
			wanted[h.Side] = h.Now.Gone
			wanted[h.Side.Other()] = !h.Now.Gone || h.wanders()
			known = true
		}
	}
	if !known {
		wanted = [2]bool{true, true}
	}
	return arrived == wanted
}

// shareSize asks for the contents of messages that have the size of one on the other side of their mailbox: a server may have altered
// the header.
func (b *builder) shareSize(open []item) []Question {
	type sized struct {
		item
		side Side
	}
	var list []sized
	for _, it := range open {
		switch it.kind {
		case isArrival:
			list = append(list, sized{it, b.arrivals[it.index].side})
		case isHalf:
			if h := &b.halves[it.index]; !h.Now.Gone {
				list = append(list, sized{it, h.Side})
			}
		}
	}
	slices.SortFunc(list, func(x, y sized) int {
		return cmp.Or(cmp.Compare(x.mb, y.mb), cmp.Compare(x.size, y.size), compareItems(x.item, y.item))
	})
	var q []Question
	for start := 0; start < len(list); {
		end := start
		var on [2]int
		arrivals := 0
		for end < len(list) && list[end].mb == list[start].mb && list[end].size == list[start].size {
			if b.contentOf(list[end].item) != Unreadable {
				on[list[end].side]++
				if list[end].kind == isArrival {
					arrivals++
				}
			}
			end++
		}
		if on[0] > 0 && on[1] > 0 && arrivals > 0 {
			for _, it := range list[start:end] {
				q = b.askContent(q, it.item)
			}
		}
		start = end
	}
	return q
}

// askContent adds the question for the content of a message, unless it is known or nobody can tell any more.
func (b *builder) askContent(q []Question, it item) []Question {
	if b.contentOf(it).Known() {
		return q
	}
	switch it.kind {
	case isArrival:
		return append(q, b.askArrival(&b.arrivals[it.index], WantContent))
	case isPair:
		p := &b.pairs[it.index]
		if s, ok := p.survivor(); ok {
			return append(q, b.askPair(p, s, WantContent))
		}
	case isHalf:
		if h := &b.halves[it.index]; !h.Now.Gone {
			return append(q, b.askHalf(h, WantContent))
		}
	}
	return q
}

// uniqueQuestions drops repetitions and puts the questions in the order of mailbox and side, which is the cheapest to answer.
func (b *builder) uniqueQuestions(q []Question) []Question {
	if len(q) == 0 {
		return nil
	}
	order := make(map[string]int, len(b.names))
	for i, n := range b.names {
		order[n] = i
	}
	slices.SortStableFunc(q, func(x, y Question) int {
		return cmp.Or(cmp.Compare(order[x.Mailbox], order[y.Mailbox]), cmp.Compare(x.Side, y.Side))
	})
	seen := make(map[Question]bool, len(q))
	out := q[:0]
	for _, one := range q {
		if !seen[one] {
			seen[one] = true
			out = append(out, one)
		}
	}
	return out
}
