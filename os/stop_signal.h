#pragma once

// Stopping a thread by a signal: the part that one process has once.
//
// A process has one action for a signal, so this is the one place with state that belongs to no heap: the action that
// was there before ours, and for each thread the list of those who want to be told when it is interrupted. Heaps
// register with it; it outlives them.
//
// Every target of the interrupted thread is called at every stop signal, whoever sent it and whatever the signal says:
// the kernel merges signals that wait, so that what a delivered signal carries is what the first of several said. A
// target therefore decides by its own request word, and asks again until it is answered. What the signal carries
// decides only whether the application's own handler is called as well.
//
// Limits. A signal of the application that arrives while one of ours waits for the same thread is merged into ours and
// lost to it (microseconds, unless the thread has blocked the signal). SA_RESTART and SA_ONSTACK are always ours, so
// that the application's handler may run on the signal stack, and system calls go on where they would have ended with
// EINTR. Who replaces our handler, lets Verify see that, and then restores what it had replaced is still taken for its
// owner.

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace acre::os {

// What a stopped thread was doing, as the signal frame holds it. Points into the frame: valid until on_stop returns.
struct StopFrame {
  // Of the interrupted code; its red zone lies below. 0 where the port cannot tell.
  uintptr_t stack_pointer;
  // The general registers in the frame: whole words.
  const void* registers;
  size_t registers_bytes;
  // The vector registers in the frame, in whole words: all of the XSAVE area when the marks at both of its ends are
  // there, else the 512 bytes that are always there. Null and 0 if there are none.
  const void* vectors;
  size_t vectors_bytes;
  // In the handler: what lies above it on the alternate stack belongs to the frame.
  uintptr_t handler_stack_pointer;
  // The handler runs on another stack than the interrupted code.
  bool is_on_alternate_stack;
  // The thread's alternate signal stack, [base, limit), 0 and 0 if it has none. A stack_pointer in it means that a
  // handler was interrupted: what that handler had interrupted is on another stack, of which nothing is known.
  uintptr_t alternate_base;
  uintptr_t alternate_limit;
};

// One for each (thread, user of stop signals). Lives from Register to Unregister, and as long as anyone may call Send.
struct StopTarget {
  // Called in the signal handler, with every signal blocked but those of faults: async-signal-safe, no allocation, no
  // lock that the thread may hold. May wait, for as long as the thread is to be stopped. Does not register or
  // unregister, and returns. errno is kept for it.
  void (*on_stop)(StopTarget* self, const StopFrame& frame) = nullptr;

  std::atomic<StopTarget*> next{nullptr};  // Private: the thread's list. Written by the thread, read in its handler.
  std::atomic<int32_t> thread_id{0};       // 0 while not registered. Written by the thread, read by Send.
  mutable std::atomic<bool> is_sent{false};  // Private: set by Send, taken by the handler.
  // Private: the thread's signal stack as it was last seen, on kernels with the bug of os/kernel_bugs.h only. Written by the
  // thread and its handler, read by Send; of two stacks' bounds mixed up no harm comes.
  std::atomic<uintptr_t> signal_stack_base{0};
  std::atomic<uintptr_t> signal_stack_limit{0};
};

class StopSignal {
 public:
  // Installs the process-wide handler, at the first use; what was there is chained. Later calls change nothing. False
  // if the system refuses, if the signal is that of a fault, or if another signal has been chosen before. Any thread.
  [[nodiscard]] static bool Install(int signal);

  // Adds a target to the calling thread, and unblocks the signal in it if one is installed; without one the target is
  // only on the thread's list.
  static void Register(StopTarget& target);

  // To be called by a thread with targets that has changed its signal stack. On a kernel with the bug of os/kernel_bugs.h
  // Send touches the stack first; where the application changes its own, that is seen at the next signal.
  static void NoteSignalStack();

  // The calling thread's targets, newest first, chained by `next`; null: none.
  static StopTarget* TargetsOfThread();

  // By the same thread, before it ends. No on_stop call runs or begins after it; a signal that is still on its way
  // finds no target and does nothing.
  static void Unregister(StopTarget& target);

  // Sends the signal to the target's thread. True says that the thread was there, not that the signal will be handled
  // soon, nor (with a real-time signal and a full queue) at all. False if the target is not registered or its thread is
  // gone. Any thread, also one that is about to be stopped itself; one system call for the number of the process and
  // one that sends.
  [[nodiscard]] static bool Send(const StopTarget& target);

  // Whether the target is registered and its thread has ended all the same. Any thread; a system call.
  [[nodiscard]] static bool IsGone(const StopTarget& target);

  // Before each stop: if an application has replaced our handler, ours is installed again and theirs is chained. Any
  // thread; three system calls when all is well.
  static void Verify();
};

}  // namespace acre::os
