package maildir

import (
	"slices"
	"strings"

	"driftless/merge"
)

// Files of a Maildir are called UNIQUE[,FIELD...][:2,LETTERS[,MORE]]. Only UNIQUE and LETTERS mean something here, the rest is kept as it is.

// noUnique is the id of a file whose unique part is empty; no unique part can be equal to it.
const noUnique = ":"

// infoMark separates a name and its letters.
const infoMark = ":2,"

// uniquePart returns the id of a file name.
func uniquePart(file string) string {
	if i := strings.IndexAny(file, ",:"); i == 0 {
		return noUnique
	} else if i > 0 {
		return file[:i]
	}
	return file
}

// splitName cuts a file name into what precedes the info part, the letters, and what follows the letters (a further set
// of flags that some programs add). has is false when there is no info part.
func splitName(file string) (base, letters, more string, has bool) {
	i := strings.LastIndexByte(file, ':')
	if i < 0 || !strings.HasPrefix(file[i:], infoMark) {
		return file, "", "", false
	}
	base, letters = file[:i], file[i+len(infoMark):]
	if j := strings.IndexByte(letters, ','); j >= 0 {
		letters, more = letters[:j], letters[j:]
	}
	return base, letters, more, true
}

// verbatimField, among the fields of a name, says that the content is sent as it is. Only content with bare LF and no CRLF needs
// it, to be told from content whose CRLF was shortened.
const verbatimField = ",E=v"

// isVerbatim reports whether a file name has the verbatim field.
func isVerbatim(file string) bool {
	base, _, _, _ := splitName(file)
	_, fields, _ := strings.Cut(base, ",")
	return strings.Contains(","+fields+",", verbatimField+",")
}

// systemLetters is in the order of the letters, as the Maildir specification wants them.
var systemLetters = [...]struct {
	letter byte
	flag   merge.System
}{
	{'D', merge.Draft},
	{'F', merge.Flagged},
	{'P', merge.Forwarded},
	{'R', merge.Answered},
	{'S', merge.Seen},
	{'T', merge.Deleted},
}

// systemOf returns the system flags that letters stand for.
func systemOf(letters string) merge.System {
	var s merge.System
	for _, l := range systemLetters {
		if strings.IndexByte(letters, l.letter) >= 0 {
			s |= l.flag
		}
	}
	return s
}

// flagsOf returns the flags of a file name, with the keyword table of its mailbox.
func flagsOf(file string, kw *keywords) merge.Flags {
	_, letters, _, _ := splitName(file)
	f := merge.SystemFlags(systemOf(letters))
	if names := kw.named(letters); len(names) > 0 {
		f = f.Union(merge.NewFlags(names...))
	}
	return f
}

// lettersFor returns the letters for a message that had the letters old and is to have the flags want; letters that nobody can name are
// kept. The keywords of want without a letter are returned as rest.
func lettersFor(old string, want merge.Flags, kw *keywords) (letters string, rest []string) {
	var out []byte
	for _, l := range systemLetters {
		if want.System()&l.flag != 0 {
			out = append(out, l.letter)
		}
	}
	for i := range len(old) {
		c := old[i]
		if known := systemOf(string(c)) != 0 || kw.name(c) != ""; !known {
			out = append(out, c)
		}
	}
	names := want.Keywords()
	if want.System()&merge.Forwarded != 0 {
		// Dovecot has no P: it keeps $Forwarded among the keywords, if at all.
		if c, ok := kw.letter("$Forwarded"); ok {
			out = append(out, c)
		}
	}
	for _, n := range names {
		if c, ok := kw.letter(n); ok {
			out = append(out, c)
		} else {
			rest = append(rest, n)
		}
	}
	slices.Sort(out)
	return string(slices.Compact(out)), rest
}

// withLetters returns the file name with other letters.
func withLetters(file, letters string) string {
	base, _, more, _ := splitName(file)
	return base + infoMark + letters + more
}

// withUnique returns the file name with another unique part.
func withUnique(file, unique string) string {
	return unique + strings.TrimPrefix(file, strings.TrimSuffix(uniquePart(file), noUnique))
}
