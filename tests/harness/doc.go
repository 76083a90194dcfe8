// Package harness starts and handles what driftless is tested against: private Dovecot servers, a mail client of
// its own for either kind of store, a network that can be slow or break, the real program, and a corpus of real mail.
//
// # Contract
//
//   - Everything listens on loopback, lives in a temporary directory and ends with the test that asked for it. Only
//     processes that the harness started are ever signalled, by the process id it was given when it started them.
//   - What is needed and missing (Dovecot, root, the corpus) skips the test and says what is missing. With
//     REQUIRE_DOVECOT=1 in the environment a missing server is a failure instead, so that nothing is skipped unseen.
//   - The mail clients share no code with driftless's drivers: a bug there cannot hide itself.
//   - Everything may be used by parallel tests.
//
// # Environment
//
//	REQUIRE_DOVECOT=1   a server that cannot be started fails the test
//	DRIFTLESS_CORPUS    directory of the mail corpus; default ../shared/corpus beside the repository
//	DRIFTLESS_RACE=1    the program under test is built with the race detector
//	DRIFTLESS_BIG=1     the big, slow measurements run too
package harness
