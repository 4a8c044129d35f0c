// A process that works around the kernel bug and then dies in one of several ways: the subject of tests that look at
// what it leaves on standard error. Run with ACRE_DEBUG=kernelbug=1.
//
//   kernel_bug_program MEMLOCK_BYTES WAY
//
// Drops the privilege that lets root ignore the limit, sets RLIMIT_MEMLOCK, makes two signal stacks (the second shows
// that a refusal is not tried again), writes one line "stack: locked KB kB" with what the kernel says of the first one,
// and goes the way: end, misuse, segv, bus, ill, kill, overflow, handler, ignored, repair. 77 if the machine does not
// enforce the limit.

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "os/check.h"
#include "os/crash_notes.h"
#include "os/memory_calls.h"
#include "os/signal_stack.h"
#include "tests/support/memlock_limit.h"

namespace {

using acre::testing::Give;
using acre::testing::kCannotShow;

// The sum of "Locked:" over the mappings of a range, in KiB.
size_t LockedKib(uintptr_t base, uintptr_t limit) {
  std::FILE* smaps = std::fopen("/proc/self/smaps", "r");
  if (smaps == nullptr) Give(kCannotShow, "skipped: there is no /proc/self/smaps");
  size_t sum = 0;
  bool is_inside = false;
  char line[512];
  while (std::fgets(line, sizeof line, smaps) != nullptr) {
    uintptr_t from = 0;
    uintptr_t to = 0;
    size_t kib = 0;
    if (std::sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &from, &to) == 2) {
      is_inside = from < limit && to > base;
    } else if (is_inside && std::sscanf(line, "Locked: %zu kB", &kib) == 1) {
      sum += kib;
    }
  }
  std::fclose(smaps);
  return sum;
}

void* fault_page = nullptr;

void EndFromHandler(int, siginfo_t* info, void*) {
  if (info->si_addr != fault_page) _exit(3);
  static constexpr char kText[] = "application: handled\n";
  (void)!write(2, kText, sizeof kText - 1);
  _exit(9);
}

void Repair(int, siginfo_t*, void*) { mprotect(fault_page, acre::os::OsPageBytes(), PROT_READ | PROT_WRITE); }

void Handle(int signal, void (*handler)(int, siginfo_t*, void*)) {
  struct sigaction action = {};
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO;
  sigaction(signal, &action, nullptr);
}

// Ends the thread's stack long before the depth is reached.
[[gnu::noinline]] int Overflow(int depth) {
  volatile char room[4096] = {};
  if (depth == 0) return room[0];
  return Overflow(depth - 1) + room[1];
}

void Prepare(const std::string& way) {
  fault_page = mmap(nullptr, acre::os::OsPageBytes(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (way == "handler") Handle(SIGSEGV, EndFromHandler);
  if (way == "repair") Handle(SIGSEGV, Repair);
  if (way == "ignored") signal(SIGSEGV, SIG_IGN);
}

int Go(const std::string& way) {
  if (way == "misuse") CHECK(way.empty());
  if (way == "segv" || way == "handler" || way == "repair") *static_cast<volatile char*>(fault_page) = 1;
  if (way == "repair") {
    mprotect(fault_page, acre::os::OsPageBytes(), PROT_NONE);
    *static_cast<volatile char*>(fault_page) = 2;
  }
  if (way == "kill" || way == "ignored") kill(getpid(), SIGSEGV);
  if (way == "ill") __builtin_trap();
  if (way == "overflow") return Overflow(1 << 30);
  if (way == "bus") {
    std::FILE* empty = std::tmpfile();
    const int descriptor = fileno(empty);
    void* beyond = mmap(nullptr, acre::os::OsPageBytes(), PROT_READ, MAP_SHARED, descriptor, 0);
    return *static_cast<volatile char*>(beyond);
  }
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) Give(2, "usage: kernel_bug_program MEMLOCK_BYTES WAY");
  const size_t limit_bytes = std::strtoul(arguments[1], nullptr, 10);
  const std::string way = arguments[2];
  acre::testing::LimitLockedMemory(limit_bytes);

  Prepare(way);
  if (!acre::os::InstallCrashNotes()) Give(2, "the handlers could not be installed");
  if (!acre::os::InstallCrashNotes()) Give(2, "the second call failed");
  acre::os::SignalStack stacks[2];
  for (acre::os::SignalStack& stack : stacks) {
    if (stack.Create(acre::os::KernelMemoryCalls()) != acre::Status::kOk) Give(2, "no signal stack");
  }
  if (!stacks[0].Install()) Give(2, "the thread has a signal stack already");
  std::fprintf(stderr, "stack: locked %zu kB\n", LockedKib(stacks[0].base(), stacks[0].limit()));
  const int code = Go(way);
  std::_Exit(code);
}
