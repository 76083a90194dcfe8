// Command driftless keeps two mail stores identical: two-way mail sync that cannot drift.
//
// # Contract
//
//   - This package is wiring: flags, output and exit codes. It is the one place that knows every concrete driver.
//   - stdout has results, stderr has diagnostics. With --json, stdout has one JSON object per line and nothing else.
//   - Exit codes: 0 in sync; 1 some mailbox or account failed; 2 usage or configuration; 3 something is held or in conflict;
//     4 interrupted.
//   - The first SIGINT or SIGTERM lets the running step finish, the second ends the process at once.
//   - No panic reaches the user, no secret and no mail content is printed.
package main
