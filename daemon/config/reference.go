package config

import (
	"fmt"
	"slices"
	"strings"
)

// Key describes a key of the configuration.
type Key struct {
	Table    string   // "" for the top, "accounts.NAME", "accounts.NAME.guard", ...
	Name     string   // as in the file
	Type     string   // in words
	Default  string   // as in the file, or in words; "" if there is none
	Values   []string // the words that are valid, if it is a word
	Required bool
	Doc      string // one or more sentences, Markdown
	Later    string // which values this version refuses as "not supported yet", Markdown; "" if none
}

// Reference returns every key, in the order in which a file would have them. A key of one driver stands in a table
// with the driver's name behind it, such as "accounts.NAME.left (imap)"; right has the same keys.
func Reference() []Key {
	var out []Key
	add := func(table string, fields []field) {
		for _, f := range fields {
			k := f.Key
			k.Table = table
			k.Values = slices.Clone(k.Values)
			out = append(out, k)
		}
	}
	add("", topFields(&Config{}))
	add("accounts.NAME", accountFields(&Account{}))
	add("accounts.NAME.guard", guardFields(&Guard{}))
	add("accounts.NAME.left (maildir)", maildirFields(&Maildir{}))
	add("accounts.NAME.left (imap)", imapFields(&IMAP{}))
	return out
}

// Markdown returns the reference as the tables of docs/configuration.md.
func Markdown() string {
	titles := map[string]string{
		"":                             "Top level",
		"accounts.NAME":                "`[accounts.NAME]`",
		"accounts.NAME.guard":          "`[accounts.NAME.guard]`, or `guard = { ... }`",
		"accounts.NAME.left (maildir)": "`[accounts.NAME.left]` and `right` with `driver = \"maildir\"`",
		"accounts.NAME.left (imap)":    "`[accounts.NAME.left]` and `right` with `driver = \"imap\"`",
	}
	var b strings.Builder
	table := "-"
	for _, k := range Reference() {
		if k.Table != table {
			table = k.Table
			fmt.Fprintf(&b, "\n### %s\n\n| key | type | default | meaning |\n|---|---|---|---|\n", titles[table])
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", k.Name, cell(k.typeText()), cell(k.defaultText()), cell(k.docText()))
	}
	return strings.TrimPrefix(b.String(), "\n")
}

func (k Key) typeText() string {
	if len(k.Values) == 0 {
		return k.Type
	}
	words := make([]string, len(k.Values))
	for i, v := range k.Values {
		words[i] = "`" + v + "`"
	}
	return strings.Join(words, " ")
}

func (k Key) defaultText() string {
	switch {
	case k.Required:
		return "required"
	case k.Default == "":
		return "-"
	case strings.Contains(k.Default, "`") || strings.Contains(k.Default, " "):
		return k.Default
	}
	return "`" + k.Default + "`"
}

func (k Key) docText() string {
	if k.Later == "" {
		return k.Doc
	}
	return k.Doc + " Not supported yet: " + k.Later + "."
}

func cell(s string) string { return strings.ReplaceAll(s, "|", "\\|") }
