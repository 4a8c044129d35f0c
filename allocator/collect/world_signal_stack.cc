#include "allocator/collect/world.h"
#include "os/check.h"
#include "os/kernel_bugs.h"

// The signal stack of a thread with mutators.
//
// A thread has one signal stack, but may have mutators of several heaps. The first of them that wants one brings it, and
// the others find that there is one already. When the mutator that has brought it goes, or is parked, it hands it on to
// another one of the thread, if there is one that wants it; the last takes it away.
//
// All of it is called by the mutator's thread. What senders of signals must know of the stack stands in the stop signal's
// own records.

namespace acre {

bool World::WantsSignalStack() const {
  return signal_ != 0 && (mutators_.load(std::memory_order_relaxed) != 0 || os::HasSignalVectorBug());
}

// False: it wants one, the thread has none, and there is no memory.
bool World::InstallSignalStack(Standing& standing) {
  os::SignalStack& stack = standing.signal_stack;
  if (!standing.wants_signal_stack || os::CurrentSignalStack().limit != 0) return true;
  if (!stack.is_created() && stack.Create(os::KernelMemoryCalls()) != Status::kOk) return false;
  if (!stack.Install()) stack.Destroy();  // The system refuses: handlers run on the normal stack.
  return true;
}

// REQUIRES: it is not on the thread's list any more. Afterwards the thread does not use its stack.
void World::LeaveSignalStack(Standing& standing) {
  os::SignalStack& stack = standing.signal_stack;
  if (!stack.is_created()) return;
  Standing* heir = nullptr;
  ForEachOfThread([&](Standing& other) {
    if (other.wants_signal_stack) heir = &other;
  });
  if (heir != nullptr && !heir->signal_stack.is_created()) {
    heir->signal_stack.TakeOver(stack);
    return;
  }
  if (!stack.Uninstall()) os::Fatal("a mutator is detached by a handler on its thread's signal stack");
  if (heir != nullptr) (void)heir->signal_stack.Install();  // It was parked, and came with one of its own.
  os::StopSignal::NoteSignalStack();
}

}  // namespace acre
