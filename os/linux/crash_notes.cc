#include "os/crash_notes.h"

#include <errno.h>
#include <signal.h>

#include <atomic>
#include <cstddef>

#include "os/kernel_bugs.h"
#include "os/linux/system_call.h"

namespace acre::os {
namespace {

constexpr int kCrashSignals[] = {SIGSEGV, SIGBUS, SIGILL};
constexpr size_t kCrashSignalCount = sizeof kCrashSignals / sizeof kCrashSignals[0];

// What was there before us. Written before our handler is installed, which makes it known to every thread.
constinit struct sigaction previous_actions[kCrashSignalCount] = {};
constinit std::atomic<bool> has_reset_previous[kCrashSignalCount] = {};  // SA_RESETHAND has been honoured.
constinit std::atomic<bool> is_installed{false};
constinit std::atomic<bool> has_written_notes{false};

size_t IndexOf(int signal) {
  size_t index = 0;
  while (index + 1 < kCrashSignalCount && kCrashSignals[index] != signal) ++index;
  return index;
}

// Whether the instruction that the handler returns to will fault again. Not so for a signal that someone sent, nor for
// a memory error that the machine reports ahead of its use.
bool WillRecur(const siginfo_t* info) {
  if (info->si_code <= 0) return false;
  return info->si_signo != SIGBUS || info->si_code != BUS_MCEERR_AO;
}

void WriteNotesOnce() {
  if (FirstLockError() == 0 || has_written_notes.exchange(true, std::memory_order_relaxed)) return;
  WriteKernelBugNotes();
}

// The process ends when the handler returns: by the fault itself where it recurs, so that a core file shows the place.
void DieByDefault(int signal, const siginfo_t* info) {
  struct sigaction by_default = {};
  by_default.sa_handler = SIG_DFL;
  (void)sigaction(signal, &by_default, nullptr);
  // Blocked until the handler returns.
  if (!WillRecur(info)) (void)SystemCall(SYS_tgkill, SystemCall(SYS_getpid), SystemCall(SYS_gettid), signal);
}

void CallPrevious(const struct sigaction& previous, int signal, siginfo_t* info, void* context) {
  if ((previous.sa_flags & SA_SIGINFO) != 0) {
    previous.sa_sigaction(signal, info, context);
  } else {
    previous.sa_handler(signal);
  }
}

void OnCrash(int signal, siginfo_t* info, void* context) {
  const int callers_errno = errno;
  const size_t index = IndexOf(signal);
  const struct sigaction& previous = previous_actions[index];
  // A fault cannot be ignored; a signal that somebody sent can.
  const bool is_ignored = previous.sa_handler == SIG_IGN && !WillRecur(info);
  const bool has_handler = previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN;
  const bool was_reset = (previous.sa_flags & SA_RESETHAND) != 0 && has_reset_previous[index].exchange(true);
  if (!is_ignored) {
    WriteNotesOnce();
    if (has_handler && !was_reset) {
      CallPrevious(previous, signal, info, context);
    } else {
      DieByDefault(signal, info);
    }
  }
  errno = callers_errno;
}

bool InstallFor(size_t index) {
  struct sigaction& previous = previous_actions[index];
  if (sigaction(kCrashSignals[index], nullptr, &previous) != 0) return false;
  struct sigaction ours = {};
  ours.sa_sigaction = OnCrash;
  // A handler before us gets the mask and the restarting of calls that it asked for. SA_ONSTACK, which it may not have
  // asked for, lets an overflow of the stack be told as well.
  ours.sa_mask = previous.sa_mask;
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK | (previous.sa_flags & (SA_RESTART | SA_NODEFER));
  return sigaction(kCrashSignals[index], &ours, nullptr) == 0;
}

}  // namespace

bool InstallCrashNotes() {
  if (is_installed.exchange(true, std::memory_order_relaxed)) return true;
  for (size_t index = 0; index < kCrashSignalCount; ++index) {
    if (!InstallFor(index)) return false;
  }
  return true;
}

}  // namespace acre::os
