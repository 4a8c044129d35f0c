#pragma once

// What the library has to tell when the process dies by a signal that the library did not raise.

namespace acre::os {

// From now on SIGSEGV, SIGBUS and SIGILL pass through a handler of ours, on the thread's signal stack. It writes the
// notes of os/kernel_bugs.h, if there are any to write and none have been written by it before, and then lets happen
// what would have happened without it: the handler that was there before is called as it asked to be, or the signal's
// default action ends the process, with the same core file. Any thread; later calls do nothing. False if the system
// refuses.
//
// A handler that is installed later takes our place, and calls us if it chains. One that repairs faults (barriers by
// page protection do) works on: the notes then come at the first fault, once.
bool InstallCrashNotes();

}  // namespace acre::os
