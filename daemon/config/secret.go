package config

import (
	"fmt"
	"io"
	"log/slog"
)

// redacted is what is shown in the place of a secret.
const redacted = "[redacted]"

// Secret is a string that no formatting verb, encoder or logger shows. Reveal is the one way to it.
type Secret struct{ value string }

// NewSecret returns a secret with this value.
func NewSecret(value string) Secret { return Secret{value} }

// Reveal returns the secret itself. The result must not be put into an error, a log or any output.
func (s Secret) Reveal() string { return s.value }

// Empty reports whether there is nothing to hide.
func (s Secret) Empty() bool { return s.value == "" }

// String returns a fixed text.
func (Secret) String() string { return redacted }

// GoString returns a fixed text.
func (Secret) GoString() string { return redacted }

// Format writes a fixed text for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText returns a fixed text; it also covers TOML and map keys.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON returns a fixed text.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// LogValue returns a fixed text.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
