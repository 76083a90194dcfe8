package hostile

// Case is a ready-made script. Give its Options an Upstream that offers what Needs says and holds at least one message of more than 2,000 bytes in INBOX.
type Case struct {
	Name     string
	Does     string // what the server does, for people
	Needs    Upstream
	Options  Options
	Works    bool // a client can do all its work in spite of it; otherwise it must report an error
	StartTLS bool // only when the client is told to use STARTTLS
}

// Upstream says which kind of honest server a case needs.
type Upstream int

// The kinds of upstream.
const (
	Any       Upstream = iota // any IMAP4rev1 server
	Condstore                 // one with CONDSTORE and QRESYNC
)

const fetch = `^UID FETCH .*(BODY|RFC822)(\.PEEK)?\[?\]?`

// Cases returns all ready-made scripts.
func Cases() []Case {
	return []Case{
		{Name: "bye at greeting", Does: "says BYE instead of a greeting",
			Options: Options{Greeting: "* BYE too many connections from your address\r\n", Bye: true}},
		{Name: "closed at once", Does: "closes without a greeting",
			Options: Options{Bye: true}},
		{Name: "garbage at greeting", Does: "greets with something that is not IMAP",
			Options: Options{Greeting: "SSH-2.0-OpenSSH_9.2\r\n\x00\x01\x02\xff\xfe)({}\r\n"}},
		{Name: "endless greeting", Does: "sends a greeting without end",
			Options: Options{Greeting: "* OK ", Fill: -1}},
		{Name: "wrong password", Does: "refuses the login",
			Options: Options{Commands: []Command{{On: `^(LOGIN|AUTHENTICATE)`, Send: "{tag} NO [AUTHENTICATIONFAILED] name or password is wrong\r\n"}}}},
		{Name: "STARTTLS refused", Does: "offers STARTTLS and refuses it", StartTLS: true,
			Options: Options{
				Greeting: "* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n",
				Commands: []Command{
					{On: `^CAPABILITY`, Send: "* CAPABILITY IMAP4rev1 STARTTLS\r\n{tag} OK done\r\n"},
					{On: `^STARTTLS`, Send: "{tag} NO not today\r\n"},
				}}},
		{Name: "STARTTLS not offered", Does: "does not offer STARTTLS", StartTLS: true,
			Options: Options{
				Greeting: "* OK [CAPABILITY IMAP4rev1] ready\r\n",
				Commands: []Command{
					{On: `^CAPABILITY`, Send: "* CAPABILITY IMAP4rev1\r\n{tag} OK done\r\n"},
					{On: `^STARTTLS`, Send: "{tag} BAD unknown command\r\n"},
				}}},
		{Name: "text after STARTTLS", Does: "agrees to STARTTLS and slips in an answer before TLS", StartTLS: true,
			Options: Options{
				Greeting: "* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n",
				Commands: []Command{
					{On: `^CAPABILITY`, Send: "* CAPABILITY IMAP4rev1 STARTTLS\r\n{tag} OK done\r\n"},
					{On: `^STARTTLS`, Send: "{tag} OK begin\r\n* CAPABILITY IMAP4rev1 QRESYNC\r\n", Close: true},
				}}},
		{Name: "garbage", Does: "answers LIST and SELECT with garbage",
			Options: Options{Commands: []Command{{On: `^(LIST|SELECT|EXAMINE|STATUS)`, Send: "* ))(( \x80\xff\x00 {}\r\n* LIST (\r\n* 99999999999999999999 FETCH\r\n{tag} MAYBE\r\n", Close: true}}}},
		{Name: "endless line", Does: "sends a line without end",
			Options: Options{Commands: []Command{{On: `^(SELECT|EXAMINE)`, Send: "* OK ", Fill: -1}}}},
		{Name: "4 GB literal", Does: "announces a literal of 4 GB",
			Options: Options{Commands: []Command{{On: fetch, Send: "* 1 FETCH (UID 1 BODY[] {4294967295}\r\n", Fill: 1 << 20, Close: true}}}},
		{Name: "4 GB literal in LIST", Does: "announces a mailbox name of 4 GB",
			Options: Options{Commands: []Command{{On: `^LIST`, Send: "* LIST () \"/\" {4294967295}\r\n", Fill: 1 << 20, Close: true}}}},
		{Name: "closed in a literal", Does: "closes in the middle of a literal",
			Options: Options{Literal: Literal{Larger: 1000, Close: true}}},
		{Name: "bad UIDs", Does: "tells UIDs that cannot be",
			Options: Options{Answers: []Answer{{On: `^(\* \d+ FETCH .*)UID \d+`, With: "${1}UID 0"}}}},
		{Name: "huge UIDs", Does: "tells UIDs that do not fit",
			Options: Options{Answers: []Answer{{On: `^(\* \d+ FETCH .*)UID \d+`, With: "${1}UID 99999999999"}}}},
		{Name: "no UIDVALIDITY", Does: "opens mailboxes without telling UIDVALIDITY",
			Options: Options{Answers: []Answer{
				{On: `^\* OK \[UIDVALIDITY .*`, With: "-"}, {On: `UIDVALIDITY \d+`, With: "UIDVALIDITY 0"}}}},
		{Name: "name that leads outside", Does: "lists mailboxes named ../ and absolute ones",
			Options: Options{Commands: []Command{{On: `^(LIST|XLIST)`, OnPass: "* LIST () \"/\" \"../../escaped\"\r\n* LIST () \"/\" \"a/../../../escaped\"\r\n* LIST () \"/\" \"/tmp/escaped\"\r\n"}}}},
		{Name: "silent", Does: "never answers a SELECT",
			Options: Options{Commands: []Command{{On: `^(SELECT|EXAMINE)`, Hang: true}}}},
		{Name: "QRESYNC not enabled", Does: "advertises QRESYNC and never says ENABLED", Needs: Condstore, Works: true,
			Options: Options{Answers: []Answer{{On: `^\* ENABLED.*`, With: "-"}}}},
		{Name: "HIGHESTMODSEQ without CONDSTORE", Does: "tells HIGHESTMODSEQ that never moves without offering CONDSTORE", Needs: Any, Works: true,
			Options: Options{Answers: []Answer{{On: `^(\* OK \[UIDVALIDITY .*)$`, With: "${1}\r\n* OK [HIGHESTMODSEQ 1] trust me"}}}},
		{Name: "chatty", Does: "says unasked and unknown things between the lines", Works: true,
			Options: Options{Answers: []Answer{{On: `^(\* (LIST|SEARCH|FLAGS).*)$`, With: "* XYZZY (\"nothing\" NIL)\r\n* OK [XUNKNOWN 1] by the way\r\n${1}"}}}},
	}
}
