// signal_vector_stress: does this machine's kernel give threads their vector registers back after a signal?
// docs/kernel-signal-vector-bug.md tells the story; storm.h tells how it is done.

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "arch/vector_hold.h"
#include "tests/stress/signal_vector/storm.h"

namespace {

using acre::stress::Breakage;
using acre::stress::Shared;
using acre::stress::Storm;

constexpr int kUsageError = 2;
constexpr int kNothingToTest = 77;

constexpr char kHelp[] =
    "usage: signal_vector_stress [--seconds N] [--processes N] [--threads N] [--break] [--help]\n"
    "\n"
    "Shows whether this machine's kernel corrupts vector registers (YMM, ZMM) when it delivers a signal onto a stack\n"
    "whose pages must first be faulted in: Linux 5.2.x, 5.3.0 to 5.3.14, 5.4.0 and 5.4.1 on x86 may.\n"
    "\n"
    "  --seconds N     how long to try; default 60\n"
    "  --processes N   processes side by side; default two for each CPU, at least 4\n"
    "  --threads N     copying threads in each process; default 2\n"
    "  --break         change a register on purpose, to see that a difference is found\n"
    "\n"
    "Exit status: 0 if all copies were right, 1 if one was not (standard error says which), 2 if something could not\n"
    "be set up, 77 if this CPU has no such registers.\n";

struct Options {
  unsigned seconds = 60;
  unsigned processes = std::max(4u, 2 * std::thread::hardware_concurrency());
  unsigned threads = 2;
  Breakage breakage = Breakage::kNone;
};

[[noreturn]] void FailUsage(const std::string& text) {
  std::fprintf(stderr, "signal_vector_stress: %s; see --help\n", text.c_str());
  std::exit(kUsageError);
}

unsigned ParseCount(const std::string& name, const char* text) {
  constexpr unsigned long kMost = 1'000'000;
  if (text == nullptr) FailUsage(name + " needs a number");
  char* end = nullptr;
  const unsigned long number = std::strtoul(text, &end, 10);
  if (text[0] < '0' || text[0] > '9' || *end != '\0' || number == 0 || number > kMost) {
    FailUsage(name + " needs a number from 1 to " + std::to_string(kMost) + ", not '" + text + "'");
  }
  return static_cast<unsigned>(number);
}

Options ParseOptions(char** arguments) {
  Options options;
  for (char** argument = arguments + 1; *argument != nullptr; ++argument) {
    const std::string name = *argument;
    if (name == "--help" || name == "-h") {
      std::fputs(kHelp, stdout);
      std::exit(0);
    } else if (name == "--break") {
      options.breakage = Breakage::kHandlerChangesRegister;
    } else if (name == "--seconds") {
      options.seconds = ParseCount(name, *++argument);
    } else if (name == "--processes") {
      options.processes = ParseCount(name, *++argument);
    } else if (name == "--threads") {
      options.threads = ParseCount(name, *++argument);
    } else {
      FailUsage("unknown option '" + name + "'");
    }
    if (*argument == nullptr) break;
  }
  return options;
}

// "ymm" or "ymm and zmm"; empty if there is nothing to test.
std::string UsableRegisters() {
  const acre::arch::CpuFeatures cpu = acre::arch::DetectCpuFeatures();
  std::string names;
  for (const acre::arch::VectorHold& hold : acre::arch::VectorHolds()) {
    if (!hold.runs_on(cpu)) continue;
    names += names.empty() ? hold.registers : std::string(" and ") + hold.registers;
  }
  return names;
}

Shared* MapShared() {
  void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? nullptr : new (memory) Shared{};
}

// 0 if it cannot be started.
pid_t StartProcess(const Storm& storm) {
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) return 0;
  if (child == 0) {
    // Nobody would end it if the parent were killed.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(kUsageError);
    _exit(acre::stress::RunStorm(storm));
  }
  return child;
}

// The worst exit status of all; a death by a signal counts as a difference, since wrong registers may crash.
int WaitForAll(const std::vector<pid_t>& children, Shared* shared) {
  int worst = 0;
  for (size_t left = children.size(); left > 0;) {
    int status = 0;
    const pid_t child = waitpid(-1, &status, 0);
    if (child < 0 && errno == EINTR) continue;
    if (child < 0) break;
    --left;
    if (WIFSIGNALED(status)) {
      std::fprintf(stderr, "signal_vector_stress: a process was ended by signal %d (%s)\n", WTERMSIG(status),
                   strsignal(WTERMSIG(status)));
      shared->is_over = true;
      worst = std::max(worst, 1);
    } else {
      worst = std::max(worst, WEXITSTATUS(status));
    }
  }
  return worst;
}

void EndAfter(unsigned seconds, Shared* shared) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  constexpr auto kStep = std::chrono::milliseconds(20);
  while (!shared->is_over && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(kStep);
  shared->is_over = true;
}

}  // namespace

int main(int, char** arguments) {
  const Options options = ParseOptions(arguments);
  const std::string registers = UsableRegisters();
  if (registers.empty()) {
    std::printf("signal_vector_stress: this CPU has no wide vector registers, nothing to test\n");
    return kNothingToTest;
  }
  utsname names = {};
  uname(&names);
  std::printf("signal_vector_stress: Linux %s, %s registers, %u processes of %u threads, %u s\n", names.release,
              registers.c_str(), options.processes, options.threads, options.seconds);
  std::fflush(stdout);
  Shared* shared = MapShared();
  if (shared == nullptr) FailUsage("no shared memory");

  std::vector<pid_t> children;
  for (unsigned process = 0; process < options.processes; ++process) {
    const pid_t child = StartProcess({process, options.threads, options.breakage, shared});
    if (child == 0) break;
    children.push_back(child);
  }
  const bool are_all_started = children.size() == options.processes;
  if (!are_all_started) {
    std::fprintf(stderr, "signal_vector_stress: only %zu processes could be started\n", children.size());
    shared->is_over = true;
  }
  std::thread clock(EndAfter, options.seconds, shared);
  const int worst = WaitForAll(children, shared);
  shared->is_over = true;
  clock.join();
  const int status = worst == 0 && !are_all_started ? kUsageError : worst;
  std::printf("signal_vector_stress: %s: %llu copies, %llu signals\n",
              status == 0   ? "clean"
              : status == 1 ? "REGISTERS DIFFER"
                            : "could not be run",
              static_cast<unsigned long long>(shared->copies.load()),
              static_cast<unsigned long long>(shared->signals.load()));
  return status;
}
