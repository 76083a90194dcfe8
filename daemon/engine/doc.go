// Package engine runs the cycle of an account: it locks, replays and settles what an earlier process left
// open, observes both stores, plans, applies with the two controllers, looks again and commits.
//
// # Contract
//
//   - A controller writes to one store only: the left controller to the left store, the right one to the right.
//   - No effect begins before its intent is durable; an outcome is logged only when the effect is durable.
//   - A cursor is committed only when each change up to it is applied or durably recorded as a half-pair, and only from an
//     observation in which nothing was left to do: so others' changes in between are not missed, and our own do not come back.
//   - Deletions come last, after everything else in all mailboxes has succeeded, and only after the source was asked once more.
//   - A dry run opens no log for writing and calls no driver method that changes a store.
//   - Every goroutine has a parent that waits for it.
//
// # Locks and connections
//
// A cycle has at most one handle per mailbox and side, opened left before right; both controllers share it. No content is
// passed on while a fetch holds its connection. So two accounts of connections cannot wait for each other.
package engine
