#include "os/linux/signal_chain.h"

#include <ucontext.h>

#include <cstdint>

#include "os/check.h"
#include "os/linux/signal_mask.h"
#include "os/thread.h"

namespace acre::os {
namespace {

// The innermost chained handler that the thread is in.
struct ChainedCall {
  const void* context;          // Of the signal it was called for.
  uintptr_t frame;              // Of our function that called it: what it calls lies lower.
  const ChainedAction* action;
};

// The dynamic TLS model would call malloc on first use, from inside of a handler.
constinit thread_local ChainedCall current_call [[gnu::tls_model("initial-exec")]] = {};

bool IsSame(const struct sigaction& one, const struct sigaction& other) {
  return one.sa_sigaction == other.sa_sigaction && one.sa_flags == other.sa_flags &&
         ToKernelMask(one.sa_mask) == ToKernelMask(other.sa_mask);
}

bool IsIgnoredByDefault(int signal) {
  return signal == SIGURG || signal == SIGCHLD || signal == SIGWINCH || signal == SIGCONT;
}

// Lets the kernel do it: end, end with a core file, or stop the process. After a stop the handler is put back.
void TakeDefaultAction(int signal) {
  struct sigaction by_default = {};
  by_default.sa_handler = SIG_DFL;
  struct sigaction ours;
  if (sigaction(signal, &by_default, &ours) != 0) return;
  (void)SystemCall(SYS_tgkill, CurrentProcessId(), CurrentThreadId(), signal);
  const KernelSignalMask mask = SetSignalMask(~SignalBit(signal));
  (void)SetSignalMask(mask);
  (void)sigaction(signal, &ours, nullptr);
}

// The set that the kernel would have blocked if the handler were the application's alone.
KernelSignalMask MaskFor(const struct sigaction& action, int signal, const void* context) {
  KernelSignalMask mask = ToKernelMask(static_cast<const ucontext_t*>(context)->uc_sigmask);
  mask |= ToKernelMask(action.sa_mask);
  if ((action.sa_flags & SA_NODEFER) == 0) mask |= SignalBit(signal);
  return mask;
}

void CallHandler(const ChainedAction& chained, int signal, siginfo_t* info, void* context, uintptr_t frame) {
  const ChainedCall outer = current_call;
  current_call = {context, frame, &chained};
  (void)SetSignalMask(MaskFor(chained.action, signal, context));
  if ((chained.action.sa_flags & SA_SIGINFO) != 0) {
    chained.action.sa_sigaction(signal, info, context);
  } else {
    chained.action.sa_handler(signal);
  }
  current_call = outer;
}

// A handler that left by longjmp has left its entry behind. A later signal may well have its context at the same
// address, but then our frame is not below that of the entry.
bool IsCalledByChainedHandler(const void* context, uintptr_t frame) {
  return current_call.context == context && frame < current_call.frame;
}

}  // namespace

ChainedAction* SignalChain::Find(const struct sigaction& action) {
  for (size_t index = 0; index < count_; ++index) {
    if (IsSame(actions_[index].action, action)) return &actions_[index];
  }
  return nullptr;
}

void SignalChain::Push(const struct sigaction& action) {
  ChainedAction* chained = Find(action);
  if (chained == nullptr) {
    if (count_ == kMaxActions) {
      Line line;
      (line << "too many different handlers for the stop signal: the newest is not called").Write();
      return;
    }
    chained = &actions_[count_++];
    chained->action = action;
    chained->beneath = top_.load(std::memory_order_relaxed);
  }
  chained->is_spent.store(false, std::memory_order_relaxed);
  top_.store(chained, std::memory_order_release);
}

[[gnu::noinline]] void SignalChain::Run(int signal, siginfo_t* info, void* context) const {
  const auto frame = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  const ChainedAction* chained = IsCalledByChainedHandler(context, frame) ? current_call.action->beneath
                                                                          : top_.load(std::memory_order_acquire);
  if (chained == nullptr || chained->action.sa_handler == SIG_IGN) return;
  const bool is_for_one_signal = (static_cast<uint32_t>(chained->action.sa_flags) & uint32_t{SA_RESETHAND}) != 0;
  const bool is_default =
      chained->action.sa_handler == SIG_DFL || (is_for_one_signal && chained->is_spent.exchange(true));
  if (!is_default) {
    CallHandler(*chained, signal, info, context, frame);
  } else if (!IsIgnoredByDefault(signal)) {
    TakeDefaultAction(signal);
  }
}

}  // namespace acre::os
