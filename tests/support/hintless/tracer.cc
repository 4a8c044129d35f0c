#include "tests/support/hintless/tracer.h"

// Protocol. The child is seized (PTRACE_SEIZE), so that job control works as without a tracer, and all threads and
// processes that come from it are seized by the kernel before they run. Stops are of four kinds: a call that the filter
// marked (changed and let go), a program that was just executed, a signal (passed on unchanged), and a group stop
// (left in place by PTRACE_LISTEN). Nothing else is traced, which is why even an interpreter runs at almost full speed.
//
// A call that shall fail gets the number -1, which the kernel skips; the result is what the tracer leaves in rax.

#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "tests/support/hintless/syscalls.h"

namespace acre::hintless {
namespace {

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

constexpr long kBreakpointByte = 0xcc;  // int3
constexpr long kLowByte = 0xff;

bool IsStopSignal(int signal) {
  return signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

void Continue(pid_t thread, int signal = 0) { ptrace(PTRACE_CONT, thread, nullptr, static_cast<long>(signal)); }

// The address of the program's first own instruction, or 0.
unsigned long EntryAddress(pid_t process) {
  const std::string path = "/proc/" + std::to_string(process) + "/auxv";
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return 0;
  Elf64_auxv_t entry{};
  unsigned long address = 0;
  while (read(descriptor, &entry, sizeof entry) == sizeof entry && entry.a_type != AT_NULL) {
    if (entry.a_type == AT_ENTRY) address = entry.a_un.a_val;
  }
  close(descriptor);
  return address;
}

}  // namespace

int Tracer::Attach(pid_t child) {
  child_ = child;
  const long events = PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                      PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
  return ptrace(PTRACE_SEIZE, child, nullptr, events) == 0 ? 0 : errno;
}

int Tracer::Run() {
  while (true) {
    int status = 0;
    const pid_t thread = waitpid(-1, &status, __WALL);
    if (thread < 0) {
      if (errno == EINTR) continue;
      return child_status_;  // ECHILD: nobody is left.
    }
    if (WIFSTOPPED(status)) {
      HandleStop(thread, status);
    } else {
      entry_points_.erase(thread);
      if (thread == child_) child_status_ = status;
    }
  }
}

void Tracer::HandleStop(pid_t thread, int status) {
  const int signal = WSTOPSIG(status);
  const int event = status >> 16;
  if (event == PTRACE_EVENT_SECCOMP) {
    HandleSyscall(thread);
  } else if (event == PTRACE_EVENT_EXEC) {
    if (!is_started_) PlantEntryPoint(thread);
    Continue(thread);
  } else if (event == PTRACE_EVENT_STOP && IsStopSignal(signal)) {
    ptrace(PTRACE_LISTEN, thread, nullptr, nullptr);
  } else if (event != 0) {
    Continue(thread);
  } else if (signal == SIGTRAP && LeaveEntryPoint(thread)) {
    Continue(thread);
  } else {
    Continue(thread, signal);
  }
}

void Tracer::HandleSyscall(pid_t thread) {
  user_regs_struct registers{};
  // A thread killed meanwhile answers ESRCH; its end is reported by waitpid.
  if (ptrace(PTRACE_GETREGS, thread, nullptr, &registers) != 0) return;
  const int number = static_cast<int>(registers.orig_rax);
  if (const int error = ErrorFor(number); error != 0) {
    registers.orig_rax = static_cast<unsigned long long>(-1);
    registers.rax = static_cast<unsigned long long>(-static_cast<long long>(error));
  } else if (number == SYS_mmap) {
    ApplyMmapRules(registers);
  }
  ptrace(PTRACE_SETREGS, thread, nullptr, &registers);
  Continue(thread);
}

// Counts the call, and says with which error it has to fail, or 0.
int Tracer::ErrorFor(int syscall) {
  if (!is_started_) return 0;
  bool is_counted = false;
  int error = 0;
  for (const FailRule& rule : options_.fail_rules) {
    if (rule.syscall != syscall) continue;
    Count& count = counts_[syscall];
    if (!is_counted) ++count.calls;
    is_counted = true;
    if (count.calls == rule.nth || (rule.forever && count.calls > rule.nth)) error = rule.error;
  }
  if (error != 0) ++counts_[syscall].failed;
  return error;
}

void Tracer::ApplyMmapRules(user_regs_struct& registers) const {
  constexpr unsigned long long kFixed = MAP_FIXED;
  constexpr unsigned long long kNoReplace = MAP_FIXED_NOREPLACE;
  if ((registers.r10 & kFixed) != 0) return;
  if (options_.old_kernel) registers.r10 &= ~kNoReplace;
  const bool is_hint = (registers.r10 & kNoReplace) == 0;
  if (is_hint && !options_.keep_hints) registers.rdi = 0;
}

void Tracer::PlantEntryPoint(pid_t process) {
  EntryPoint entry;
  entry.address = EntryAddress(process);
  if (entry.address == 0) return;
  errno = 0;
  entry.original_word = ptrace(PTRACE_PEEKTEXT, process, entry.address, nullptr);
  if (errno != 0) return;
  const long broken_word = (entry.original_word & ~kLowByte) | kBreakpointByte;
  if (ptrace(PTRACE_POKETEXT, process, entry.address, broken_word) == 0) entry_points_[process] = entry;
}

// If the thread stands on our breakpoint: takes it away, and counting begins.
bool Tracer::LeaveEntryPoint(pid_t thread) {
  const auto found = entry_points_.find(thread);
  if (found == entry_points_.end()) return false;
  const EntryPoint entry = found->second;
  user_regs_struct registers{};
  if (ptrace(PTRACE_GETREGS, thread, nullptr, &registers) != 0) return false;
  if (registers.rip != entry.address + 1) return false;
  ptrace(PTRACE_POKETEXT, thread, entry.address, entry.original_word);
  registers.rip = entry.address;
  ptrace(PTRACE_SETREGS, thread, nullptr, &registers);
  entry_points_.erase(found);
  is_started_ = true;
  return true;
}

std::string Tracer::Log() const {
  std::string log;
  std::map<int, Count> all = counts_;
  for (const FailRule& rule : options_.fail_rules) all[rule.syscall];  // Also those that were never called.
  for (const auto& [number, count] : all) {
    log += std::string(SyscallName(number)) + " calls " + std::to_string(count.calls) + " failed " +
           std::to_string(count.failed) + "\n";
  }
  return log;
}

}  // namespace acre::hintless
