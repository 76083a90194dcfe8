// Package everystep interrupts syncs at every step they have. Its tests number each effect of a cycle (each operation on a file of a log or of a Maildir, each
// call of a driver) and repeat the cycle with a stop at that number: the process gone before or after the effect, an error reported though it
// happened or because it did not, the power cut with all that was not made durable lost or torn. Then a plain sync must make everything as the scenario wants it,
// as if nothing had happened, and leave nothing to do.
//
// The invariants that every test here checks, after every stop (see world.check): both sides hold exactly the scenario's messages, each as often as it should be
// there, with its flags and its date; nothing that was deleted on purpose comes back; verify with content finds no difference; a further sync writes
// nothing to a store and not a byte to a log; nothing is left open.
package everystep
