package merge

import (
	"fmt"
	"testing"
)

type ruleChange func(*Rules)

func with(changes ...ruleChange) Rules {
	r := DefaultRules()
	for _, c := range changes {
		c(&r)
	}
	return r
}

func conflict(p ConflictPolicy) ruleChange { return func(r *Rules) { r.Conflict = p } }

var (
	noNewRight       = func(r *Rules) { r.New[Right] = false }
	noNewLeft        = func(r *Rules) { r.New[Left] = false }
	noFlagsRight     = func(r *Rules) { r.Flags[Right] = false }
	noDeletionsRight = func(r *Rules) { r.Deletions[Right] = false }
	noDeletionsLeft  = func(r *Rules) { r.Deletions[Left] = false }
	keepConflict     = conflict(ConflictKeep)
	leftConflict     = conflict(ConflictLeft)
	rightConflict    = conflict(ConflictRight)
	askConflict      = conflict(ConflictAsk)
	failConflict     = conflict(ConflictFail)
)

type ruleCase struct {
	name  string
	rules Rules
	view  string
	want  string
	asks  string // identities and contents asked for
	once  bool   // not mirrored: the rule itself knows left from right
}

var ruleCases = []ruleCase{
	// new | -
	{"new is copied with its flags", with(), "A: +l1=x[SFk]", "A: copy l1/?[SFk|SFk]", "0+0", false},
	{"new, direction off", with(noNewRight), "A: +l1=x[S]", "A: half policy:l1[S]", "0+0", false},
	{"initial pull asks nothing", with(), "A: +l1=x +l2=x +l3=y; B: +l4=x", "A: copy l1/?[.|.], copy l2/?[.|.], copy l3/?[.|.]; B: copy l4/?[.|.]", "0+0", false},
	{"other side's arrival in another mailbox is no candidate", with(), "A: +l1=x; B: +r1=x", "A: copy l1/?[.|.]; B: copy ?/r1[.|.]", "0+0", false},

	// new | new
	{"equal identity pairs", with(), "A: +l1=x +r1=x", "A: put l1/r1[.|.]", "2+0", false},
	{"flags are united", with(), "A: +l1=x[S] +r1=x[F]", "A: flags l1+F-., flags r1+S-., put l1/r1[.|.]", "2+0", false},
	{"but not \\Deleted", with(), "A: +l1=x[ST] +r1=x[S]", "A: flags l1+.-T, put l1/r1[ST|ST]", "2+0", false},
	{"\\Deleted on both stays", with(), "A: +l1=x[T] +r1=x[T]", "A: put l1/r1[T|T]", "2+0", false},
	{"\\Deleted and flags off to that side", with(noFlagsRight), "A: +l1=x[S] +r1=x[ST]", "A: put l1/r1[S|ST]", "2+0", false},
	{"a \\Deleted set since is a change", with(), "A: doubt:l1=x[S>ST] +r1=x[S]", "A: end l1, flags r1+T-., put l1/r1[S|S]", "2+0", false},
	{"union with flags off to one side", with(noFlagsRight), "A: +l1=x[S] +r1=x[F]", "A: flags l1+F-., put l1/r1[S|.]", "2+0", false},
	{"other content of the same size and header, twice", with(), "A: +l1=x.100.a +l2=x.100.b +r1=x.100.b", "A: copy l1/?[.|.], put l2/r1[.|.]", "3+3", false},
	{"same Message-ID, other content", with(), "A: +l1=x.100.a +r1=x.200.b", "A: copy ?/r1[.|.], copy l1/?[.|.]", "2+2", false},
	{"same content in another size", with(), "A: +l1=x.100 +r1=x.100 +l2=y +r2=z.7", "A: copy ?/r2[.|.], copy l2/?[.|.], put l1/r1[.|.]", "4+0", false},
	{"equal size, other header, content decides", with(), "A: +l1=x.55 +r1=y.55", "A: copy ?/r1[.|.], copy l1/?[.|.]", "2+2", false},
	{"k on one side, m on the other", with(), "A: +l1=x +l2=x +l3=x +r1=x +r2=x", "A: copy l3/?[.|.], put l1/r1[.|.], put l2/r2[.|.]", "5+5", false},
	{"equal flags are preferred", with(), "A: +l1=x[S] +l2=x[F] +r1=x[F] +r2=x", "A: flags r2+S-., put l1/r2[.|.], put l2/r1[F|F]", "4+4", false},
	{"unreadable pairs with nothing", with(), "A: +l1=x% +r1=x", "A: copy ?/r1[.|.], copy l1/?[.|.]", "2+0", false},
	{"drafts need proof by content", with(), "A: +l1=x[D] +r1=x[D]", "A: put l1/r1[D|D]", "2+2", false},
	{"the same message in two mailboxes needs no content", with(), "A: +l1=x +r1=x; B: +l2=x +r2=x", "A: put l1/r1[.|.]; B: put l2/r2[.|.]", "4+0", false},

	// new | half-pair
	{"completes a held one", with(), "A: held:l1=x[S] +r1=x[S]", "A: end l1, put l1/r1[S|S]", "2+0", false},
	{"completes one in doubt", with(), "A: doubt:l1=x[S] +r1=x[S]", "A: end l1, put l1/r1[S|S]", "2+0", false},
	{"the source's change since is a change", with(), "A: doubt:l1=x[SF>F] +r1=x[SF]", "A: end l1, flags r1+.-S, put l1/r1[SF|SF]", "2+0", false},
	{"the target's change since is a change", with(), "A: doubt:l1=x[.>F] +r1=x[S]", "A: end l1, flags l1+S-., flags r1+F-., put l1/r1[.|.]", "2+0", false},
	{"reserved id is proof", with(), "A: doubt@r7:l1=x +r7=x[F]", "A: end l1, flags l1+F-., put l1/r7[.|.]", "0+0", false},
	{"reserved id, even unreadable", with(), "A: doubt@r7:l1=x% +r7=y%", "A: end l1, put l1/r7[.|.]", "0+0", false},
	{"reserved id elsewhere: moved since", with(), "A: doubt@r7:l1=x[S]; B: +r7=x[S]", "A: move l1 to B as ?/r7[S|S] for l1", "0+0", false},
	{"reserved id, and the source is gone: deleted like a pair", with(), "A: doubt@r7:l1=x[S>-] +r7=x[S]", "A: delete r7, end l1, put l1/r7[S|S]", "0+0", false},
	{"reserved id, source gone, target changed: conflict", with(keepConflict), "A: doubt@r7:l1=x[S>-] +r7=x[SF]", "A: conflict l1/r7 copied-back, copy ?/r7[SF|SF] for r7, end l1, half doubt:r7[SF]", "0+0", false},
	{"doubt, found in another mailbox, deletions off", with(noDeletionsLeft), "A: doubt:l1=x[S>F]; B: +r1=x[S]", "A: half policy:l1[F]; B: copy ?/r1[S|S]", "2+0", false},
	{"doubt, renamed, found in another mailbox, deletions off", with(noDeletionsLeft), "A: doubt:l1=x[S>-] +l2=x[S]; B: +r1=x[S]", "A: end l1, half policy:l2[S]; B: copy ?/r1[S|S]", "2+0", false},
	{"half moved, its mailbox fails", with(failConflict), "A: window:l1=x[S>-] l5/r5=z[.|.>-|S]; B: +l2=x[S]", "A: conflict l5/r5 unresolved, failed", "2+0", false},
	{"reserved id elsewhere, source renamed", with(), "A: doubt@r7:l1=x[.>-] +l2=x; B: +r7=x", "A: end l1, half doubt:l2[.], move l2 to B as ?/r7[.|.] for l2", "2+0", false},
	{"reserved id elsewhere, source renamed, an arrival like it", with(), "A: doubt@r7:l1=x[.>-] +l2=x; B: +r7=x +l3=x", "A: end l1, half doubt:l2[.], waiting 1; B: put l3/r7[.|.]", "3+3", false},
	{"doubt, source renamed, arrival", with(), "A: doubt:l1=x[.>-] +l2=x +r1=x", "A: end l1, put l2/r1[.|.]", "2+0", false},
	{"doubt, source gone, arrival: kept", with(), "A: doubt:l1=x[S>-] +r1=x[S]", "A: copy ?/r1[S|S], end l1", "1+0", false},
	{"doubt, source moved, arrival: pair moves", with(), "A: doubt:l1=x[S>-] +r1=x[S]; B: +l2=x[S]", "A: end l1, move r1 to B as l2/?[S|S], put l1/r1[S|S]", "2+0", false},
	{"sent, source removed: waits for what may arrive", with(), "A: doubt~:l1=x[S>-]", "A: waiting 1", "0+0", false},
	{"sent, source removed, nothing came", with(), "A: doubt!~:l1=x[S>-]", "A: end l1", "0+0", false},
	{"sent, source removed, it came: removed there too", with(), "A: doubt~:l1=x[S>-] +r1=x[S]", "A: delete r1, end l1, put l1/r1[S|S]", "1+0", false},
	{"sent, source removed, it came at last", with(), "A: doubt!~:l1=x[S>-] +r1=x[S]", "A: delete r1, end l1, put l1/r1[S|S]", "1+0", false},
	{"sent, source removed, it came and was flagged: conflict", with(keepConflict), "A: doubt~:l1=x[S>-] +r1=x[SF]", "A: conflict l1/r1 copied-back, copy ?/r1[SF|SF] for r1, end l1, half doubt:r1[SF]", "1+0", false},
	{"sent, source removed, another one comes", with(), "A: doubt~:l1=x[S>-] +r1=y[S]", "A: copy ?/r1[S|S], waiting 1", "1+0", false},
	{"sent, source removed, like it in another mailbox", with(), "A: doubt~:l1=x[S>-]; B: +r1=x[S]", "A: waiting 1; B: copy ?/r1[S|S]", "1+0", false},
	{"sent, source moved, it came", with(), "A: doubt~:l1=x[S>-] +r1=x[S]; B: +l2=x[S]", "A: end l1, move r1 to B as l2/?[S|S], put l1/r1[S|S]", "2+0", false},
	{"sent, source moved: goes on there", with(), "A: doubt~:l1=x[S>-]; B: +l2=x[S]", "A: end l1; B: half doubt^:l2[S], waiting 1", "1+0", false},
	{"sent, source moved before it came", with(), "A: +r1=x[S]; B: doubt^:l2=x[SF>S]", "A: move r1 to B as l2/?[SF|SF] for l2", "2+0", false},
	{"sent, source moved, nothing came", with(), "B: doubt!^:l2=x[S]", "B: copy l2/?[S|S] for l2", "0+0", false},
	{"sent, source moved and removed before it came", with(), "A: +r1=x[S]; B: doubt^:l2=x[S>-]", "A: move r1 to B as l2/?[S|S] for l2", "1+0", false},
	{"sent, source moved, it may not be removed there", with(noDeletionsRight), "A: +r1=x[S]; B: doubt^:l2=x[S]", "A: copy ?/r1[S|S]; B: waiting 1", "2+0", false},
	{"sent, source moved, it came there", with(), "B: doubt^:l2=x[S] +r1=x[S]", "B: end l2, put l2/r1[S|S]", "2+0", false},
	{"sent, both moved to different mailboxes", with(), "A: doubt~:l1=x[S>-]; B: +l2=x[S]; C: +r1=x[S]", "A: end l1; B: half doubt^:l2[S]; C: move r1 to B as l2/?[S|S] for l2", "2+0", false},
	{"doubt, found in another mailbox", with(), "A: doubt:l1=x[S]; B: +r1=x[S]", "A: move l1 to B as ?/r1[S|S] for l1", "2+0", false},
	{"doubt waits", with(), "A: doubt:l1=x", "A: waiting 1", "0+0", false},
	{"doubt is over", with(), "A: doubt!:l1=x[S]", "A: copy l1/?[S|S] for l1", "0+0", false},
	{"doubt is over, flags changed", with(), "A: doubt!:l1=x[S>F]", "A: copy l1/?[F|F] for l1, half doubt:l1[F]", "0+0", false},
	{"doubt is over, direction off meanwhile", with(noNewRight), "A: doubt!:l1=x[S]", "A: half policy:l1[S]", "0+0", false},
	{"quarantined stays", with(), "A: quar:l1=x", "", "0+0", false},
	{"quarantined is due", with(), "A: quar!:l1=x", "A: copy l1/?[.|.] for l1", "0+0", false},
	{"half gone", with(), "A: held:l1=x[.>-] policy:l2=y[.>-] doubt:l3=z[.>-]", "A: end l1, end l2, end l3", "0+0", false},
	{"half's flags changed", with(), "A: policy:l1=x[.>S] window:l2=y[S>F]", "A: half policy:l1[S], half window:l2[F]", "0+0", false},
	{"held, policy and window are never due", with(), "A: held!:l1=x policy!:l2=y window!:l3=z", "", "0+0", false},
	{"half with a new id stays a half", with(), "A: policy:l1=x[S>-] +l2=x[F]", "A: end l1, half policy:l2[F]", "1+0", false},
	{"half moved stays a half", with(), "A: window:l1=x[S>-]; B: +l2=x[S]", "A: end l1; B: half window:l2[S]", "1+0", false},
	{"doubt moved waits there", with(), "A: doubt:l1=x[S>-]; B: +l2=x[S]", "A: end l1; B: half doubt:l2[S], waiting 1", "1+0", false},
	{"held deletion turns out to be a move", with(), "A: held:l1=x[S]; B: +r2=x[S]", "A: move l1 to B as ?/r2[S|S] for l1", "2+0", false},
	{"policy half is not moved", with(), "A: policy:l1=x[S]; B: +r2=x[S]", "B: copy ?/r2[S|S]", "0+0", false},
	{"both new prefer each other over a policy half", with(), "A: policy:l1=x +l2=x +r1=x", "A: put l2/r1[.|.]", "3+3", false},
	{"a doubt comes before both new", with(), "A: doubt:l1=x +l2=x +r1=x", "A: copy l2/?[.|.], end l1, put l1/r1[.|.]", "3+3", false},

	// flags
	{"set", with(), "A: l1/r1=x[.|.>S|.]", "A: flags r1+S-.", "0+0", false},
	{"removed", with(), "A: l1/r1=x[SF|SF>F|SF]", "A: flags r1+.-S", "0+0", false},
	{"keyword set", with(), "A: l1/r1=x[.|.>k|.]", "A: flags r1+k-.", "0+0", false},
	{"different flags on both sides", with(), "A: l1/r1=x[F|F>SF|.]", "A: flags l1+.-F, flags r1+S-.", "0+0", false},
	{"same change on both sides", with(), "A: l1/r1=x[.|.>S|S]", "A: put l1/r1[S|S]", "0+0", false},
	{"same removal on both sides", with(), "A: l1/r1=x[S|S>.|.]", "A: put l1/r1[.|.]", "0+0", false},
	{"same and more", with(), "A: l1/r1=x[.|.>SF|S]", "A: flags r1+F-., put l1/r1[S|S]", "0+0", false},
	{"a side that cannot hold k: nothing to do", with(), "A: l1/r1=x[k|.>k|.]", "", "0+0", false},
	{"a side that cannot hold k: k removed", with(), "A: l1/r1=x[k|.>.|.]", "A: put l1/r1[.|.]", "0+0", false},
	{"a side that cannot hold k: other change", with(), "A: l1/r1=x[k|.>k|S]", "A: flags l1+S-.", "0+0", false},
	{"add beats remove", with(), "A: l1/r1=x[.|k>k|.]", "A: flags r1+k-., put l1/r1[.|.]", "0+0", false},
	{"flags off: taken into the base", with(noFlagsRight), "A: l1/r1=x[.|.>S|F]", "A: flags l1+F-., put l1/r1[S|.]", "0+0", false},
	{"after flags were off: nothing is caught up", with(), "A: l1/r1=x[S|F>S|F]", "", "0+0", false},
	{"unchanged", with(), "A: l1/r1=x[S|S>S|S]", "", "0+0", false},

	// gone
	{"gone", with(), "A: l1/r1=x[S|S>-|S]", "A: delete r1", "0+0", false},
	{"gone, deletions off", with(noDeletionsRight), "A: l1/r1=x[S|S>-|S]", "A: orphan l1/r1 policy:r1[S]", "0+0", false},
	{"gone, deletions off the other way", with(noDeletionsLeft), "A: l1/r1=x[S|S>-|S]", "A: delete r1", "0+0", false},
	{"gone on both sides", with(), "A: l1/r1=x[S|S>-|-]", "A: drop l1/r1", "0+0", false},
	{"gone, changed: delete", with(), "A: l1/r1=x[.|.>-|S]", "A: conflict l1/r1 deleted-both, delete r1", "0+0", false},
	{"gone, marked deleted: no conflict", with(askConflict), "A: l1/r1=x[.|.>-|T]", "A: delete r1", "0+0", false},
	{"gone, marked deleted and changed", with(), "A: l1/r1=x[.|.>-|ST]", "A: conflict l1/r1 deleted-both, delete r1", "0+0", false},
	{"gone, unmarked deleted is a change", with(keepConflict), "A: l1/r1=x[T|T>-|.]", "A: conflict l1/r1 copied-back, copy ?/r1[.|.] for r1, orphan l1/r1 doubt:r1[.]", "0+0", false},
	{"gone, changed: delete, deletions off", with(noDeletionsRight), "A: l1/r1=x[.|.>-|S]", "A: conflict l1/r1 deleted-both, orphan l1/r1 policy:r1[S]", "0+0", false},
	{"gone, changed: keep", with(keepConflict), "A: l1/r1=x[.|.>-|S]", "A: conflict l1/r1 copied-back, copy ?/r1[S|S] for r1, orphan l1/r1 doubt:r1[S]", "0+0", false},
	{"gone, changed: keep, new off", with(keepConflict, noNewLeft), "A: l1/r1=x[.|.>-|S]", "A: conflict l1/r1 copied-back, orphan l1/r1 policy:r1[S]", "0+0", false},
	{"gone, changed: left removed and wins", with(leftConflict), "A: l1/r1=x[.|.>-|S]", "A: conflict l1/r1 left-won, delete r1", "0+0", false},
	{"gone, changed: right changed and wins", with(rightConflict), "A: l1/r1=x[.|.>-|S]", "A: conflict l1/r1 right-won, copy ?/r1[S|S] for r1, orphan l1/r1 doubt:r1[S]", "0+0", false},
	{"gone, changed: ask", with(askConflict), "A: l1/r1=x[.|.>-|S]", "A: conflict l1/r1 unresolved", "0+0", false},
	{"gone, changed: fail", with(failConflict), "A: l1/r1=x[.|.>-|S] +l2=y l3/r3=z[.|.>S|.]; B: +l4=w", "A: conflict l1/r1 unresolved, failed; B: copy l4/?[.|.]", "3+0", false},

	// a new id in the same mailbox
	{"new id", with(), "A: l1/r1=x[S|S>-|S] +l2=x[S]", "A: put l2/r1[S|S]", "2+0", false},
	{"new id, flags changed", with(), "A: l1/r1=x[S|S>-|S] +l2=x[SF]", "A: flags r1+F-., put l2/r1[S|S]", "2+0", false},
	{"new id, flags removed", with(), "A: l1/r1=x[SF|SF>-|SF] +l2=x[F]", "A: flags r1+.-S, put l2/r1[SF|SF]", "2+0", false},
	{"new id on both sides", with(), "A: l1/r1=x[S|S>-|-] +l2=x[S] +r2=x", "A: drop l1/r1, flags l2+.-S, put l2/r2[S|S]", "2+0", false},
	{"new id here, gone there", with(), "A: l1/r1=x[S|S>-|-] +l2=x[S]", "A: delete l2, put l2/r1[S|S]", "1+1", false},
	{"same header and size, a draft with other content", with(), "A: l1/r1=x.100.a[D|D>-|D] +l2=x.100.b[D]", "A: copy l2/?[D|D], delete r1", "2+2", false},
	{"new ids, equal flags are preferred", with(), "A: l1/r1=x[S|S>-|S] l2/r2=x[F|F>-|F] +l3=x[F] +l4=x[S]", "A: put l3/r2[F|F], put l4/r1[S|S]", "4+4", false},
	{"fewer new ids than gone", with(), "A: l1/r1=x[S|S>-|S] l2/r2=x[S|S>-|S] +l3=x[S]", "A: delete r2, put l3/r1[S|S]", "3+3", false},

	// moves
	{"moved", with(), "A: l1/r1=x[S|S>-|S]; B: +l2=x[S]", "A: move r1 to B as l2/?[S|S]", "2+0", false},
	{"moved backwards in the view", with(), "A: +l2=x[S]; B: l1/r1=x[S|S>-|S]", "B: move r1 to A as l2/?[S|S]", "2+0", false},
	{"moved and changed: flags follow", with(), "A: l1/r1=x[S|S>-|SF]; B: +l2=x", "A: move r1 to B as l2/?[S|S]", "2+0", false},
	{"moved, deletions off", with(noDeletionsRight), "A: l1/r1=x[S|S>-|S]; B: +l2=x[S]", "A: orphan l1/r1 policy:r1[S]; B: copy l2/?[S|S]", "2+0", false},
	{"moved, new off", with(noNewRight), "A: l1/r1=x[S|S>-|S]; B: +l2=x[S]", "A: move r1 to B as l2/?[S|S]", "2+0", false},
	{"moved, deletions and new off", with(noDeletionsRight, noNewRight), "A: l1/r1=x[S|S>-|S]; B: +l2=x[S]", "A: orphan l1/r1 policy:r1[S]; B: half policy:l2[S]", "2+0", false},
	{"other content is no move", with(), "A: l1/r1=x[S|S>-|S]; B: +l2=y[S]", "A: delete r1; B: copy l2/?[S|S]", "2+0", false},
	{"same header, other size: content decides", with(), "A: l1/r1=x.1[S|S>-|S]; B: +l2=x.2[S]", "A: delete r1; B: copy l2/?[S|S]", "2+2", false},
	{"two candidates: content decides", with(), "A: l1/r1=x.1.a[S|S>-|S]; B: +l2=x.1.b[S] +l3=x.1.a[S]", "A: move r1 to B as l3/?[S|S]; B: copy l2/?[S|S]", "3+3", false},
	{"moved and copied", with(), "A: l1/r1=x[S|S>-|S]; B: +l2=x[S]; C: +l3=x[S]", "A: move r1 to B as l2/?[S|S]; C: copy l3/?[S|S]", "3+3", false},
	{"same id is preferred", with(), "A: l1/r1=x[S|S>-|S]; B: +l2=x[S]; C: +l1=x[F]", "A: move r1 to C as l1/?[S|S]; B: copy l2/?[S|S]", "3+3", false},
	{"surviving message unreadable: no move", with(), "A: l1/r1=x%[S|S>-|S]; B: +l2=x[S]", "A: delete r1; B: copy l2/?[S|S]", "2+0", false},
	{"both moved it to the same place", with(), "A: l1/r1=x[S|S>-|-]; B: +l2=x[S] +r2=x[SF]", "A: drop l1/r1; B: flags l2+F-., put l2/r2[S|S]", "2+0", false},
	{"both moved, a flag removed is not put back", with(), "A: l1/r1=x[S|S>-|-]; B: +l2=x +r2=x[S]", "A: drop l1/r1; B: flags r2+.-S, put l2/r2[S|S]", "2+0", false},
	{"moved here, copied there", with(), "A: l1/r1=x[S|S>-|S]; B: +l2=x[S] +r2=x[S]", "A: delete r1; B: put l2/r2[S|S]", "3+3", false},
	{"new id in its mailbox before a move", with(), "A: l1/r1=x[S|S>-|S] +l2=x[S]; B: +l3=x[S]", "A: put l2/r1[S|S]; B: copy l3/?[S|S]", "3+0", false},
	{"two moved, two places", with(), "A: l1/r1=x[S|S>-|S] l2/r2=y[.|.>-|.]; B: +l3=y; C: +l4=x[S]", "A: move r1 to C as l4/?[S|S], move r2 to B as l3/?[.|.]", "4+0", false},

	// moved | gone
	{"moved, gone: delete", with(), "A: l1/r1=x[S|S>-|-]; B: +l2=x[S]", "A: conflict l1/r1 deleted-both; B: delete l2 with l1/r1 in A", "1+1", false},
	{"moved, gone: delete, deletions off", with(noDeletionsLeft), "A: l1/r1=x[S|S>-|-]; B: +l2=x[S]", "A: conflict l1/r1 deleted-both, drop l1/r1; B: half policy:l2[S]", "1+1", false},
	{"moved, gone: keep", with(keepConflict), "A: l1/r1=x[S|S>-|-]; B: +l2=x[S]", "A: conflict l1/r1 copied-back, drop l1/r1; B: copy l2/?[S|S]", "1+1", false},
	{"moved, gone: left moved and wins", with(leftConflict), "A: l1/r1=x[S|S>-|-]; B: +l2=x[S]", "A: conflict l1/r1 left-won, drop l1/r1; B: copy l2/?[S|S]", "1+1", false},
	{"moved, gone: right removed and wins", with(rightConflict), "A: l1/r1=x[S|S>-|-]; B: +l2=x[S]", "A: conflict l1/r1 right-won; B: delete l2 with l1/r1 in A", "1+1", false},
	{"moved, gone: ask", with(askConflict), "A: l1/r1=x[S|S>-|-]; B: +l2=x[S]", "A: conflict l1/r1 unresolved", "1+1", false},
	{"moved, gone: fail", with(failConflict), "A: l1/r1=x[S|S>-|-]; B: +l2=x[S]", "A: conflict l1/r1 unresolved, failed", "1+1", false},

	// moved to X | moved to Y
	{"two places: left wins", with(), "A: l1/r1=x[S|S>-|-]; X: +l2=x[S]; Y: +r2=x[F]", "A: conflict l1/r1 left-won, drop l1/r1; Y: half doubt:r2[S], move r2 to X as l2/?[S|S] for r2", "2+2", true},
	{"two places: right wins", with(rightConflict), "A: l1/r1=x[S|S>-|-]; X: +l2=x[S]; Y: +r2=x[F]", "A: conflict l1/r1 right-won, drop l1/r1; X: half doubt:l2[S], move l2 to Y as ?/r2[S|S] for l2", "2+2", true},
	{"two places: the winner", with(leftConflict), "A: l1/r1=x[S|S>-|-]; X: +l2=x[S]; Y: +r2=x[F]", "A: conflict l1/r1 left-won, drop l1/r1; Y: half doubt:r2[S], move r2 to X as l2/?[S|S] for r2", "2+2", false},
	{"two places: ask", with(askConflict), "A: l1/r1=x[S|S>-|-]; X: +l2=x[S]; Y: +r2=x[F]", "A: conflict l1/r1 unresolved", "2+2", false},
	{"two places: fail", with(failConflict), "A: l1/r1=x[S|S>-|-]; X: +l2=x[S]; Y: +r2=x[F]", "A: conflict l1/r1 unresolved, failed", "2+2", false},
	{"two places, deletions off: both stay", with(leftConflict, noDeletionsRight), "A: l1/r1=x[S|S>-|-]; X: +l2=x[S]; Y: +r2=x[F]", "A: conflict l1/r1 left-won, drop l1/r1; X: copy l2/?[S|S]; Y: copy ?/r2[F|F]", "2+2", false},
}

func TestRules(t *testing.T) {
	for _, c := range ruleCases {
		t.Run(c.name, func(t *testing.T) {
			v, tr := parse(t, c.view)
			original := mirrorView(v)
			got := planString(tr.plan(t, &v, c.rules))
			if got != c.want {
				t.Errorf("view  %s\n got  %s\nwant  %s", c.view, got, c.want)
			}
			if asks := fmt.Sprintf("%d+%d", tr.count[WantIdentity], tr.count[WantContent]); asks != c.asks {
				t.Errorf("view  %s\nasked for %s identities and contents, want %s", c.view, asks, c.asks)
			}
			if c.once {
				return
			}
			m := mirrorTruth(tr)
			plan := mirrorPlan(m.plan(t, &original, mirrorRules(c.rules)))
			if got := planString(plan); got != c.want {
				t.Errorf("mirror of view  %s\n got  %s\nwant  %s", c.view, got, c.want)
			}
		})
	}
}
