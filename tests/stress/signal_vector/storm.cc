#include "tests/stress/signal_vector/storm.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "arch/vector_hold.h"

namespace acre::stress {
namespace {

constexpr int kSignal = SIGURG;
constexpr size_t kStackBytes = size_t{64} * 1024;
constexpr size_t kPatterns = 4;

// Some microseconds: long enough that most signals meet the registers full, short enough for many signals.
constexpr uint64_t kSpins = 5000;

// The sender sleeps between its rounds. Woken by the clock it interrupts a copy, and the signal finds registers full; a
// sender that never sleeps gets its turn as rarely as each copying thread. On two CPUs: 130 signals a second without a
// sleep, 5,300 with it.
constexpr timespec kPause = {0, 50'000};

using Bytes = std::array<uint8_t, arch::kMostHeldBytes>;

struct Target {
  const Storm* storm = nullptr;
  unsigned number = 0;
  void* stack = nullptr;
  std::atomic<pid_t> thread_id{0};                // Written by the thread once its stack is set.
  std::atomic<uint64_t> copies{0};                // Written by the thread outside of the handler.
  std::atomic<uint64_t> handled{0};               // Written by the handler.
  std::atomic<bool> is_holding{false};            // Written by the thread, read in its handler.
  std::atomic<uint64_t> handled_at_last_copy{0};  // Written by the thread outside of the handler.
  uint64_t sent = 0;                              // The sender's own.
};

thread_local Target* this_target = nullptr;

void ChangeSavedRegister(void* context) {
  auto* const user = static_cast<ucontext_t*>(context);
  user->uc_mcontext.fpregs->_xmm[3].element[1] ^= 0x100;
}

void OnSignal(int, siginfo_t*, void* context) {
  Target& target = *this_target;
  const bool may_break = target.is_holding.load(std::memory_order_relaxed);
  if (may_break && target.storm->breakage == Breakage::kHandlerChangesRegister) ChangeSavedRegister(context);
  target.handled.fetch_add(1);
}

// Patterns of processes and threads differ everywhere, so that a register that comes from another one shows.
Bytes PatternOf(const Target& target, size_t index) {
  Bytes bytes;
  uint64_t state = (uint64_t{target.storm->process} << 32) + (uint64_t{target.number} << 8) + index;
  for (size_t i = 0; i < bytes.size(); ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    bytes[i] = static_cast<uint8_t>(state >> 56);
  }
  return bytes;
}

void Report(const Target& target, const arch::VectorHold& hold, const Bytes& from, const Bytes& to) {
  size_t first = 0;
  while (first < hold.bytes() && from[first] == to[first]) ++first;
  size_t differing = 0;
  for (size_t i = 0; i < hold.bytes(); ++i) differing += from[i] != to[i];
  std::fprintf(
      stderr,
      "signal_vector_stress: process %u, thread %u, copy %llu: %s%zu byte %zu was 0x%02x and came back as 0x%02x; "
      "%zu of %zu bytes differ; %llu signals so far\n",
      target.storm->process, target.number, static_cast<unsigned long long>(target.copies.load()), hold.registers,
      first / hold.register_bytes, first % hold.register_bytes, unsigned{from[first]}, unsigned{to[first]}, differing,
      hold.bytes(), static_cast<unsigned long long>(target.handled.load()));
}

// False after the first difference.
bool CopyAndCompare(Target* target, const arch::VectorHold& hold, const Bytes& from) {
  Bytes to = {};
  target->is_holding.store(true, std::memory_order_relaxed);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  hold.copy(to.data(), from.data(), kSpins);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  target->is_holding.store(false, std::memory_order_relaxed);
  if (std::memcmp(to.data(), from.data(), hold.bytes()) == 0) return true;
  Report(*target, hold, from, to);
  return false;
}

bool SetSignalStack(void* base) {
  stack_t stack = {};
  if (base == nullptr) {
    stack.ss_flags = SS_DISABLE;
  } else {
    stack.ss_sp = base;
    stack.ss_size = kStackBytes;
  }
  return sigaltstack(&stack, nullptr) == 0;
}

// Copies until the end. False after a difference.
bool CopyUntilOver(Target* target, const std::vector<const arch::VectorHold*>& holds) {
  std::array<Bytes, kPatterns> patterns;
  for (size_t i = 0; i < kPatterns; ++i) patterns[i] = PatternOf(*target, i);
  for (uint64_t copy = 0; !target->storm->shared->is_over.load(std::memory_order_relaxed); ++copy) {
    if (!CopyAndCompare(target, *holds[copy % holds.size()], patterns[copy % kPatterns])) return false;
    target->copies.fetch_add(1);
    target->handled_at_last_copy.store(target->handled.load());
  }
  return true;
}

void RunThread(Target* target, const std::vector<const arch::VectorHold*>& holds, std::atomic<int>* status) {
  this_target = target;
  if (SetSignalStack(target->stack)) {
    target->thread_id = static_cast<pid_t>(syscall(SYS_gettid));
    if (!CopyUntilOver(target, holds)) *status = 1;
  } else {
    *status = 2;
  }
  target->storm->shared->is_over = true;
}

// Whether the last signal has been handled and its stack left.
bool IsOffItsStack(const Target& target) { return target.handled_at_last_copy.load() == target.sent; }

// False if the system refuses.
bool DropAndSignal(Target* target) {
  if (madvise(target->stack, kStackBytes, MADV_DONTNEED) != 0) return false;
  ++target->sent;
  return syscall(SYS_tgkill, getpid(), target->thread_id.load(), kSignal) == 0;
}

// Goes round the threads until the end.
bool SendSignals(std::vector<std::unique_ptr<Target>>* targets, const Shared& shared) {
  while (!shared.is_over.load(std::memory_order_relaxed)) {
    for (const std::unique_ptr<Target>& target : *targets) {
      if (target->thread_id.load() == 0 || !IsOffItsStack(*target)) continue;
      if (DropAndSignal(target.get())) continue;
      return errno == ESRCH && shared.is_over.load();  // It may have ended meanwhile.
    }
    nanosleep(&kPause, nullptr);
  }
  return true;
}

bool InstallHandler() {
  struct sigaction action = {};
  action.sa_sigaction = OnSignal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  return sigaction(kSignal, &action, nullptr) == 0;
}

std::vector<const arch::VectorHold*> UsableHolds() {
  const arch::CpuFeatures cpu = arch::DetectCpuFeatures();
  std::vector<const arch::VectorHold*> holds;
  for (const arch::VectorHold& hold : arch::VectorHolds()) {
    if (hold.runs_on(cpu)) holds.push_back(&hold);
  }
  return holds;
}

std::unique_ptr<Target> MakeTarget(const Storm& storm, unsigned number) {
  auto target = std::make_unique<Target>();
  target->storm = &storm;
  target->number = number;
  target->stack = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return target->stack == MAP_FAILED ? nullptr : std::move(target);
}

}  // namespace

int RunStorm(const Storm& storm) {
  const std::vector<const arch::VectorHold*> holds = UsableHolds();
  std::vector<std::unique_ptr<Target>> targets;
  for (unsigned number = 0; number < storm.threads; ++number) {
    targets.push_back(MakeTarget(storm, number));
    if (targets.back() == nullptr) return 2;
  }
  if (!InstallHandler()) return 2;
  prctl(PR_SET_TIMERSLACK, 1);  // In ns: the usual slack is as long as the pause.

  std::atomic<int> status{0};
  std::vector<std::thread> threads;
  for (const auto& target : targets) threads.emplace_back(RunThread, target.get(), std::cref(holds), &status);
  if (!SendSignals(&targets, *storm.shared)) {
    std::fprintf(stderr, "signal_vector_stress: process %u: %s\n", storm.process, std::strerror(errno));
    status = 2;
    storm.shared->is_over = true;
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& target : targets) {
    storm.shared->copies.fetch_add(target->copies.load());
    storm.shared->signals.fetch_add(target->handled.load());
  }
  return status.load();
}

}  // namespace acre::stress
