#pragma once

// Names for the system calls and error numbers that the command line of `hintless` may mention.

#include <optional>
#include <string>
#include <string_view>

namespace acre::hintless {

// The system call's number on this machine, if the name is one that can be made to fail.
std::optional<int> SyscallNumber(std::string_view name);

// The name that belongs to a number returned by SyscallNumber.
std::string_view SyscallName(int number);

// The error's number, from its name (ENOMEM) or from digits (12).
std::optional<int> ErrorNumber(std::string_view text);

// All names that SyscallNumber knows, for the help text.
std::string AllSyscallNames();

}  // namespace acre::hintless
