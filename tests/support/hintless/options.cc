#include "tests/support/hintless/options.h"

#include <cerrno>
#include <charconv>
#include <string_view>

#include "tests/support/hintless/syscalls.h"

namespace acre::hintless {
namespace {

std::vector<std::string> SplitAtColons(std::string_view text) {
  std::vector<std::string> parts;
  while (true) {
    const size_t colon = text.find(':');
    parts.emplace_back(text.substr(0, colon));
    if (colon == std::string_view::npos) return parts;
    text.remove_prefix(colon + 1);
  }
}

// NAME:N[:ERRNO][:forever]
bool ParseFailRule(const std::string& text, FailRule* rule, std::string* error) {
  const std::vector<std::string> parts = SplitAtColons(text);
  const auto number = SyscallNumber(parts[0]);
  if (!number) {
    *error = "unknown system call '" + parts[0] + "' in --fail; known are: " + AllSyscallNames();
    return false;
  }
  rule->syscall = *number;
  rule->error = ENOMEM;
  if (parts.size() < 2) {
    *error = "--fail " + text + ": the number of the call is missing (NAME:N)";
    return false;
  }
  const std::string& nth = parts[1];
  const auto [end, status] = std::from_chars(nth.data(), nth.data() + nth.size(), rule->nth);
  if (status != std::errc{} || end != nth.data() + nth.size() || rule->nth < 1) {
    *error = "--fail " + text + ": '" + nth + "' is not a number from 1 up";
    return false;
  }
  for (size_t i = 2; i < parts.size(); ++i) {
    if (parts[i] == "forever") {
      rule->forever = true;
    } else if (const auto code = ErrorNumber(parts[i])) {
      rule->error = *code;
    } else {
      *error = "--fail " + text + ": '" + parts[i] + "' is neither an error name nor 'forever'";
      return false;
    }
  }
  return true;
}

}  // namespace

Parse ParseOptions(int count, char** arguments, Options* options, std::string* error) {
  int i = 1;
  for (; i < count; ++i) {
    const std::string argument = arguments[i];
    const bool wants_value = argument == "--fail" || argument == "--log" || argument == "--env";
    if (wants_value && i + 1 == count) {
      *error = argument + " needs a value";
      return Parse::kError;
    }
    if (argument == "--") {
      ++i;
      break;
    } else if (argument == "--help" || argument == "-h") {
      return Parse::kHelp;
    } else if (argument == "--keep-hints") {
      options->keep_hints = true;
    } else if (argument == "--old-kernel") {
      options->old_kernel = true;
    } else if (argument == "--after-start") {
      options->after_start = true;
    } else if (argument == "--fail") {
      FailRule rule;
      if (!ParseFailRule(arguments[++i], &rule, error)) return Parse::kError;
      options->fail_rules.push_back(rule);
    } else if (argument == "--log") {
      options->log_path = arguments[++i];
    } else if (argument == "--env") {
      options->environment.emplace_back(arguments[++i]);
    } else {
      *error = "unknown option '" + argument + "' (the command follows after --)";
      return Parse::kError;
    }
  }
  options->command.assign(arguments + i, arguments + count);
  if (options->command.empty()) {
    *error = "no command given: hintless [options] -- command arguments...";
    return Parse::kError;
  }
  return Parse::kRun;
}

std::string HelpText() {
  return "usage: hintless [options] -- command arguments...\n"
         "\n"
         "Runs the command, and all that it forks and executes, as if the kernel ignored address\n"
         "hints: the address of every mmap without MAP_FIXED or MAP_FIXED_NOREPLACE becomes zero.\n"
         "The exit status is the command's; if a signal ends it, hintless ends by the same one.\n"
         "\n"
         "  --keep-hints   leave hints alone (for use with the options below)\n"
         "  --old-kernel   MAP_FIXED_NOREPLACE is unknown: a mere hint, as before Linux 4.17\n"
         "  --fail NAME:N[:ERRNO][:forever]\n"
         "                 the Nth call of a system call, counted from 1 over all processes, fails\n"
         "                 with ERRNO (default ENOMEM) without being performed; with 'forever' all\n"
         "                 later ones too; may be given several times\n"
         "  --after-start  count and fail only calls made once the program's own code has begun,\n"
         "                 after the dynamic loader and the constructors of its libraries\n"
         "  --env NAME=VALUE\n"
         "                 set in the command's environment only (LD_PRELOAD, which env(1) would have too)\n"
         "  --log FILE     at the end write a line 'NAME calls N failed M' for each --fail name\n"
         "  --help         this text\n"
         "\n"
         "system calls that can fail: " +
         AllSyscallNames() + "\n";
}

}  // namespace acre::hintless
