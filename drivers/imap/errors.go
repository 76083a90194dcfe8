package imap

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"driftless/drivers"
)

// refusal is a NO or BAD from the server, with its own words.
type refusal struct {
	st *status
}

func (r *refusal) Error() string {
	s := "server said " + r.st.kind
	if r.st.code != "" {
		s += " [" + r.st.code + "]"
	}
	if r.st.text != "" {
		s += " " + r.st.text
	}
	return s
}

// ok reports whether the command was answered with OK.
func (c *command) ok() bool { return c.st != nil && c.st.kind == "OK" }

// refused returns what the server said when the command was not answered with OK, nil otherwise.
func (c *command) refused() error {
	if c.ok() {
		return nil
	}
	if c.st == nil {
		return errServerClosed
	}
	return &refusal{c.st}
}

// classify wraps err with what was tried, its reach and its retry class. A *drivers.Error passes unchanged.
func classify(op, where string, reach drivers.Reach, err error) error {
	var de *drivers.Error
	if err == nil || errors.As(err, &de) {
		return err
	}
	e := &drivers.Error{Op: op, Where: where, Reach: reach, Retry: drivers.RetryLater, Err: err}
	var ref *refusal
	var pe *protocolError
	switch {
	case errors.As(err, &ref):
		e.Retry, e.After = retryOf(ref.st)
		if sentinel := sentinelOf(ref.st); sentinel != nil {
			e.Err = fmt.Errorf("%w (%v)", sentinel, err)
		}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		e.Reach = drivers.ReachStore
	case errors.As(err, &pe):
		e.Reach = drivers.ReachMailbox
	case errors.Is(err, drivers.ErrNoMailbox), errors.Is(err, drivers.ErrStale), errors.Is(err, drivers.ErrGone), errors.Is(err, drivers.ErrChanged):
		e.Retry = drivers.RetryNow
	case errors.Is(err, drivers.ErrTooBig), errors.Is(err, drivers.ErrReadOnly), errors.Is(err, drivers.ErrExists), errors.Is(err, errName), errors.Is(err, errInbox):
		e.Retry = drivers.RetryNever
	case isTLS(err):
		e.Reach, e.Retry = drivers.ReachStore, drivers.RetryNever
	default:
		e.Reach = drivers.ReachStore // the connection
	}
	return e
}

// sentinelOf translates response codes (RFC 5530, RFC 3501, RFC 7889) to errors that callers tell apart.
func sentinelOf(st *status) error {
	switch st.code {
	case "NONEXISTENT", "TRYCREATE":
		return drivers.ErrNoMailbox
	case "ALREADYEXISTS":
		return drivers.ErrExists
	case "TOOBIG":
		return drivers.ErrTooBig
	case "READ-ONLY":
		return drivers.ErrReadOnly
	case "OVERQUOTA":
		return drivers.ErrQuota
	}
	return nil
}

var backoffText = regexp.MustCompile(`(?i)backoff time:? *([0-9]{1,9}) *(milliseconds|ms|seconds|s)\b`)

// temporary are words in which servers without response codes say that trying later may help.
var temporary = []string{"try again", "temporar", "too many", "maximum number", "throttl", "backoff", "busy", "in use", "quota", "rate limit", "unavailable", "internal error"}

// retryOf tells from a refusal when trying again makes sense, and after which time if the server said so.
func retryOf(st *status) (drivers.Retry, time.Duration) {
	var after time.Duration
	if m := backoffText.FindStringSubmatch(st.text); m != nil {
		n, err := strconv.ParseInt(m[1], 10, 64)
		if err == nil {
			after = time.Duration(n) * time.Millisecond
			if strings.HasPrefix(strings.ToLower(m[2]), "s") {
				after = time.Duration(n) * time.Second
			}
			return drivers.RetryLater, min(after, 24*time.Hour)
		}
	}
	switch st.code {
	case "OVERQUOTA", "LIMIT", "THROTTLED", "INUSE", "UNAVAILABLE", "SERVERBUG", "CORRUPTION", "CONTACTADMIN":
		return drivers.RetryLater, 0
	case "NONEXISTENT", "TRYCREATE", "EXPUNGEISSUED", "ALREADYEXISTS":
		return drivers.RetryNow, 0
	case "TOOBIG", "NOPERM", "CANNOT", "CLIENTBUG", "AUTHENTICATIONFAILED", "AUTHORIZATIONFAILED", "EXPIRED", "PRIVACYREQUIRED", "UNKNOWN-CTE", "BADCHARSET":
		return drivers.RetryNever, 0
	}
	low := strings.ToLower(st.text)
	for _, w := range temporary {
		if strings.Contains(low, w) {
			return drivers.RetryLater, 0
		}
	}
	return drivers.RetryNever, 0
}

// isTLS reports whether the error is about certificates: it stays until somebody changes something.
func isTLS(err error) bool {
	var cv *tls.CertificateVerificationError
	var ua x509.UnknownAuthorityError
	var hn x509.HostnameError
	var ci x509.CertificateInvalidError
	return errors.As(err, &cv) || errors.As(err, &ua) || errors.As(err, &hn) || errors.As(err, &ci)
}

// explainTLS adds what a person can do about a certificate.
func explainTLS(host string, err error) error {
	var ua x509.UnknownAuthorityError
	var hn x509.HostnameError
	var ci x509.CertificateInvalidError
	var rh tls.RecordHeaderError
	switch {
	case errors.As(err, &ci) && ci.Reason == x509.Expired:
		return fmt.Errorf("the certificate of %s has expired or is not valid yet (check this machine's clock, too): %w", host, err)
	case errors.As(err, &hn):
		return fmt.Errorf("the certificate was issued for another name than %s: %w", host, err)
	case errors.As(err, &ua):
		return fmt.Errorf("the certificate of %s is signed by an unknown authority (name its CA file if you trust it): %w", host, err)
	case errors.As(err, &rh):
		return fmt.Errorf("%s does not speak TLS on this port (implicit TLS is usually port 993, starttls port 143): %w", host, err)
	}
	return fmt.Errorf("TLS with %s: %w", host, err)
}

// yieldError carries an error of a caller's yield through the reader, unchanged.
type yieldError struct{ err error }

func (e *yieldError) Error() string { return e.err.Error() }

// yielded wraps what a yield returned from inside a handler.
func yielded(err error) error {
	if err == nil {
		return nil
	}
	return &yieldError{err}
}
