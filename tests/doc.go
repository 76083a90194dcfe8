// Package tests has the black-box tests: they run the driftless program against real servers, other mail clients, broken networks and wrong
// input, and look only at what a user could see: both stores, exit codes, output, bytes on the wire.
//
// The tools for that are in tests/harness. See its documentation for the environment variables.
package tests
