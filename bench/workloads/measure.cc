// measure OUTPUT PROGRAM ARGUMENTS...: runs one program with its standard output in the file OUTPUT and prints what it cost.
//
// The kernel carries the peak memory of the process that called exec over into the new program's ru_maxrss, so a program
// started from a large one (a Python script, say) shows at least that one's size. This launcher is linked statically and
// allocates nothing: what it carries over is smaller than any dynamically linked program. Being static it also ignores
// LD_PRELOAD, which therefore reaches only the measured program.
//
// Prints one line: wall ns, user us, system us, peak RSS in KiB, wait status, minor faults, major faults.

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace {

constexpr int kUsageError = 2;
constexpr int kExecFailed = 127;  // What a shell reports for a program that could not be started.

long long NowNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

long long Microseconds(const timeval& time) { return time.tv_sec * 1'000'000LL + time.tv_usec; }

[[noreturn]] void Fail(const char* what, const char* name) {
  dprintf(STDERR_FILENO, "measure: %s '%s': %s\n", what, name, strerror(errno));
  _exit(kExecFailed);
}

[[noreturn]] void RunChild(const char* output, char** command) {
  const int file = open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) Fail("cannot write", output);
  if (dup2(file, STDOUT_FILENO) < 0) Fail("cannot redirect to", output);
  execvp(command[0], command);
  Fail("cannot run", command[0]);
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 3) {
    dprintf(STDERR_FILENO, "usage: measure OUTPUT PROGRAM ARGUMENTS...\n");
    return kUsageError;
  }
  const long long start_ns = NowNs();
  const pid_t child = fork();
  if (child < 0) Fail("cannot fork for", arguments[2]);
  if (child == 0) RunChild(arguments[1], arguments + 2);
  int status = 0;
  rusage usage{};
  while (wait4(child, &status, 0, &usage) < 0) {
    if (errno != EINTR) Fail("cannot wait for", arguments[2]);
  }
  const long long wall_ns = NowNs() - start_ns;
  dprintf(STDOUT_FILENO, "%lld %lld %lld %ld %d %ld %ld\n", wall_ns, Microseconds(usage.ru_utime),
          Microseconds(usage.ru_stime), usage.ru_maxrss, status, usage.ru_minflt, usage.ru_majflt);
  return 0;
}
