// Package merge holds the nouns of driftless (Side, ID, Flags, Identity, Pair,
// Half, Change, Plan, Conflict) and the rules that turn what was observed on two
// sides into a plan.
//
// The package is pure: it imports only the standard library, performs no I/O,
// reads no clock and starts no goroutine. The same view always gives the same plan.
//
// # Invariants
//
//   - No message is lost: a plan deletes a message on a side only if a pair says it
//     was once on both sides and the other side's copy is seen to be gone.
//   - No message is doubled: an arrival is copied only if it matches neither an arrival,
//     nor a half-pair, nor a moved message; equal copies are counted, min(k, m) of them pair.
//   - Re-pairing never deletes.
//   - A view in which nothing differs from its base gives an empty plan, and applying
//     a plan completely leads to a view whose plan is empty.
//
// # Limits
//
// Identity (a header hash and a size) is taken as proof only where it is unique among the messages in view; drafts always need equal content. What the state
// does not know cannot be recognized: a pair without Identity that is gone on both sides matches no arrival, so whoever writes
// pairs should fill in Identity, and Content where it is at hand.
//
// # Questions
//
// Questions that need bytes (the identity of an arrival, the content of a candidate) are
// returned as data; the caller answers them and builds the plan again.
package merge
