// The command: options, a program's file, or the REPL.

#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>

#include "bench/interpreters/scheme/interpreter.h"
#include "bench/interpreters/scheme/repl.h"

namespace scheme {
namespace {

constexpr char kHelp[] =
    "Usage: %s [options] [file [argument...]]\n"
    "Runs the Scheme program in the file, or talks with whoever sits at the terminal.\n"
    "\n"
    "  -e EXPRESSION    evaluate the expression and print its value; may be given several times\n"
    "  --stack=WORDS    how deep recursion may go: the value stack's limit in words (default %zu)\n"
    "  --heap=MIB       how much memory objects may take: beyond it an error is raised (default: no limit)\n"
    "  --stats          print what the heap did, to stderr, at the end\n"
    "  --help           print this\n"
    "\n"
    "(command-line) gives the program its arguments. This one keeps its objects on: %s.\n"
    "Exit status: 0; what the program gave to exit; 1 after an error, 2 for a wrong option, 3 without memory.\n";

struct Options {
  std::vector<std::string> expressions;
  size_t stack_words = Vm::kDefaultMostWords;
  size_t heap_bytes = SIZE_MAX;
  bool has_stats = false;
  const char* file = nullptr;
  std::vector<std::string> arguments;
};

[[noreturn]] void FailUsage(const char* program, const std::string& message) {
  std::fprintf(stderr, "%s: error: %s; try --help\n", program, message.c_str());
  std::exit(kExitUsage);
}

size_t ParseNumber(const char* program, const char* option, const char* text, size_t least, size_t most) {
  constexpr int kDecimal = 10;
  char* end = nullptr;
  errno = 0;
  unsigned long long number = std::strtoull(text, &end, kDecimal);
  if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || number < least || number > most) {
    FailUsage(program, std::string(option) + " wants a number from " + std::to_string(least) + " to " + std::to_string(most) +
                           ", not '" + text + "'");
  }
  return number;
}

size_t ParseStack(const char* program, const char* text) {
  return ParseNumber(program, "--stack", text, 10'000, size_t{1} << 31);
}

size_t ParseHeap(const char* program, const char* text) {
  constexpr size_t kMiB = 1 << 20;
  if (!Heap::kHasLimit) FailUsage(program, std::string("--heap: a limit cannot be kept on ") + Heap::kName);
  return ParseNumber(program, "--heap", text, 8, kMiB) * kMiB;
}

Options ParseOptions(int count, char** words) {
  Options options;
  int i = 1;
  for (; i < count && words[i][0] == '-' && words[i][1] != '\0'; ++i) {
    std::string_view word = words[i];
    if (word == "--help") {
      std::printf(kHelp, words[0], Vm::kDefaultMostWords, Heap::kName);
      std::exit(0);
    } else if (word == "--stats") {
      options.has_stats = true;
    } else if (word.starts_with("--stack=")) {
      options.stack_words = ParseStack(words[0], words[i] + std::strlen("--stack="));
    } else if (word.starts_with("--heap=")) {
      options.heap_bytes = ParseHeap(words[0], words[i] + std::strlen("--heap="));
    } else if (word == "-e") {
      if (++i == count) FailUsage(words[0], "-e wants an expression");
      options.expressions.push_back(words[i]);
    } else {
      FailUsage(words[0], "unknown option '" + std::string(word) + "'");
    }
  }
  if (i < count) options.file = words[i++];
  for (; i < count; ++i) options.arguments.push_back(words[i]);
  return options;
}

void DefineCommandLine(Interpreter& in, const Options& options) {
  Value list = Value::Nil();
  for (size_t i = options.arguments.size(); i-- > 0;) {
    list = Cons(in.heap, MakeString(in.heap, options.arguments[i]), list);
  }
  if (options.file != nullptr) list = Cons(in.heap, MakeString(in.heap, std::string_view(options.file)), list);
  in.Define("%command-line", list);
  in.RunText("(define (command-line) %command-line)", "");
}

int RunFile(Interpreter& in, const char* path) {
  std::ifstream file(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (!file) {
    std::fprintf(stderr, "scheme: error: cannot read the file %s\n", path);
    return kExitError;
  }
  in.RunText(text, path);
  return 0;
}

// The interpreter lives in main's frame and is not taken apart: its objects go with the process.
int Run(std::optional<Interpreter>& made, const Options& options) {
  int status = 0;
  try {
    Interpreter& in = made.emplace(options.heap_bytes);
    in.vm.most_words = options.stack_words;
    DefineCommandLine(in, options);
    for (const std::string& expression : options.expressions) PrintValueOf(in, expression, "-e");
    if (options.file != nullptr) status = RunFile(in, options.file);
    else if (options.expressions.empty()) status = RunRepl(in);
  } catch (const UncaughtError& error) {
    std::fflush(stdout);
    std::fprintf(stderr, "%s\n", error.text.c_str());
    status = error.status;
  } catch (const SchemeError& error) {
    std::fprintf(stderr, "scheme: error: %s\n", error.message.c_str());  // Too little memory for the interpreter itself.
    status = kExitOutOfMemory;
  } catch (const ExitRequest& request) {
    status = request.status;
  }
  // Null: also the files that the program left open.
  if (std::fflush(nullptr) != 0 && status == 0) status = kExitError;
  if (options.has_stats && made.has_value()) made->heap.Report(stderr);
  return status;
}

}  // namespace
}  // namespace scheme

int main(int count, char** words) {
  std::setlocale(LC_CTYPE, "C.UTF-8");
  scheme::Options options = scheme::ParseOptions(count, words);
  std::optional<scheme::Interpreter> in;
  int status = scheme::Run(in, options);
  std::fflush(stderr);
  _exit(status);
}
