#pragma once

// Bugs of kernels that the library works around, and what it tells about them when a process dies.
//
// The one known so far: Linux 5.2 to 5.4 on x86 may give a thread wrong vector registers back when a signal is
// delivered onto a stack whose page must first be faulted in. A Move that a signal interrupts then writes bytes that
// were never in its source: the heap is corrupted with no fault of the program's. The cure is that the page is there:
// the tops of our signal stacks are locked into memory (os/signal_stack.h), and where the system refuses to lock, they
// are touched before a signal is sent, which leaves a gap. Whoever then looks at a crash should know of it: that is
// what the notes are for. docs/kernel-signal-vector-bug.md is written for that reader.
//
// The state is one of the process: the kernel is, and so is its limit on locked memory. All of it may be called by any
// thread; none allocates.

namespace acre::os {

// Whether the running kernel counts as affected: by its version, or because ACRE_DEBUG=kernelbug=1 says so. The first
// call makes a few system calls; later ones cost a load.
bool HasSignalVectorBug();

// Keeps the error number with which the kernel refused to lock memory, if it is the first, and never forgets it.
void KeepLockError(int error);

// The kept one; 0 if no lock has failed.
int FirstLockError();

// Writes three lines to standard error if a lock has failed, which was tried on an affected kernel only; otherwise
// nothing. Safe in a signal handler. Every fatal message is followed by it.
void WriteKernelBugNotes();

}  // namespace acre::os
