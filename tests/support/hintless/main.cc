// hintless: runs a command under a kernel that ignores address hints. See HelpText in options.cc.

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "tests/support/hintless/filter.h"
#include "tests/support/hintless/options.h"
#include "tests/support/hintless/tracer.h"

namespace acre::hintless {
namespace {

constexpr int kOwnFailure = 125;  // As env(1) and timeout(1): the tool itself failed, not the command.
constexpr int kCannotRun = 126;
constexpr int kNotFound = 127;

volatile sig_atomic_t command_pid = 0;

void PassOn(int signal) {
  if (command_pid > 0) kill(command_pid, signal);
}

[[noreturn]] void RunCommand(const Options& options, int gate) {
  char byte = 0;
  if (read(gate, &byte, 1) != 1) _exit(kOwnFailure);  // The tracer could not attach, and has said so.
  close(gate);
  std::vector<sock_filter> filter = BuildFilter(options);
  if (const int error = InstallFilter(filter); error != 0) {
    std::fprintf(stderr, "hintless: cannot install the seccomp filter: %s\n", std::strerror(error));
    _exit(kOwnFailure);
  }
  for (const std::string& entry : options.environment) putenv(const_cast<char*>(entry.c_str()));
  std::vector<char*> arguments;
  for (const std::string& argument : options.command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  execvp(arguments[0], arguments.data());
  const int error = errno;
  std::fprintf(stderr, "hintless: cannot run '%s': %s\n", arguments[0], std::strerror(error));
  _exit(error == ENOENT ? kNotFound : kCannotRun);
}

int ExitAs(int status) {
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  signal(WTERMSIG(status), SIG_DFL);
  raise(WTERMSIG(status));
  constexpr int kShellSignalBase = 128;  // Reached only for signals that cannot end a process.
  return kShellSignalBase + WTERMSIG(status);
}

int Run(const Options& options) {
  int gate[2];
  if (pipe(gate) != 0) {
    std::perror("hintless: pipe");
    return kOwnFailure;
  }
  const pid_t child = fork();
  if (child < 0) {
    std::perror("hintless: fork");
    return kOwnFailure;
  }
  if (child == 0) {
    close(gate[1]);
    RunCommand(options, gate[0]);
  }
  close(gate[0]);
  command_pid = child;
  signal(SIGTERM, PassOn);
  signal(SIGHUP, PassOn);
  signal(SIGINT, SIG_IGN);  // The terminal sends it to the command as well.

  Tracer tracer(options);
  if (const int error = tracer.Attach(child); error != 0) {
    std::fprintf(stderr, "hintless: cannot trace the command: %s\n", std::strerror(error));
    close(gate[1]);
    waitpid(child, nullptr, 0);
    return kOwnFailure;
  }
  if (write(gate[1], "g", 1) != 1) std::perror("hintless: write");
  close(gate[1]);
  const int status = tracer.Run();
  if (!options.log_path.empty()) {
    std::ofstream log(options.log_path);
    log << tracer.Log();
    log.close();
    if (!log) {
      std::fprintf(stderr, "hintless: cannot write the log '%s'\n", options.log_path.c_str());
      return kOwnFailure;
    }
  }
  return ExitAs(status);
}

}  // namespace
}  // namespace acre::hintless

int main(int count, char** arguments) {
  using namespace acre::hintless;
  Options options;
  std::string error;
  switch (ParseOptions(count, arguments, &options, &error)) {
    case Parse::kHelp:
      std::fputs(HelpText().c_str(), stdout);
      return 0;
    case Parse::kError:
      std::fprintf(stderr, "hintless: %s\n", error.c_str());
      return kOwnFailure;
    case Parse::kRun:
      return Run(options);
  }
  return kOwnFailure;
}
