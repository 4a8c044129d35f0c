#include "tests/support/child.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace acre::testing {
namespace {

std::string ReadToEnd(int descriptor) {
  std::string text;
  char buffer[4096];
  while (true) {
    const ssize_t got = read(descriptor, buffer, sizeof buffer);
    if (got > 0) {
      text.append(buffer, static_cast<size_t>(got));
    } else if (got == 0 || errno != EINTR) {
      return text;
    }
  }
}

}  // namespace

bool ChildResult::exited_with(int code) const { return WIFEXITED(status) && WEXITSTATUS(status) == code; }
bool ChildResult::killed_by(int signal) const { return WIFSIGNALED(status) && WTERMSIG(status) == signal; }

std::vector<std::string> ChildResult::error_lines() const {
  std::vector<std::string> lines;
  std::string line;
  for (char c : error_output) {
    if (c == '\n') {
      lines.push_back(line);
      line.clear();
    } else {
      line += c;
    }
  }
  if (!line.empty()) lines.push_back(line);
  return lines;
}

std::string ChildResult::Describe() const {
  std::string text = WIFSIGNALED(status) ? "ended by signal " + std::to_string(WTERMSIG(status)) + " (" +
                                               strsignal(WTERMSIG(status)) + ")"
                                         : "exit status " + std::to_string(WEXITSTATUS(status));
  return text + ", standard error: \"" + error_output + "\"";
}

ChildResult RunInChild(const std::function<int()>& body, unsigned limit_s) {
  std::fflush(stdout);
  std::fflush(stderr);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) std::abort();
  const pid_t child = fork();
  if (child < 0) std::abort();
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    const rlimit no_core{0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    alarm(limit_s);
    _exit(body());
  }
  close(ends[1]);
  ChildResult result;
  result.error_output = ReadToEnd(ends[0]);
  close(ends[0]);
  while (waitpid(child, &result.status, 0) < 0 && errno == EINTR) {
  }
  return result;
}

ChildResult RunCommand(const std::vector<std::string>& command, const std::vector<std::string>& environment,
                       unsigned limit_s) {
  return RunInChild(
      [&] {
        for (const std::string& entry : environment) putenv(const_cast<char*>(entry.c_str()));
        const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
        dup2(nowhere, STDOUT_FILENO);
        std::vector<char*> arguments;
        for (const std::string& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
        arguments.push_back(nullptr);
        execvp(arguments[0], arguments.data());
        std::perror(arguments[0]);
        return 127;
      },
      limit_s);
}

}  // namespace acre::testing
