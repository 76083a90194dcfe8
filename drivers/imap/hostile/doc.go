// Package hostile is an IMAP server that misbehaves where a test wants it to.
//
// It is a liar in the middle: it stands before an honest server (Options.Upstream), passes everything on, and breaks the rules at just the
// points that its script names. So a client gets as far as it would in real life. Without an upstream only the script speaks, and every
// other command is answered BAD.
//
// Cases lists the ready-made scripts, each with what it does and whether a client can do its work all the same; the driver's own tests and the
// black-box tests run the same list.
//
// # Invariants
//
//   - Nothing a client sends makes the server use more than a line and a small buffer of memory, and no script does.
//   - After Close no goroutine is left and the port is free, also when a script is sending without end.
package hostile
