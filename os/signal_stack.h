#pragma once

// A stack for signal handlers of one thread, with a guard page below it.
//
//   SignalStack stack;
//   if (stack.Create(KernelMemoryCalls()) != Status::kOk) …  // Any thread, once.
//   stack.Install();                                         // The thread itself; its own stack is left alone.
//   …
//   if (stack.Uninstall()) stack.Destroy();                  // The thread itself, before it ends.
//
// Size. 64 KiB, or more where a signal frame needs it: handlers of the application that ask for SA_ONSTACK, and until
// now ran on the thread's normal stack for want of another, run on ours from then on, and some use tens of KiB. Only
// touched pages cost memory. On x86 the frame may grow after the stack was made, when the process asks for AMX, and the
// kernel refuses that while any thread's stack is too small for it: hence 16 KiB of reserve.
//
// The kernel bug. Where os/kernel_bugs.h says so, the top pages, onto which the kernel writes the frame, are locked
// into memory. The first refusal ends the attempts of the whole process, and nothing fails by it. `TouchBeforeSignal`
// then makes the pages present at the moment when it matters most. It does so for locked stacks as well, because a fork
// makes their pages copy-on-write, and the first write afterwards is a fault again; and for stacks that the application
// has set, which are its own to lock.
//
// A child of fork inherits the stack of the forking thread, but no lock: call LockAgainAfterFork there.

#include <cstddef>
#include <cstdint>

#include "os/memory_calls.h"
#include "os/status.h"

namespace acre::os {

class SignalStack {
 public:
  constexpr SignalStack() = default;
  ~SignalStack();  // REQUIRES: not created, or destroyed.
  SignalStack(const SignalStack&) = delete;
  SignalStack& operator=(const SignalStack&) = delete;

  // Maps and guards. REQUIRES: not created.
  Status Create(const MemoryCalls& calls);

  // Unmaps. REQUIRES: created, and no living thread has it installed.
  void Destroy();

  // Makes it the calling thread's signal stack and returns true; false, and no change, if the thread has one already
  // (or the kernel refuses).
  bool Install();

  // The calling thread has no signal stack any more if this one was it; a stack that the application has set meanwhile
  // stays. False, and no change, if the thread is running on this stack just now: it must not be destroyed then.
  [[nodiscard]] bool Uninstall();

  // The other's range becomes this one's, and stays installed where it is. In a child that a fork has cut off in between,
  // neither has it. REQUIRES: the other is created, this one is not.
  void TakeOver(SignalStack& other);

  // In the child of a fork, for the stack of the thread that forked.
  void LockAgainAfterFork();

  bool is_created() const { return limit_ != 0; }
  bool is_locked() const { return locked_bytes_ != 0; }

  // The usable range [base, limit); the guard lies below base.
  uintptr_t base() const { return base_; }
  uintptr_t limit() const { return limit_; }

 private:
  void LockTop();

  const MemoryCalls* calls_ = nullptr;
  uintptr_t base_ = 0;
  uintptr_t limit_ = 0;
  size_t locked_bytes_ = 0;  // At the top. Written before the stack is known to others, and in a forked child.
};

// The calling thread's, whoever has set it: [base, limit), 0 and 0 if it has none or a sandbox forbids to ask. A system
// call.
struct SignalStackBounds {
  uintptr_t base = 0;
  uintptr_t limit = 0;
};
SignalStackBounds CurrentSignalStack();

// On an affected kernel: makes the pages present that a signal frame at the top of this stack would be written to. To be
// called right before a signal is sent to the stack's thread (stop_signal.h does), by any thread. Contents do not change,
// even if a handler is running there; nothing happens to what is not mapped any more, or to what has been mapped in its
// place. A system call a page; else it costs a load.
void TouchBeforeSignal(SignalStackBounds stack);

// The bytes of the largest signal frame that the kernel writes for this CPU, in whole os pages: what is locked.
size_t SignalFrameBytes();

}  // namespace acre::os
