// The dialogue: lines by libedit, which gives them history and editing when there is a terminal, and as they come when
// the input is a pipe.

#include "bench/interpreters/scheme/repl.h"

#include <editline/readline.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>

#include "bench/interpreters/scheme/printer.h"
#include "bench/interpreters/scheme/reader.h"

namespace scheme {
namespace {

// One line without its end; false at the end of the input.
bool ReadLine(const char* prompt, std::string* line) {
  if (isatty(STDIN_FILENO) == 0) return static_cast<bool>(std::getline(std::cin, *line));
  char* edited = readline(prompt);
  if (edited == nullptr) return false;
  *line = edited;
  if (*edited != '\0') add_history(edited);
  std::free(edited);
  return true;
}

// Whether the text ends inside of an expression, so that another line is needed.
bool IsIncomplete(Interpreter& in, const std::string& text) {
  std::u32string codes = FromUtf8(text);
  Reader reader(in, codes);
  try {
    while (reader.Read().word() != kEofWord) {
    }
  } catch (const SchemeError& error) {
    return std::string_view(error.kind) == Reader::kIncomplete;
  }
  return false;
}

}  // namespace

void PrintValueOf(Interpreter& in, std::string_view text, std::string_view file) {
  Value contents = MakeString(in.heap, text), name = MakeString(in.heap, file);
  Reader reader(in, contents.As<String>()->view());
  for (;;) {
    Value form;
    try {
      form = reader.Read();
    } catch (const SchemeError& error) {
      throw UncaughtError{std::string(file) + ": " + error.message};
    }
    if (form.word() == kEofWord) return;
    Value value = in.Evaluate(form, name);
    if (value.word() == kUnspecifiedWord) continue;
    std::printf("%s\n", ToText(value, Style::kWrite).c_str());
  }
}

int RunRepl(Interpreter& in) {
  std::string text, line;
  while (ReadLine(text.empty() ? "> " : "  ", &line)) {
    text += line + "\n";
    if (IsIncomplete(in, text)) continue;
    try {
      PrintValueOf(in, text, "repl");
      in.TakeReserve();  // If a line before has used it up, and there is room again.
    } catch (const UncaughtError& error) {
      std::fflush(stdout);
      std::fprintf(stderr, "%s\n", error.text.c_str());
    } catch (const SchemeError& error) {
      // No memory for the line itself. The next one shall have some: it may be the one that drops what fills the heap.
      in.ReleaseReserve();
      std::fflush(stdout);
      std::fprintf(stderr, "repl: error: %s\n", error.message.c_str());
    }
    std::fflush(stdout);
    text.clear();
  }
  if (isatty(STDIN_FILENO) != 0) std::printf("\n");
  if (text.empty()) return 0;
  std::fprintf(stderr, "repl: the input ends inside of an expression\n");
  return kExitError;
}

}  // namespace scheme
