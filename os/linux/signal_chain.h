#pragma once

// The application's own actions for a signal whose handler is ours, and how they are run as the kernel would run them.
//
// There may be several. An application may install a handler over ours which calls, when it is done, what it replaced:
// us. Once ours is on top of it again that would be a circle. So actions are kept in the order in which they were
// installed, and a handler that calls ours from inside of its own call gets the action beneath its own, which is what
// it would have got without us.
//
// Handlers read the chain without a lock: an action, once published, never changes.

#include <signal.h>

#include <array>
#include <atomic>
#include <cstddef>

namespace acre::os {

struct ChainedAction {
  struct sigaction action;
  const ChainedAction* beneath;
  mutable std::atomic<bool> is_spent;  // An action for one signal only (SA_RESETHAND) that has had it.
};

class SignalChain {
 public:
  // Puts an action on top; one that has been on top before gets its old place back, with what was beneath it then. With
  // 32 different ones known already, writes a line and leaves the chain as it is. The caller holds a lock.
  void Push(const struct sigaction& action);

  // Does what the application wants done. In our handler for the signal, with the handler's arguments; may change the
  // set of blocked signals until the handler returns; may not return.
  void Run(int signal, siginfo_t* info, void* context) const;

 private:
  static constexpr size_t kMaxActions = 32;

  ChainedAction* Find(const struct sigaction& action);

  std::array<ChainedAction, kMaxActions> actions_{};
  size_t count_ = 0;                                // Guarded by the caller's lock, as the writing of actions_ is.
  std::atomic<const ChainedAction*> top_{nullptr};  // Release by Push, acquire by Run.
};

}  // namespace acre::os
