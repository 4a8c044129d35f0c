#pragma once

// Runs a function in a forked child and collects what became of it: for tests whose subject dies, sets limits, or hangs.

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

namespace acre::testing {

struct ChildResult {
  int status = 0;            // As waitpid gives it.
  std::string error_output;  // All that the child wrote to standard error.

  bool exited_with(int code) const;
  bool killed_by(int signal) const;
  std::vector<std::string> error_lines() const;
  std::string Describe() const;  // For failure messages.
};

// Forks, runs `body`, and ends the child with the body's result as exit status, without exit handlers. A child that runs
// longer than `limit_s` is ended by SIGALRM. No core file is written.
ChildResult RunInChild(const std::function<int()>& body, unsigned limit_s = 30);

// Runs a command (looked up in PATH) with environment entries "NAME=value" added, and standard output thrown away.
ChildResult RunCommand(const std::vector<std::string>& command, const std::vector<std::string>& environment = {},
                       unsigned limit_s = 60);

}  // namespace acre::testing
