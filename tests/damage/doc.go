// Package damage holds the tests that damage the logs of an account, in every way that a disk, a backup or a person can, and look at what the whole
// product makes of them: engine, stores, and the program itself.
//
// Each case takes a moment of a long history (stores and logs as they were then), damages one or more of the three logs, and syncs. There are two right answers: a
// state in which both sides are equal, no message is missing or doubled and a second sync has nothing to do; or a refusal that changed nothing and says what to do, after
// which "driftless rebuild" and a sync lead to such a state. What was damaged is kept aside, byte for byte.
package damage
