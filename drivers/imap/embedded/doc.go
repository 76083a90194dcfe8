// Package embedded is a small IMAP server in memory, on loopback, for `driftless demo` and for tests without a real server.
//
// It speaks IMAP4rev1 (RFC 3501) with LITERAL+, SASL-IR, CHILDREN, UNSELECT, IDLE, MOVE (RFC 6851) and UIDPLUS (RFC 4315), for one user, through
// go-imap's server with a store of our own. Not offered: CONDSTORE, MIME parts, ENVELOPE and BODYSTRUCTURE, which a sync never asks for; it
// answers NO to them.
//
// # Invariants
//
//   - A UID is never used twice in a mailbox; a mailbox that is deleted and made again has another UIDVALIDITY, and so has every mailbox of a server that was
//     started again, for what was in memory is gone.
//   - A message's content never changes; what is handed out is shared, never written to.
//   - Sequence numbers are per connection: a message that another connection removes keeps its number here until this connection has
//     been told (RFC 3501, section 7.4.1).
//   - After Close returns no goroutine of the server is left and its port is free.
package embedded
