package maildir

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"strings"

	"driftless/merge"
)

// keywordsFile is Dovecot's table of keyword letters: lines of an index and a name, such as "0 $Junk"; index 0 is the letter a.
const keywordsFile = "dovecot-keywords"

const maxKeywords = 26

// keywords is the content of a dovecot-keywords file and of our sidecar. It is immutable once loaded.
type keywords struct {
	names [maxKeywords]string
	lines []byte // the file as it is, so that what we do not understand survives a rewrite
	extra map[merge.ID][]string
}

// parseKeywords reads a dovecot-keywords file. As Dovecot does, it skips lines that it does not understand; the last name of an index counts.
func parseKeywords(data []byte) *keywords {
	kw := &keywords{lines: data}
	for line := range bytes.Lines(data) {
		number, name, ok := strings.Cut(strings.TrimSuffix(string(line), "\n"), " ")
		i, err := strconv.Atoi(number)
		if !ok || err != nil || i < 0 || i >= maxKeywords || name == "" {
			continue
		}
		kw.names[i] = name
	}
	return kw
}

// name returns the keyword of a letter, "" if it has none.
func (kw *keywords) name(letter byte) string {
	if letter < 'a' || letter > 'z' {
		return ""
	}
	return kw.names[letter-'a']
}

// named returns the keywords of all letters that have one.
func (kw *keywords) named(letters string) []string {
	var out []string
	for i := range len(letters) {
		if n := kw.name(letters[i]); n != "" {
			out = append(out, n)
		}
	}
	return out
}

// letter returns the letter of a keyword, without regard to case.
func (kw *keywords) letter(name string) (byte, bool) {
	want := merge.NewFlags(name)
	for i, n := range kw.names {
		if n != "" && strings.EqualFold(n, name) && merge.NewFlags(n).Equal(want) {
			return 'a' + byte(i), true
		}
	}
	return 0, false
}

// missing returns those of the names that have no letter, each once.
func (kw *keywords) missing(f merge.Flags) []string {
	var out []string
	for _, n := range f.Keywords() {
		if _, ok := kw.letter(n); !ok {
			out = append(out, n)
		}
	}
	return out
}

// with returns the table with letters for names added, as far as letters are left.
func (kw *keywords) with(names []string) *keywords {
	out := &keywords{names: kw.names, extra: kw.extra}
	lines := bytes.Clone(kw.lines)
	if len(lines) > 0 && lines[len(lines)-1] != '\n' {
		lines = append(lines, '\n')
	}
	for _, n := range names {
		if _, ok := out.letter(n); ok {
			continue
		}
		for i := range out.names {
			if out.names[i] == "" {
				out.names[i] = n
				lines = append(strconv.AppendInt(lines, int64(i), 10), ' ')
				lines = append(append(lines, n...), '\n')
				break
			}
		}
	}
	out.lines = lines
	return out
}

// loadKeywords reads the table and the sidecar of a mailbox directory; a missing file is an empty one.
func loadKeywords(dir string) (*keywords, error) {
	data, err := readSmall(dir + "/" + keywordsFile)
	if err != nil {
		return nil, err
	}
	kw := parseKeywords(data)
	data, err = readSmall(dir + "/" + sidecarFile)
	if err != nil {
		return nil, err
	}
	kw.extra, err = parseSidecar(data)
	return kw, err
}

func readSmall(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return data, err
}
