package maildir

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"regexp"
	"strings"
)

// ownName is what unique.next makes, without the host.
var ownName = regexp.MustCompile(`^\d+\.M\d+P\d+Q\d+R[0-9a-f]{16}\.`)

// isOwn reports whether a name in tmp was made by a store of ours on this machine, but not by this one.
func (u *unique) isOwn(name string) bool {
	_, host, _ := strings.Cut(u.mark, ".")
	head := ownName.FindString(name)
	return head != "" && name[len(head):] == host && !strings.HasSuffix(name, u.mark)
}

// sweep removes from tmp what an earlier process of ours left there when it was killed. It acts only while the store is locked: then none of them can be alive. It
// needs no fsync: what comes back after a power cut is removed the next time.
//
// After a kill the fate of the appends that were under way is asked for with Look, mailbox by mailbox; that is when this is called.
func (m *Mailbox) sweep(ctx context.Context) error {
	if m.store.locks.Load() == 0 {
		return nil
	}
	dir := m.dir + "/tmp/"
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return m.fail("look into tmp", err)
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if e.Type().IsRegular() && m.store.unique.isOwn(e.Name()) {
			if err := ignoreMissing(os.Remove(dir + e.Name())); err != nil {
				return m.fail("remove from tmp", err)
			}
		}
	}
	return nil
}
