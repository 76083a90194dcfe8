package maildir

import (
	"strings"
	"testing"

	"driftless/drivers"
	"driftless/merge"
)

func TestFileNames(t *testing.T) {
	kw := parseKeywords([]byte("0 $Junk\n2 work\n"))
	for _, c := range []struct{ file, id, flags string }{
		{"u", "u", "()"},
		{"u:2,", "u", "()"},
		{"u:2,S", "u", `(\Seen)`},
		{"u:2,DFPRST", "u", `(\Seen \Answered \Flagged \Deleted \Draft $Forwarded)`},
		{"u:2,TSRPFD", "u", `(\Seen \Answered \Flagged \Deleted \Draft $Forwarded)`},
		{"u,S=12,W=13:2,Sac", "u", `(\Seen $Junk work)`},
		{"u:2,Sbz", "u", `(\Seen)`},
		{"u:2,S,a", "u", `(\Seen)`},
		{"u:1,S", "u", "()"},
		{"u;2,S", "u;2", "()"},
		{"u!2,S", "u!2", "()"},
		{":2,S", noUnique, `(\Seen)`},
		{",x", noUnique, "()"},
		{"u:x:2,F", "u", `(\Flagged)`},
	} {
		if id := uniquePart(c.file); id != c.id {
			t.Errorf("%q has the id %q, want %q", c.file, id, c.id)
		}
		if f := flagsOf(c.file, kw).String(); f != c.flags {
			t.Errorf("%q has the flags %s, want %s", c.file, f, c.flags)
		}
	}
}

func TestLettersKeepWhatNobodyKnows(t *testing.T) {
	kw := parseKeywords([]byte("0 $Junk\n1 $Forwarded\n"))
	letters, rest := lettersFor("XSaz7", merge.NewFlags(`\Flagged`, "$junk", "unheard"), kw)
	if letters != "7FXaz" || len(rest) != 1 || rest[0] != "unheard" {
		t.Errorf("letters %q, rest %q", letters, rest)
	}
	// $Forwarded is P and the letter that Dovecot gave it; both come and go together.
	if letters, _ = lettersFor("", merge.NewFlags("$Forwarded"), kw); letters != "Pb" {
		t.Errorf("letters %q for $Forwarded, want Pb", letters)
	}
	if letters, _ = lettersFor("PSb", merge.NewFlags(`\Seen`), kw); letters != "S" {
		t.Errorf("letters %q without $Forwarded, want S", letters)
	}
	if got := withLetters("u,S=1:2,S,extra", "F"); got != "u,S=1:2,F,extra" {
		t.Errorf("got %q", got)
	}
}

func FuzzFileName(f *testing.F) {
	for _, s := range []string{"u", "u:2,S", "u,E=v:2,", ":2,S", ",", ":", "u:2,S,x:2,F", "a:1,b", "u:2,\xff", "ü:2,aZ"} {
		f.Add(s, uint8(3))
	}
	kw := parseKeywords([]byte("0 one\n1 two\n25 last\n"))
	f.Fuzz(func(t *testing.T, name string, bits uint8) {
		if name == "" || strings.ContainsAny(name, "/\x00") || strings.HasPrefix(name, ".") {
			return
		}
		want := merge.SystemFlags(merge.System(bits)).Union(merge.NewFlags("two"))
		_, old, _, _ := splitName(name)
		letters, rest := lettersFor(old, want, kw)
		if len(rest) > 0 {
			t.Fatalf("no letter for %q", rest)
		}
		next := withLetters(name, letters)
		if got := flagsOf(next, kw); !got.Equal(want) {
			t.Fatalf("%q became %q with flags %v, want %v", name, next, got, want)
		}
		if uniquePart(next) != uniquePart(name) {
			t.Fatalf("%q became %q: another id", name, next)
		}
		if isVerbatim(next) != isVerbatim(name) && strings.Contains(name, infoMark) {
			t.Fatalf("%q became %q: another meaning", name, next)
		}
		if again, _ := lettersFor(letters, want, kw); again != letters {
			t.Fatalf("letters %q became %q without a change", letters, again)
		}
		if fresh := withUnique(next, "fresh"); uniquePart(fresh) != "fresh" || !flagsOf(fresh, kw).Equal(want) {
			t.Fatalf("%q with a fresh unique part is %q", next, fresh)
		}
	})
}

func FuzzKeywords(f *testing.F) {
	f.Add([]byte("0 a\n1 b\n"), []byte(sidecarHead+"\n\"id\" \"k\"\n"))
	f.Add([]byte("x\n-1 a\n99 b\n3 \n3 c d\n"), []byte("driftless-keywords 2\n"))
	f.Add([]byte("0 a"), []byte(sidecarHead+"\n\"id"))
	f.Fuzz(func(t *testing.T, table, side []byte) {
		kw := parseKeywords(table)
		next := kw.with([]string{"added"})
		again := parseKeywords(next.lines)
		if again.names != next.names {
			t.Fatalf("table %q is read as %q, want %q", next.lines, again.names, next.names)
		}
		for i, n := range kw.names {
			if n != "" && again.names[i] != n {
				t.Fatalf("letter %d changed from %q to %q", i, n, again.names[i])
			}
		}
		extra, err := parseSidecar(side)
		if err != nil {
			return
		}
		back, err := parseSidecar(formatSidecar(extra))
		if err != nil || len(back) != len(extra) {
			t.Fatalf("%v entries came back as %v: %v", extra, back, err)
		}
	})
}

func FuzzCursor(f *testing.F) {
	f.Add("")
	f.Add(string(cursor{sure: true, count: 3, at: stamps{cur: stamp{1, 2, 3, -4}}}.encode()))
	f.Add("m1 + -1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0")
	f.Fuzz(func(t *testing.T, text string) {
		c, ok := decodeCursor(drivers.Cursor(text))
		if !ok {
			return
		}
		if back, ok := decodeCursor(c.encode()); !ok || back != c {
			t.Fatalf("%+v came back as %+v", c, back)
		}
	})
}
