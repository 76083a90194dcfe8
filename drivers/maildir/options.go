package maildir

import (
	"fmt"
	"time"
)

// Layout says where the mailboxes of a store are.
type Layout uint8

// The layouts.
const (
	FS              Layout = iota // ROOT/INBOX, ROOT/Sub/Folder
	MaildirPlusPlus               // ROOT itself is the inbox, ROOT/.Sub.Folder
)

// String returns the word that the configuration uses.
func (l Layout) String() string {
	switch l {
	case FS:
		return "fs"
	case MaildirPlusPlus:
		return "maildir++"
	}
	return fmt.Sprintf("layout(%d)", uint8(l))
}

// ParseLayout returns the layout that the configuration calls name ("fs" or "maildir++").
func ParseLayout(name string) (Layout, error) {
	switch name {
	case "fs", "":
		return FS, nil
	case "maildir++":
		return MaildirPlusPlus, nil
	}
	return FS, fmt.Errorf("unknown maildir layout %q, it is \"fs\" or \"maildir++\"", name)
}

// Options says which store to open and how.
type Options struct {
	Path    string           // the root directory
	Layout  Layout           // default FS
	Create  bool             // make the root if it is missing, with its identity
	Workers int              // files written at the same time by one Append; default 16
	Now     func() time.Time // the clock for new file names and undated messages; default time.Now
}

const defaultWorkers = 16
