// Package memory is a mail store in memory, for tests. It keeps the drivers contract exactly and has many characters: that of an IMAP
// server with QRESYNC, with CONDSTORE only, of a plain one, of a Maildir, with all the limits that real stores have.
//
// A Server holds the mailboxes and outlives the Stores that are opened on it, so a test can let a "process" die and
// start another one. Several Stores may be open at once. The methods of Server are the user's hand: they change mailboxes behind
// the back of every Store, and they are not counted in Counts.
//
// # Invariants
//
//   - Every Store call sees and changes the mailboxes in one critical section, but for the yield functions,
//     which run without any lock: a yield may call anything.
//   - An id is never given to a second message. With server-assigned ids that holds per UIDVALIDITY, as in IMAP.
//   - Dates have a resolution of one second, as an INTERNALDATE has.
//   - Nothing is counted as an effect that did not change a mailbox.
package memory
