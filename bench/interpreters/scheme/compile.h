#pragma once

// From a datum to code that runs, in four steps, each in files of its own:
//
//   analyze_*.cc  expands macros, resolves names, and makes a tree of nodes (syntax.h)
//   expand.cc     matches and fills the patterns of syntax-rules
//   resolve.cc    decides where each variable lives, and which loops need no procedure
//   generate.cc   writes the instructions (opcodes.h)

#include "bench/interpreters/scheme/interpreter.h"

namespace scheme {

// A procedure of no arguments that does what the form says. A form that is wrong is a SchemeError whose text begins with
// the file and the line.
Value CompileToplevel(Interpreter& in, const Value& form, const Value& file);

}  // namespace scheme
