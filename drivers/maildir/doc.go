// Package maildir is the driver for local Maildir trees: drivers.Store and drivers.Mailbox over directories
// with cur, new and tmp.
//
// # Layouts
//
// FS keeps the mailbox "A/B" in ROOT/A/B and the inbox in ROOT/INBOX; MaildirPlusPlus keeps "A/B" in ROOT/.A.B and the inbox in ROOT itself.
// What a layout cannot hold in a level of a name is written as "%" and two hexadecimal digits; see layout.go for the exact, bijective rule. Names that
// would lead outside the root are refused. Directories that start with a dot are not mailboxes in FS.
//
// # Messages
//
// An id is the unique part of a file name, up to the first "," or ":". Flags are the letters after ":2,"; keywords are lower-case letters named by Dovecot's
// dovecot-keywords file (26 of them); keywords beyond these 26 are in the file driftless-keywords beside it, by id (see sidecar.go). Letters that nobody
// can name are kept when a file is renamed. The date is the file's modification time, in seconds.
//
// Lines end in LF on disk and in CRLF on the wire. Content in which every LF follows a CR and no CR stands alone is stored with LF; any other is stored as
// it is. A file that has a CRLF anywhere is sent as it is, in any other each LF becomes CRLF. Content with bare LF and no CRLF at all would come back
// changed by that rule, so its file name gets the field ",E=v", which means "as it is" and stays with the file when clients rename it.
//
// # Invariants
//
//   - What a listing reports is durable, also where another program changed the directory and did not sync it.
//   - A message is delivered by tmp, fsync, rename without overwriting, fsync of the directory; a result is "done" only after the last of these. Directories
//     are synced once per batch.
//   - A listing is used only if the times (mtime, ctime, inode) of its directories were the same before and after it and old enough that a change during it
//     must have shown; otherwise the directories are listed again. A rename that a directory read missed can therefore never look like a deletion. When others
//     do not stop changing a mailbox for half a second, what several listings found together is what is there, and nothing is said about the rest. Where the file system's times are too coarse for that, two equal listings in a row are needed.
//   - A cursor proves "unchanged" by these times alone, without reading a directory. One that could be equal after a change never proves it.
//   - Renames and unlinks name the exact file that was seen: a message whose flags another program changes at that moment is looked for again.
//   - A root that was never synced and looks like one of the other layout is not opened (see CheckLayout).
//   - Locking the root writes nothing either: the lock is one of the directory itself (see lock.go for network file systems).
//   - Observing writes nothing, until a writing call was made on the store (EnsureIdentity included). What a killed process left in tmp is removed by
//     Look, if the store is locked (see litter.go).
//
// # Two files with one unique part
//
// The file with the lowest inode keeps the id. The others get a fresh unique part, durably, in the first listing after a writing call was made on the
// store; until then they are not yielded, and the cursor does not prove "unchanged", so that none is forgotten. Two names of one inode are one message.
package maildir
