// Package logstate keeps what driftless remembers of an account: three append-only logs, and the state that is folded from them. There is no other
// record of the past: no database, nothing in file names, no cache that could disagree.
//
// # The logs
//
// The left log has the changes that came from the left: the batches that the right controller applies to the right store, each as an
// intent before its effects and an outcome after them. The right log is its mirror image. The shared log has the state: commits, registrations of
// mailboxes, identities of stores, checkpoints. A goroutine owns each; requests that wait together share one fsync.
//
//	Begin:  intent -> side log                          one fsync
//	Finish: outcome -> side log, Play -> shared log     two fsyncs
//	Commit: ops -> shared log                           one fsync, none when they change nothing
//
// # Invariants
//
//   - What a method reported as done is durable. A crash at any byte leaves the state before or after a commit, never between.
//   - An outcome that is durable is committed, by this process or by the next Open, exactly once and in order. An intent without an outcome
//     is in Unsettled until Finish.
//   - Opening what is up to date, reading, and committing what is so already write nothing.
//   - A commit names, for each mailbox that it changes, how many messages are known afterwards and how many changes there have been. The side logs note
//     these counts too. So cursors and counts are read without folding pairs, and a log that is older than the others know is found out: what
//     cannot be repeated from the side logs marks its mailbox (Summary.Repair), and the mailbox is paired again by content instead of guessed at.
//   - Per mailbox, the batches of a side log are numbered without gaps. The shared log knows which it has. A side log keeps what the shared log has not, and
//     everything since the last complete checkpoint, so that a shared log that lost its tail is sent it again.
//   - A mailbox number is never given twice as long as any of the three logs remembers it. A side log that was lost goes on in a new epoch.
//   - After a failed write nothing more is written until the account is opened again.
//
// # State
//
// Pairs are folded per mailbox, when somebody asks for them: from the newest complete checkpoint and the commits behind it. A table holds them in
// chunks of fixed-size entries, ids in slabs of bytes, and an index of 5 bytes per slot per side; about 105 bytes per message, without a pointer. Iteration goes
// over a snapshot: chunks that a commit is about to change are copied first, as long as a snapshot may see them.
//
// View reads the same logs without a lock, in any process, at any time.
//
// docs/log-format.md describes frames and records byte by byte.
package logstate
