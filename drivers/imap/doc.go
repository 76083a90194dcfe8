// Package imap is the driver for IMAP stores, over github.com/emersion/go-imap v1.
//
// # How a connection works
//
// go-imap's client keeps the connection, its tags and its life cycle; commands are executed through Client.Execute. What the server sends is read by
// wire, the net.Conn that the client is given: it bounds lines, literals and nesting, streams message bodies to memory or
// a spool file, and hands untagged data to the handler of the commands in flight. The client's own reader sees only the greeting and tagged
// lines, so no server can make it allocate, recurse or fail.
//
// A flight is a group of commands sent at once; it costs one round trip. A handler runs on the connection's reader, so a slow yield slows the server
// down by TCP alone, and a yield must not use the same store.
//
// # The ladder
//
//   - QRESYNC, after ENABLED named it: changes and expunges since a mod-sequence.
//   - CONDSTORE: changes since a mod-sequence; expunges are excluded by count, else found with UID SEARCH.
//   - RFC 3501: the flags of all messages.
//
// HIGHESTMODSEQ means something only where CONDSTORE is advertised; a mailbox without mod-sequences falls back to the last rung. A listing
// that is shorter than EXISTS is an error, not a listing.
//
// # Names
//
// Inside, a server's name is in modified UTF-7. A connection on which ENABLED named UTF8=ACCEPT (RFC 6855) translates it where it reads and writes, so
// that connections that could enable it and connections that could not agree on every name. 8-bit headers are announced on such a connection.
//
// # Choices
//
// Opening a mailbox that this store selected since the latest listing sends nothing: whatever is asked next selects it, and tells when it is gone.
// Messages are streamed to their spool file as one literal, whatever their size, instead of being asked for in pieces: memory is bounded all the same, and it
// costs no further round trips. The state of a mailbox is always asked for by selecting it anew, in one flight with the question: a pipelined NOOP may
// be put off by the server, and STATUS of the selected mailbox may be old. Messages with NUL are sent in ordinary literals at first, because
// servers alter less then. Mailboxes in other users' and shared namespaces are left out.
//
// # Invariants
//
//   - An id is UIDVALIDITY:UID; an effect on an id of another UIDVALIDITY than the selected one is refused with drivers.ErrStale.
//   - A cursor holds what one SELECT told, and what is yielded with it was asked for after that SELECT: it is never ahead of what was yielded.
//   - A SELECT separates: data that comes before its answer belongs to the mailbox before and is not used.
//   - A content is used only for the response that brought it.
//   - A message is called unreadable for a broken connection only if another message came through.
//   - No UID set from a server is expanded beyond the number of messages that were asked for.
//   - Nothing is sent in plain text after STARTTLS was asked for, and nothing that came before it is believed.
//   - No password and no message content is in any error or log line.
package imap
