package maildir

import (
	"errors"
	"syscall"
	"time"
)

// writtenBack is the age at which a change of a directory is on the disk without anybody's help. Linux writes out what is dirty after some 35 seconds.
const writtenBack = 2 * time.Minute

// settle makes durable what other programs changed of late in the directories that a listing is about to report. Few of them sync a directory after they renamed a
// file; and a message that was reported, copied to the other side and then forgotten by the disk would look like one that its owner removed.
func (m *Mailbox) settle(at stamps) error {
	now := m.store.clock()
	recent := func(s stamp) bool { return s.exists() && now.Sub(time.Unix(0, s.ctime)) < writtenBack }
	var dirs []string
	if recent(at.cur) {
		dirs = append(dirs, m.dir+"/"+inCur.dir())
	}
	if recent(at.fresh) {
		dirs = append(dirs, m.dir+"/"+inNew.dir())
	}
	if recent(at.table) {
		dirs = append(dirs, m.dir)
	}
	for _, dir := range dirs {
		if err := m.store.disk.syncDir(dir); err != nil && !errors.Is(err, syscall.EROFS) && !errors.Is(err, syscall.ENOENT) {
			return m.fail("make durable what other programs changed", err)
		}
	}
	return nil
}
