// Package drivertest checks that a driver keeps the contract of package drivers, and helps to test what is built on drivers.
//
//   - Run is the conformance suite. Each driver's tests call it with a Factory.
//   - NewFaulty wraps a Store so that a fault happens at one numbered point, for tests that try every point.
//   - Message builds messages, Compare tells how two stores differ.
//
// # How a driver calls the suite
//
//	drivertest.Run(t, func(t *testing.T) drivertest.Subject {
//		dir := t.TempDir()
//		return drivertest.Subject{
//			Open:   func(ctx context.Context) (drivers.Store, error) { return maildir.Open(ctx, ...) },
//			Traits: drivertest.Traits{Reserves: true, TellsIDs: true, Quiet: true},
//		}
//	})
//
// The Factory is called once for each test and must give mailboxes of its own, with an empty INBOX. Open may be called several times for
// one Subject, and the Stores are used at once. The suite never asks for what Traits do not declare, but what they do declare, it wants always.
package drivertest
