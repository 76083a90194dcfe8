package maildir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"driftless/drivers"
)

// errLayout says that a root looks as if it had the other layout.
var errLayout = errors.New("the root has another layout than configured")

// CheckLayout returns an error, never to be retried, when what is at path looks like a Maildir tree of the other layout: its mail would not be seen, and what is written would be
// of no use to the programs that made it. It looks at the root and at the directories in it, and writes nothing. A root without any mail fits both layouts.
func CheckLayout(path string, layout Layout) error {
	fail := func(err error) error { return classify("check layout", path, drivers.ReachStore, err) }
	self, err := checkMaildir(path)
	if err != nil {
		return fail(err)
	}
	if layout == FS && self {
		return doubt(path, `it has cur and new itself, which the layout "fs" does not look at`, MaildirPlusPlus)
	}
	if layout == MaildirPlusPlus && self {
		return nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return fail(err)
	}
	for _, e := range entries {
		name := e.Name()
		dotted := strings.HasPrefix(name, ".")
		if e.Type().IsRegular() || dotted != (layout == FS) || reserved(name) || strings.HasPrefix(strings.TrimPrefix(name, "."), "driftless-deleted-") {
			continue
		}
		mailbox, err := checkMaildir(filepath.Join(path, name))
		switch {
		case err != nil && errors.Is(err, os.ErrPermission):
			continue // whose it is does not matter here; a listing reports it if it does there
		case err != nil:
			return fail(err)
		case mailbox && layout == FS:
			return doubt(path, fmt.Sprintf(`the mailbox in %q begins with a dot, and the layout "fs" does not look at such`, name), MaildirPlusPlus)
		case mailbox:
			return doubt(path, fmt.Sprintf(`it has no cur and new itself, and the mailbox in %q does not begin with a dot: the layout "maildir++" would make an inbox in the root and not look at the rest`, name), FS)
		}
	}
	return nil
}

func doubt(path, what string, other Layout) error {
	return &drivers.Error{
		Op: "open maildir", Where: path, Reach: drivers.ReachStore, Retry: drivers.RetryNever,
		Err: fmt.Errorf("%w: %s; write layout = %q for this store, or choose another path", errLayout, what, other),
	}
}

// checkNew is CheckLayout for a store that was never synced. One with a marker has been used with its layout before, even if the marker is damaged.
func (s *Store) checkNew() error {
	if id, err := s.readMarker(); id != "" || err != nil {
		return nil //nolint:nilerr // whoever needs the identity meets the error
	}
	return CheckLayout(s.root, s.layout)
}
