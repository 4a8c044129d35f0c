#pragma once

#include <string>
#include <vector>

#include "bench/interpreters/scheme/interpreter.h"

namespace scheme {

// Reads expressions from the terminal or a pipe and prints their values, until the input ends. Returns the exit status.
int RunRepl(Interpreter& in);

// Evaluates each expression of the text and prints its value, unless that is unspecified.
void PrintValueOf(Interpreter& in, std::string_view text, std::string_view file);

}  // namespace scheme
