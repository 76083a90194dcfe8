package tests

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"driftless/tests/harness"
)

// TestFromMbsync takes over a Maildir that a real mbsync made: nothing is copied. A mailbox whose name mbsync kept in the form of the wire is refused, until
// it is renamed.
func TestFromMbsync(t *testing.T) {
	t.Parallel()
	mbsync, err := exec.LookPath("mbsync")
	if err != nil {
		t.Skip("there is no mbsync here (Debian package isync)")
	}
	w := newWorld(t, harness.Full, "")
	w.c.Create("Archive/2023", "Größe")
	for i := range 60 {
		w.c.Append([]string{"INBOX", "Archive/2023", "Größe"}[i%3], harness.Letter{Body: wire(i, 600), Date: date(i), Flags: []string{`\Seen`, `\Flagged`}[:i%3]})
	}
	if err := os.MkdirAll(w.m.Root, 0o700); err != nil {
		t.Fatal(err)
	}
	config := w.p.Home + "/mbsyncrc"
	err = os.WriteFile(config, fmt.Appendf(nil, `IMAPAccount a
Host 127.0.0.1
Port %d
User u
Pass %s
%s None
AuthMechs LOGIN

IMAPStore far
Account a

MaildirStore near
Path %s/
Inbox %s/INBOX
SubFolders Verbatim

Channel c
%s :far:
%s :near:
Patterns *
Create Near
SyncState %s/
CopyArrivalDate yes
`, w.d.Port(), harness.Password, "SSLType", w.m.Root, w.m.Root, "Far", "Near", w.p.Home+"/mbsync"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(mbsync, "-q", "-c", config, "c").CombinedOutput(); err != nil {
		t.Fatalf("mbsync: %v\n%s", err, out)
	}
	r := w.p.Run("sync", "--json")
	if r.Code != 1 || !strings.Contains(r.Stdout+r.Stderr, "modified UTF-7") {
		t.Errorf("want exit code 1 and a word about modified UTF-7: %s", r)
	}
	if got := w.c.All().Count(); got != 60 {
		t.Fatalf("%d messages on the server, 60 before", got)
	}
	if err := os.Rename(w.m.Path("Gr&APYA3w-e"), w.m.Path("Größe")); err != nil {
		t.Fatal(err)
	}
	s := w.p.Sync(0)
	if s.Copied != (harness.PerSide{}) || w.c.All().Count() != 60 || w.m.All().Count() != 60 {
		t.Errorf("copied %+v; %d messages on the server, %d in the Maildir, 60 before", s.Copied, w.c.All().Count(), w.m.All().Count())
	}
	w.idle()
}
