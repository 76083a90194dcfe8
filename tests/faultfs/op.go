package faultfs

import (
	"fmt"
	"syscall"
	"time"
)

// Kind is a kind of effect.
type Kind uint8

// The kinds of effects.
const (
	Create   Kind = iota + 1 // a new, empty file; Mode
	Write                    // Off, Data
	Truncate                 // to Off bytes, also to more than there are
	Sync                     // fsync or fdatasync of a file
	SyncDir                  // fsync of a directory
	Rename                   // to To, which it replaces
	Link                     // another name, To, for Path
	Unlink
	Mkdir // Mode
	Rmdir
	Times // sets the modification time; Time
	Chmod // Mode
	Chown
)

var kindNames = map[Kind]string{
	Create: "create", Write: "write", Truncate: "truncate", Sync: "fsync", SyncDir: "fsyncdir", Rename: "rename", Link: "link",
	Unlink: "unlink", Mkdir: "mkdir", Rmdir: "rmdir", Times: "utimens", Chmod: "chmod", Chown: "chown",
}

// String returns the kind's name.
func (k Kind) String() string {
	if s, ok := kindNames[k]; ok {
		return s
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Op is an effect that somebody asked for. Paths are relative to the mount, without a slash in front; that of a file that was removed while it was open is empty.
type Op struct {
	N    int // from 1
	Kind Kind
	Path string
	To   string    // Rename, Link
	Off  int64     // Write: where; Truncate: the new size
	Data []byte    // Write: what, in the trace as much of it as happened; nobody may change it
	Mode uint32    // Create, Mkdir, Chmod: permissions
	Time time.Time // Times: the modification time; zero if only the access time is set

	Done bool          // in the trace: it took place
	Err  syscall.Errno // in the trace: what the caller was told
	gone bool          // whoever asked was gone before the file system heard of it
}

// String describes the op in a line, without content.
func (o Op) String() string {
	s := fmt.Sprintf("%d %s %q", o.N, o.Kind, o.Path)
	switch o.Kind {
	case Write:
		s += fmt.Sprintf(" [%d, %d)", o.Off, o.Off+int64(len(o.Data)))
	case Truncate:
		s += fmt.Sprintf(" to %d", o.Off)
	case Rename, Link:
		s += fmt.Sprintf(" to %q", o.To)
	case Create, Sync, SyncDir, Unlink, Mkdir, Rmdir, Times, Chmod, Chown:
	}
	if o.Err != 0 {
		s += ": " + o.Err.Error()
		if o.Done {
			s += ", but it took place"
		}
	}
	return s
}

// Verdict is what becomes of an effect. The zero value lets it pass.
type Verdict struct {
	Before syscall.Errno // it does not take place, and this is reported
	After  syscall.Errno // it takes place, and this is reported nevertheless
	Short  int           // a write: only so many bytes are written, and so many are reported as written
	Freeze bool          // whatever comes afterwards, reads included, and the answer to this effect fail with EIO; with Before it does not take place
}

// ReadKind is a kind of question that changes nothing.
type ReadKind uint8

// The kinds of questions.
const (
	Read   ReadKind = iota + 1 // read from a file
	Open                       // open a file that exists
	List                       // open a directory to list it
	Lookup                     // look a name up; also the first half of every other use of a path
	Stat                       // attributes of what was looked up
)
