package imap_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"driftless/drivers"
	"driftless/tests/harness"
)

// TestNamespaces gives mailboxes the same names whatever the server's prefix and delimiter are.
func TestNamespaces(t *testing.T) {
	for _, c := range []struct{ name, format, extra string }{
		{"slash", "sdbox", ""},
		{"dot", "sdbox", "namespace inbox {\n separator = .\n}"},
		{"INBOX dot", "maildir", "namespace inbox {\n separator = .\n prefix = INBOX.\n}"},
		{"INBOX slash", "sdbox", "namespace inbox {\n separator = /\n prefix = INBOX/\n}"},
		{"shared", "sdbox", "namespace other {\n separator = /\n prefix = Other/\n type = public\n location = sdbox:%h/other\n list = yes\n}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := harness.StartDovecot(t, harness.Options{Format: c.format, Extra: c.extra})
			ctx := context.Background()
			if c.name == "shared" {
				d.Client("u").Create("Other/not ours")
			}
			st := open(t, options(t, d.Addr(), "u"))
			want := []string{"INBOX", "Sent", "Archiv/2024/März", "100%", "a & b", "INBOX2"}
			if c.name != "INBOX dot" { // Dovecot's Maildir++ does not hold a dot in any form but an escape, which it takes
				want = append(want, "dots.in.it", "%2E", "x/dots.in.it")
			}
			for _, name := range want {
				if err := st.Create(ctx, name); err != nil {
					t.Errorf("create %q: %v", name, err)
					continue
				}
				if err := st.Create(ctx, name); err != nil {
					t.Errorf("create %q again: %v", name, err)
				}
				m, err := st.Open(ctx, name)
				if err != nil {
					t.Errorf("open %q: %v", name, err)
					continue
				}
				appendAll(t, m, letters(1, 2))
				if err := m.Close(); err != nil {
					t.Error(err)
				}
			}
			fresh := open(t, options(t, d.Addr(), "u"))
			infos, err := fresh.List(ctx, nil)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, in := range infos {
				if strings.HasPrefix(in.Name, "Other") {
					t.Errorf("%q is not the user's own", in.Name)
				}
				if !in.NoSelect && in.Messages > 0 {
					got = append(got, in.Name)
					if !in.Subscribed && in.Name != "INBOX" {
						t.Errorf("%q is not subscribed", in.Name)
					}
				}
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("listed %q, want %q", got, want)
			}
			if err := fresh.Rename(ctx, "Archiv/2024", "Archiv/2025"); err != nil {
				t.Errorf("rename: %v", err)
			}
			if err := fresh.Rename(ctx, "Sent", "INBOX2"); !errors.Is(err, drivers.ErrExists) {
				t.Errorf("rename to one that exists: %v", err)
			}
			if m, err := st.Open(ctx, "Archiv/2025/März"); err != nil {
				t.Errorf("after rename: %v", err)
			} else if all, _ := observe(t, m, "", drivers.Full); len(all) != 1 {
				t.Errorf("%d messages after rename", len(all))
			}
			if err := st.Delete(ctx, "Sent"); err != nil {
				t.Error(err)
			}
			if _, err := fresh.Open(ctx, "Sent"); !errors.Is(err, drivers.ErrNoMailbox) {
				t.Errorf("open after delete: %v", err)
			}
			if err := st.Delete(ctx, "Sent"); !errors.Is(err, drivers.ErrNoMailbox) {
				t.Errorf("delete again: %v", err)
			}
		})
	}
}
