package maildir

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

var layouts = []Layout{FS, MaildirPlusPlus}

func TestNamesOnDisk(t *testing.T) {
	for _, c := range []struct {
		layout     Layout
		name, disk string
	}{
		{FS, "INBOX", "INBOX"},
		{FS, "inbox", "INBOX"},
		{FS, "Inbox/Sub", "INBOX/Sub"},
		{FS, "Sub/inbox", "Sub/inbox"},
		{FS, "Archive/2020", "Archive/2020"},
		{FS, "Entwürfe", "Entwürfe"},
		{FS, "100% sure", "100% sure"},
		{FS, "..", "%2E."},
		{FS, ".", "%2E"},
		{FS, "a/../b", "a/%2E./b"},
		{FS, ".hidden", "%2Ehidden"},
		{FS, "a.b", "a.b"},
		{FS, "cur", "%63ur"},
		{FS, "new/tmp", "%6Eew/%74mp"},
		{FS, "current", "current"},
		{FS, "%63ur", "%2563ur"},
		{FS, "%63urry", "%63urry"},
		{FS, "tab\there", "tab%09here"},
		{FS, "%09", "%2509"},
		{FS, "%2509", "%252509"},
		{FS, "nul\x00", "nul%00"},
		{MaildirPlusPlus, "INBOX", "."},
		{MaildirPlusPlus, "InBox", "."},
		{MaildirPlusPlus, "Archive/2020", ".Archive.2020"},
		{MaildirPlusPlus, "v1.2/x", ".v1%2E2.x"},
		{MaildirPlusPlus, "..", ".%2E%2E"},
		{MaildirPlusPlus, ".", ".%2E"},
		{MaildirPlusPlus, "cur", ".cur"},
		{MaildirPlusPlus, "%2E", ".%252E"},
		{MaildirPlusPlus, "INBOX/Sub", ".INBOX.Sub"},
	} {
		got, err := c.layout.relative(c.name)
		if err != nil || got != c.disk {
			t.Errorf("%v: %q is %q on disk (%v), want %q", c.layout, c.name, got, err, c.disk)
		}
		if back := c.layout.nameOf(c.disk); back != canonical(c.name) {
			t.Errorf("%v: %q on disk is %q, want %q", c.layout, c.disk, back, canonical(c.name))
		}
	}
}

func TestNamesRefused(t *testing.T) {
	for _, l := range layouts {
		for _, name := range []string{"", "/", "/a", "a/", "a//b", "\xff", "a\xc3"} {
			if got, err := l.relative(name); !errors.Is(err, errName) {
				t.Errorf("%v: %q became %q, error %v; want it refused", l, name, got, err)
			}
		}
	}
	// The name of an empty level must not become the root or what is above it.
	for _, name := range []string{"%FF=", "%FF=/%FF="} {
		if got, err := MaildirPlusPlus.relative(name); !errors.Is(err, errName) {
			t.Errorf("%q became %q, error %v; want it refused", name, got, err)
		}
	}
}

// checkInside fails unless dir is a directory strictly inside the root, or the root itself.
func checkInside(t *testing.T, l Layout, name, rel string) {
	t.Helper()
	joined := filepath.Join("/root/mail", rel)
	if joined == "/root/mail" && l == MaildirPlusPlus && canonical(name) == inbox {
		return
	}
	if !strings.HasPrefix(joined, "/root/mail/") || joined != "/root/mail/"+rel {
		t.Fatalf("%v: %q is %q, which leads to %q", l, name, rel, joined)
	}
	for _, part := range strings.Split(rel, "/") {
		if part == "" || part == "." || part == ".." || reserved(part) || strings.ContainsRune(part, 0) {
			t.Fatalf("%v: %q is %q, with the part %q", l, name, rel, part)
		}
	}
}

func FuzzMailboxName(f *testing.F) {
	for _, s := range []string{"INBOX", "a/b", "..", "../../etc", "%2E%2E/x", "%25%32%45", "cur", "%63ur", "%2563ur", "%FF=", "%FF=ff", "%25FF=ff", "%00", "\x7f", "100%", "%%2500", "a%252E"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		for _, l := range layouts {
			rel, err := l.relative(name)
			if err != nil {
				continue
			}
			checkInside(t, l, name, rel)
			if back := l.nameOf(rel); back != canonical(name) {
				t.Fatalf("%v: %q is %q on disk, which is %q", l, name, rel, back)
			}
		}
	})
}

func FuzzDirectoryName(f *testing.F) {
	for _, s := range []string{"Sent", "a%2Eb", "%2E", "%252E", "a%25", "caf\xe9", "%FF=636166e9", "%25FF=ff", "x..y", "%63ur", ".", "100% sure", "a\tb"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, disk string) {
		if disk == "" || strings.ContainsAny(disk, "/\x00") || strings.HasPrefix(disk, ".") || reserved(disk) {
			return
		}
		for _, l := range layouts {
			rel := disk
			if l == MaildirPlusPlus {
				rel = "." + disk
			}
			name := l.nameOf(rel)
			if !utf8.ValidString(name) {
				t.Fatalf("%v: the directory %q has the name %q", l, rel, name)
			}
			if canonical(name) != name {
				continue // another case of the inbox
			}
			back, err := l.relative(name)
			if err != nil || back != rel {
				t.Fatalf("%v: the directory %q has the name %q, which is %q on disk (%v)", l, rel, name, back, err)
			}
		}
	})
}
