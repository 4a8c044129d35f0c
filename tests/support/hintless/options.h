#pragma once

// The command line of `hintless`, as values.

#include <string>
#include <vector>

namespace acre::hintless {

// Makes calls of one system call fail without being performed.
struct FailRule {
  int syscall = 0;
  long nth = 0;  // Counted from 1, over all traced processes and threads together.
  int error = 0;
  bool forever = false;  // Every call from the nth on, not only the nth.
};

struct Options {
  bool keep_hints = false;
  bool old_kernel = false;
  bool after_start = false;
  std::vector<FailRule> fail_rules;
  std::string log_path;  // Empty: no log.
  std::vector<std::string> environment;  // NAME=VALUE entries for the command, not for the tool.
  std::vector<std::string> command;
};

enum class Parse { kRun, kHelp, kError };

// Fills `options`; on kError `error` holds one sentence for the user.
Parse ParseOptions(int count, char** arguments, Options* options, std::string* error);

std::string HelpText();

}  // namespace acre::hintless
