// Package drivers is the contract between driftless and a mail store, the same for every kind of store:
// Store, Mailbox, the classes of their errors, and the content of a message on its way.
//
// # Invariants that every driver keeps (drivertest checks them)
//
//   - Mailbox names are UTF-8 with "/" between levels; the inbox is "INBOX". What a store cannot hold is
//     escaped reversibly by its driver, and a name never leads outside the store.
//   - Content is in wire form: lines end in CRLF. A driver that stores lines differently converts both ways, and what
//     it was given comes back byte for byte (as far as the store itself does not alter it).
//   - An id names one message of one mailbox for ever. An id whose epoch (UIDVALIDITY) is not the present one is refused
//     with ErrStale: no effect is ever applied to another message than the one that was seen.
//   - An effect is reported as done only when it is durable. An effect whose fate is unknown is reported with ErrUnknown.
//   - A message is reported as gone only if it is verifiably not there, whatever other programs do meanwhile.
//   - A cursor covers exactly what was yielded with it or before: a change that was not yielded is yielded by
//     the next Changes with that cursor. Changes may yield what the caller already knows.
//   - Everything that may wait takes a context and returns soon after it is cancelled.
//   - Methods may be called from several goroutines; a yield function is never called concurrently by one call.
//
// Concrete drivers never import each other.
package drivers
