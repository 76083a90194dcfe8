// Package faultfs is a file system for tests: it passes everything on to a directory behind it, sees each effect before it happens, in order, and can
// let it fail, cut it short, or stop answering at all, as if the process were gone. Afterwards it can write down what a disk would hold after a
// power cut at any of these effects.
//
// It is a FUSE file system that the test process serves itself, so that programs in other processes meet the same faults as code in the test. Inode numbers,
// times, hard links and flock(2) are those of a real file system; nothing is cached, so each read and each write arrives here.
//
// # Invariants
//
//   - Effects happen one at a time, each under a number: N counts from 1 since Mount, Mark or Reset, without a gap. The hook is called before the effect, in
//     the order of the numbers. It must not use the mount itself, and must not call Fatal: it runs on a goroutine of the file system. What it
//     shares with the test needs a lock or an atomic.
//   - What the trace says happened is what the directory behind shows, and the other way round: the model that Image uses, played to the end of the
//     trace without a loss, equals it. A test compares them.
//   - Reading, looking up and listing are no effects: they have no number and no hook, and fail only by SetReadFault and while the file system is frozen.
//
// # A file system served by the process that uses it
//
// Some system calls of the Go runtime expect not to block, and would wait for ever for an answer that this process would have to give. So: do not map a file into
// memory, do not start a program that lies on the mount, and do not start one with a working directory on the mount. Everything else, starting other programs
// while files are open included, works: files are closed without asking the file system.
package faultfs
