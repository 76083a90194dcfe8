// Package daemon is the roof over what keeps accounts in sync: config (the configuration file) and engine (one cycle
// of an account, with its two controllers). The service itself, which decides when cycles run, belongs here, too, and
// does not exist yet: until then `driftless sync` runs a cycle when it is called.
//
// # Invariants of everything below
//
//   - No concrete driver is imported: stores come as functions that open a drivers.Store.
//   - Everything that waits takes a context, and each goroutine has a parent that waits for it.
//   - No secret and no mail content is logged or put into an error.
package daemon
