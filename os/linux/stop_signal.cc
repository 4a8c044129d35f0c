#include "os/stop_signal.h"

#include <errno.h>
#include <signal.h>
#include <ucontext.h>

#include "os/check.h"
#include "os/kernel_bugs.h"
#include "os/linux/signal_chain.h"
#include "os/linux/signal_frame.h"
#include "os/linux/signal_mask.h"
#include "os/mutex.h"
#include "os/signal_stack.h"
#include "os/thread.h"

namespace acre::os {
namespace {

// Above every lock of a heap, whose order is allocator/base/lock_rank.h: a collector may hold any of them.
constexpr uint8_t kSignalTableRank = 250;

struct SignalTable {
  Mutex mutex{kSignalTableRank};  // Held with all signals blocked: a handler may want it.
  SignalChain chain;              // Pushed to under mutex, run anywhere.
  std::atomic<int> signal{0};     // 0 until ours is installed. Written under mutex, read anywhere.
  std::atomic<bool> has_fork_handler{false};
};

// One process has one action for a signal, and a handler has no argument by which to find a heap.
constinit SignalTable table;

// The thread's targets, newest first. Written by the thread, read by its handler, so the order of the writes is the
// program's and no fence is needed. The initial-exec model, because the dynamic one would call malloc on first use:
// in the handler.
constinit thread_local std::atomic<StopTarget*> targets [[gnu::tls_model("initial-exec")]] = nullptr;

// Distinguishes our signals from all others of the kind that carry a value.
void* Cookie() { return &table; }

bool HasCookie(const siginfo_t& info) { return info.si_code == SI_QUEUE && info.si_value.sival_ptr == Cookie(); }

// When the limit on queued signals is reached (all processes of a user share it), the kernel delivers a signal without
// what it carries, which looks like this. So does a kill(2) from outside of the pid name space.
bool HasLostItsSender(const siginfo_t& info) { return info.si_code == SI_USER && info.si_pid == 0; }

bool IsInRange(uintptr_t stack_pointer, uintptr_t base, uintptr_t limit) {
  return stack_pointer > base && stack_pointer <= limit;  // An empty stack's pointer is its limit.
}

void ReadAlternateStack(const stack_t& stack, StopFrame& frame) {
  const bool is_set = (stack.ss_flags & SS_DISABLE) == 0 && stack.ss_size != 0;
  frame.alternate_base = is_set ? reinterpret_cast<uintptr_t>(stack.ss_sp) : 0;
  frame.alternate_limit = is_set ? frame.alternate_base + stack.ss_size : 0;
  frame.is_on_alternate_stack =
      IsInRange(frame.handler_stack_pointer, frame.alternate_base, frame.alternate_limit) &&
      !IsInRange(frame.stack_pointer, frame.alternate_base, frame.alternate_limit);
}

void KeepSignalStack(SignalStackBounds stack) {
  for (StopTarget* target = targets.load(std::memory_order_relaxed); target != nullptr;
       target = target->next.load(std::memory_order_relaxed)) {
    target->signal_stack_base.store(stack.base, std::memory_order_relaxed);
    target->signal_stack_limit.store(stack.limit, std::memory_order_relaxed);
  }
}

// Calls each target of the thread. Whether one of them had been sent a signal that no handler has seen yet.
bool CallTargets(const StopFrame& frame) {
  bool was_sent = false;
  for (StopTarget* target = targets.load(std::memory_order_relaxed); target != nullptr;
       target = target->next.load(std::memory_order_relaxed)) {
    was_sent |= target->is_sent.exchange(false);
    target->on_stop(target, frame);
  }
  return was_sent;
}

void OnSignal(int signal, siginfo_t* info, void* context) {
  const int interrupted_errno = errno;
  const auto& machine_context = *static_cast<const ucontext_t*>(context);
  StopFrame frame = {};
  // The frame of this function lies below all that the kernel wrote, and no register of the interrupted code is only
  // here.
  frame.handler_stack_pointer = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  ReadSignalFrame(machine_context, frame);
  ReadAlternateStack(machine_context.uc_stack, frame);
  if (HasSignalVectorBug()) [[unlikely]] KeepSignalStack({frame.alternate_base, frame.alternate_limit});
  const bool was_sent = CallTargets(frame);
  const bool is_ours = HasCookie(*info) || (was_sent && HasLostItsSender(*info));
  if (!is_ours) {
    errno = interrupted_errno;
    table.chain.Run(signal, info, context);
  }
  errno = interrupted_errno;
}

// The kernel raises these at an instruction that failed.
constexpr int kFaultSignals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};

bool IsFaultSignal(int signal) {
  for (const int fault : kFaultSignals) {
    if (signal == fault) return true;
  }
  return false;
}

// A handler of the application that ran on a stopped thread would change what the collector looks at, so all signals
// are blocked; but a fault is never put off.
struct sigaction OurAction() {
  struct sigaction action = {};
  action.sa_sigaction = OnSignal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  sigfillset(&action.sa_mask);
  for (const int fault : kFaultSignals) sigdelset(&action.sa_mask, fault);
  return action;
}

bool IsOurs(const struct sigaction& action) {
  return (action.sa_flags & SA_SIGINFO) != 0 && action.sa_sigaction == OnSignal;
}

// Ours becomes the action for the signal, whatever it was. The caller holds the table's lock.
bool TakeOver(int signal) {
  struct sigaction found;
  if (sigaction(signal, nullptr, &found) != 0) return false;
  if (IsOurs(found)) return true;
  table.chain.Push(found);  // Before ours is installed, so that no signal is lost in between.
  const struct sigaction ours = OurAction();
  struct sigaction replaced;
  if (sigaction(signal, &ours, &replaced) != 0) return false;
  if (!IsOurs(replaced)) table.chain.Push(replaced);  // Mostly the same; else someone came between.
  return true;
}

siginfo_t OurInformation(int signal) {
  siginfo_t info = {};
  info.si_signo = signal;
  info.si_code = SI_QUEUE;  // Only such codes may be sent to another thread.
  info.si_pid = CurrentProcessId();
  info.si_uid = static_cast<uid_t>(SystemCall(SYS_getuid));
  info.si_value.sival_ptr = Cookie();
  return info;
}

// Whether the kernel (or a sandbox) lets us send at all: signal 0 only asks.
bool IsSendingAllowed() {
  siginfo_t info = OurInformation(0);
  return SystemCall(SYS_rt_tgsigqueueinfo, CurrentProcessId(), CurrentThreadId(), 0, &info) == 0;
}

// Only the thread that forked is left, under a new number, and with no signal pending.
void AfterForkInChild() {
  table.mutex.ResetAfterFork();
  const int32_t thread_id = CurrentThreadId();
  for (StopTarget* target = targets.load(std::memory_order_relaxed); target != nullptr;
       target = target->next.load(std::memory_order_relaxed)) {
    target->thread_id.store(thread_id);
    target->is_sent.store(false);
  }
}

// Outside of the table's lock: the C library may call malloc.
bool InstallForkHandler() {
  if (table.has_fork_handler.exchange(true)) return true;
  if (OnFork(nullptr, nullptr, &AfterForkInChild)) return true;
  table.has_fork_handler.store(false);
  return false;
}

}  // namespace

bool StopSignal::Install(int signal) {
  if (IsFaultSignal(signal) || !InstallForkHandler()) return false;
  (void)HasSignalVectorBug();  // Decided here, and not first in the handler.
  const AllSignalsBlocked blocked;
  const MutexLock lock(table.mutex);
  const int installed = table.signal.load();
  if (installed != 0) return installed == signal;
  if (!IsSendingAllowed() || !TakeOver(signal)) return false;
  table.signal.store(signal);
  return true;
}

void StopSignal::Register(StopTarget& target) {
  const int signal = table.signal.load();
  ASSERT(target.on_stop != nullptr);
  ASSERT(target.thread_id.load() == 0);
  target.is_sent.store(false);
  target.next.store(targets.load(std::memory_order_relaxed), std::memory_order_relaxed);
  targets.store(&target);
  target.thread_id.store(CurrentThreadId());
  if (signal == 0) return;
  NoteSignalStack();
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

void StopSignal::Unregister(StopTarget& target) {
  ASSERT(target.thread_id.load() == CurrentThreadId());
  target.thread_id.store(0);
  std::atomic<StopTarget*>* link = &targets;
  while (link->load(std::memory_order_relaxed) != &target) {
    CHECK(link->load(std::memory_order_relaxed) != nullptr);  // Registered, and by this thread.
    link = &link->load(std::memory_order_relaxed)->next;
  }
  // The only write to the list; `next` stays for a handler that is at the target now. There is none: it would have to
  // return before we go on.
  link->store(target.next.load(std::memory_order_relaxed));
}

void StopSignal::NoteSignalStack() {
  if (HasSignalVectorBug()) [[unlikely]] KeepSignalStack(CurrentSignalStack());
}

StopTarget* StopSignal::TargetsOfThread() { return targets.load(std::memory_order_relaxed); }

bool StopSignal::Send(const StopTarget& target) {
  const int32_t thread_id = target.thread_id.load();
  if (thread_id == 0) return false;
  target.is_sent.store(true);
  TouchBeforeSignal({target.signal_stack_base.load(std::memory_order_relaxed),
                     target.signal_stack_limit.load(std::memory_order_relaxed)});
  const int signal = table.signal.load();
  siginfo_t info = OurInformation(signal);
  const long result = SystemCall(SYS_rt_tgsigqueueinfo, CurrentProcessId(), thread_id, signal, &info);
  if (result == -ESRCH) return false;
  if (result != 0 && result != -EAGAIN) Fatal("a stop signal cannot be sent: error ", -result);
  return true;
}

bool StopSignal::IsGone(const StopTarget& target) {
  const int32_t thread_id = target.thread_id.load();
  if (thread_id == 0 || SystemCall(SYS_tgkill, CurrentProcessId(), thread_id, 0) != -ESRCH) return false;
  return target.thread_id.load() == thread_id;  // Else another thread has registered it meanwhile.
}

void StopSignal::Verify() {
  const int signal = table.signal.load();
  if (signal == 0) return;
  const AllSignalsBlocked blocked;
  const MutexLock lock(table.mutex);
  if (!TakeOver(signal)) Fatal("the handler of signal ", signal, " cannot be installed");
}

}  // namespace acre::os
