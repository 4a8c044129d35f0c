// The Scheme interpreter seen from outside: what it prints for a file of expressions, for the benchmark's programs, for
// wrong programs and for wrong options. The environment says which build is tested, so that one test serves all heaps.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  EXPECT_NE(value, nullptr) << name << " is not set; run this test by ctest";
  return value == nullptr ? "" : value;
}

struct Outcome {
  int status;
  std::string text;  // What it wrote to stdout and stderr.
};

std::string Quoted(const std::string& word) {
  std::string quoted = "'";
  for (char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

// Runs the interpreter by the shell; `rest` is shell text, such as options and redirections, and so is what comes before.
Outcome RunScheme(const std::string& rest, const std::string& before = "") {
  std::string command = "{ " + before + Quoted(Environment("SCHEME_PROGRAM")) + " " + rest + "\n} 2>&1";
  std::FILE* pipe = popen(command.c_str(), "r");
  EXPECT_NE(pipe, nullptr);
  Outcome outcome{};
  for (int c; (c = std::fgetc(pipe)) != EOF;) outcome.text += static_cast<char>(c);
  int status = pclose(pipe);
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  return outcome;
}

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file) << "cannot read " << path;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// A file with this text, for the life of the object.
class ScratchFile {
 public:
  explicit ScratchFile(const std::string& text) {
    std::string pattern = (std::filesystem::temp_directory_path() / "scheme-test-XXXXXX").string();
    int descriptor = mkstemp(pattern.data());
    EXPECT_GE(descriptor, 0);
    close(descriptor);
    path_ = pattern;
    std::ofstream(path_) << text;
  }
  ~ScratchFile() { std::filesystem::remove(path_); }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

Outcome RunProgram(const std::string& text, const std::string& options = "") {
  ScratchFile file(text);
  Outcome outcome = RunScheme(options + " " + file.path());
  for (size_t at; (at = outcome.text.find(file.path())) != std::string::npos;) {
    outcome.text.replace(at, file.path().size(), "FILE");
  }
  return outcome;
}

TEST(SchemeExpressions, EachHasTheValueWrittenBehindIt) {
  const std::string kMark = "; => ";
  std::string path = Environment("SCHEME_TESTS") + "/expressions.scm";
  std::vector<std::string> expressions, wanted;
  for (const std::string& line : Lines(ReadFile(path))) {
    size_t mark = line.find(kMark);
    if (mark == std::string::npos) continue;
    expressions.push_back(line.substr(0, line.find_last_not_of(' ', mark - 1) + 1));
    wanted.push_back(line.substr(mark + kMark.size()));
  }
  ASSERT_GT(wanted.size(), 100u);
  Outcome outcome = RunScheme("< " + Quoted(path));
  std::vector<std::string> printed = Lines(outcome.text);
  EXPECT_EQ(outcome.status, 0);
  for (size_t i = 0; i < std::min(printed.size(), wanted.size()); ++i) EXPECT_EQ(printed[i], wanted[i]) << expressions[i];
  EXPECT_EQ(printed.size(), wanted.size());
}

TEST(SchemePrograms, EachPrintsWhatItDidBefore) {
  std::filesystem::path folder = Environment("SCHEME_SOURCES") + "/programs";
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".scm") continue;
    std::filesystem::path wanted = folder / "expected" / entry.path().stem();
    Outcome outcome = RunScheme(Quoted(entry.path().string()));
    EXPECT_EQ(outcome.status, 0) << entry.path();
    EXPECT_EQ(outcome.text, ReadFile(wanted.string() + ".txt")) << entry.path();
    ++count;
  }
  EXPECT_GE(count, 10);
}

TEST(SchemeErrors, PrimitivesErrorHasFileLineAndCallers) {
  Outcome outcome = RunProgram("(define (inner x)\n  (+ 1 (car x)))\n(define (outer x)\n  (* 2 (inner x)))\n\n(outer 5)\n");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.text,
            "FILE:2: error: car: 5 is not a pair\n  at FILE:2: in inner\n  at FILE:4: in outer\n  at FILE:6\n");
}

TEST(SchemeErrors, ErrorProcedureNamesTheLineThatCalledIt) {
  Outcome outcome = RunProgram("(define (check x)\n  (if (< x 0)\n      (error \"too small:\" x))\n  x)\n(display (check -1))\n");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.text, StartsWith("FILE:3: error: too small: -1\n"));
}

TEST(SchemeErrors, RaisedObjectIsShown) {
  Outcome outcome = RunProgram("\n(raise '(a b))\n");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.text, StartsWith("FILE:2: uncaught: (a b)\n"));
}

TEST(SchemeErrors, WrongSyntaxHasItsLine) {
  EXPECT_EQ(RunProgram("(define x 1)\n\n(let ((a))\n  a)\n").text, "FILE:3: a binding should be (name expression): (a)\n");
  EXPECT_EQ(RunProgram("(display 1)\n(lambda (x x) x)\n").text, "1FILE:2: x is bound twice\n");
  EXPECT_EQ(RunProgram("(if\n 1)").text, "FILE:1: this form has the wrong number of parts: (if 1)\n");
}

TEST(SchemeErrors, UnreadableTextHasItsLine) {
  EXPECT_EQ(RunProgram("(display 1)\n(car '(1 2)\n").text,
            "1FILE: line 3: the list that begins in line 2 is not closed\n");
  EXPECT_EQ(RunProgram("\n)").text, "FILE: line 2: a closing parenthesis without an opening one\n");
  EXPECT_EQ(RunProgram("\n\n#\\nonsense").text, "FILE: line 3: an unknown character #\\nonsense\n");
}

TEST(SchemeErrors, MacroWithoutEndIsRefused) {
  Outcome outcome = RunProgram("(define-syntax m (syntax-rules () ((_ x) (m (x)))))\n(m 1)\n");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.text, HasSubstr("FILE:2: "));
}

TEST(SchemeRecursion, AMillionDeepWorks) {
  Outcome outcome = RunProgram(
      "(define (count n) (if (= n 0) 0 (+ 1 (count (- n 1)))))\n(display (count 1000000))\n"
      "(define (up n) (if (= n 0) '() (cons n (up (- n 1)))))\n(display (length (up 1000000)))\n"
      "(define (deep n) (if (= n 0) 'x (list (deep (- n 1)))))\n(define d (deep 1000000))\n(display (pair? d))\n");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.text, "10000001000000#t");
}

TEST(SchemeRecursion, WithoutEndIsAnErrorWithItsLine) {
  Outcome outcome = RunProgram("(define (f n)\n  (+ 1 (f n)))\n(f 1)\n", "--stack=100000");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.text, StartsWith("FILE:2: error: the recursion is too deep: the stack holds 9"));
}

TEST(SchemeRecursion, ErrorOfItCanBeHandledAgainAndAgain) {
  Outcome outcome = RunProgram(
      "(define (f n) (+ 1 (f n)))\n"
      "(let loop ((i 0)) (when (< i 20) (guard (e (#t (display \"x\"))) (f 1)) (loop (+ i 1))))\n",
      "--stack=100000");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.text, std::string(20, 'x'));
}

TEST(SchemeRecursion, HandlerThatRecursesTooEndsTheProgram) {
  Outcome outcome = RunProgram("(define (f n) (+ 1 (f n)))\n(with-exception-handler (lambda (e) (f 1)) (lambda () (f 1)))\n",
                               "--stack=100000");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.text, HasSubstr("the recursion is too deep"));
}

TEST(SchemeRecursion, DeepDataAreComparedPrintedAndReadWithoutACrash) {
  const std::string kDeep = "(define (deep n) (let loop ((n n) (d '())) (if (= n 0) d (loop (- n 1) (list d)))))\n";
  EXPECT_THAT(RunProgram(kDeep + "(equal? (deep 1000000) (deep 1000000))").text, HasSubstr("nested too deeply"));
  EXPECT_THAT(RunProgram(kDeep + "(write (deep 1000000))").text, HasSubstr("((...)"));
  EXPECT_THAT(RunProgram(std::string(100000, '(')).text, HasSubstr("nested too deeply"));
  EXPECT_THAT(RunProgram(kDeep + "(eval (list 'quote (deep 1000)))").text, "");
  EXPECT_THAT(RunProgram(kDeep + "(eval (list 'quote (deep 1000000)))").text, HasSubstr("nested too deeply"));
}

TEST(SchemeTailCalls, RunInConstantSpace) {
  Outcome outcome = RunProgram(
      "(define (even n) (if (= n 0) #t (odd (- n 1))))\n(define (odd n) (if (= n 0) #f (even (- n 1))))\n"
      "(display (even 1000000))\n"
      "(define (f n . rest) (cond ((= n 0) rest) (else (apply f (- n 1) rest))))\n(display (f 300000 'a 'b))\n"
      "(define (g n k) (if (= n 0) (k 0) (g (- n 1) k)))\n(display (call/cc (lambda (k) (g 300000 k))))\n",
      "--stack=10000");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.text, "#t(a b)0");
}

TEST(SchemeFiles, WhatIsWrittenIsReadBack) {
  ScratchFile data("");
  Outcome outcome = RunProgram(
      "(define path \"" + data.path() + "\")\n"
      "(call-with-output-file path (lambda (port) (write '(a \"b\" #\\c 1/2) port) (newline port)))\n"
      "(display (call-with-input-file path read))\n(display (call-with-input-file path read-line))\n"
      "(delete-file path)\n(display (file-exists? path))\n");
  EXPECT_EQ(outcome.text, "(a b c 1/2)(a \"b\" #\\c 1/2)#f");
}

TEST(SchemeFiles, LoadRunsAnotherFile) {
  ScratchFile library("(define (twice x) (* 2 x))\n(define (broken)\n  (car 'x))\n");
  Outcome outcome = RunProgram("(load \"" + library.path() + "\")\n(display (twice 21))\n(newline)\n(broken)\n");
  EXPECT_THAT(outcome.text, StartsWith("42\n" + library.path() + ":3: error: car: x is not a pair\n"));
}

TEST(SchemeFiles, AnOpenFileIsWrittenWhenTheProgramEnds) {
  ScratchFile data("old");
  RunProgram("(define port (open-output-file \"" + data.path() + "\"))\n(write 'new port)\n");
  EXPECT_EQ(ReadFile(data.path()), "new");
}

TEST(SchemeFiles, PortsThatWereDroppedAreClosedSoThatMoreCanBeOpened) {
  ScratchFile data("");
  const std::string prefix = data.path() + "-";
  constexpr int kFiles = 300;
  ScratchFile program("(define (spill n)\n  (if (> n 0) (begin (write n (open-output-file (string-append \"" + prefix +
                      "\" (number->string n)))) (spill (- n 1)))))\n(spill " + std::to_string(kFiles) + ")\n");
  Outcome outcome = RunScheme(program.path(), "ulimit -n 40; ");
  EXPECT_EQ(outcome.text, "");
  for (int i = 1; i <= kFiles; ++i) {
    const std::string path = prefix + std::to_string(i);
    EXPECT_EQ(ReadFile(path), std::to_string(i));
    std::filesystem::remove(path);
  }
}

TEST(SchemeFiles, AClosedPortIsRefused) {
  ScratchFile data("");
  Outcome outcome = RunProgram("(define port (open-output-file \"" + data.path() + "\"))\n(close-port port)\n"
                               "(close-port port)\n(write 1 port)\n");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.text, HasSubstr("is not an open output port"));
}

constexpr char kFill[] = "(define (fill list) (fill (cons 1 list)))\n";

// Not every heap can keep a limit; those that cannot refuse the option.
bool KeepsLimit() { return RunScheme("--heap=16 -e 1").status == 0; }

TEST(SchemeMemory, AFullHeapIsAnErrorThatTheProgramHandles) {
  if (!KeepsLimit()) GTEST_SKIP() << "this heap keeps no limit";
  Outcome outcome = RunProgram(std::string(kFill) +
      "(define (try thunk) (guard (e ((error-object? e) (error-object-message e))) (thunk)))\n"
      "(display (try (lambda () (fill '()))))\n(newline)\n"
      "(display (try (lambda () (make-vector 100000000 0))))\n(newline)\n"
      "(display (length (vector->list (make-vector 1000 1))))\n", "--heap=16");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.text, "out of memory\nout of memory\n1000");
}

TEST(SchemeMemory, AFullHeapThatNobodyHandlesEndsTheProgramWithStatus3) {
  if (!KeepsLimit()) GTEST_SKIP() << "this heap keeps no limit";
  Outcome outcome = RunProgram(std::string(kFill) + "(display 1)\n(fill '())\n", "--heap=16");
  EXPECT_EQ(outcome.status, 3);
  EXPECT_THAT(outcome.text, StartsWith("1FILE:1: error: out of memory\n"));
}

// What fills the heap stays reachable until a line drops it.
TEST(SchemeMemory, TheReplLivesOnWhenTheHeapIsFull) {
  if (!KeepsLimit()) GTEST_SKIP() << "this heap keeps no limit";
  // Boehm's collector does not always find the reserve in one piece again, and then has no room for a second time.
  const int rounds = RunScheme("--help").text.find("keeps its objects on: acre") != std::string::npos ? 3 : 1;
  std::string input = "(define kept '())\n(define (fill)\n  (set! kept (cons 1 kept))\n  (fill))\n";
  for (int round = 0; round < rounds; ++round) input += "(fill)\n(set! kept '())\n";
  Outcome outcome = RunScheme("--heap=16 <<'END'\n" + input + "(+ 20 22)\nEND\n");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(Lines(outcome.text), ::testing::Contains("repl:2: error: out of memory").Times(rounds)) << outcome.text;
  EXPECT_THAT(Lines(outcome.text), ::testing::Contains("42")) << outcome.text;
}

TEST(SchemeRepl, AnswersEachLineAndGoesOnAfterAnError) {
  Outcome outcome = RunScheme("<<'END'\n(define x 20)\n(+ x\n   22)\n(car x)\n\"a\" 'b\n(car '())\n(+ 1 1)\nEND\n");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(Lines(outcome.text)[0], "42");
  EXPECT_THAT(outcome.text, HasSubstr("repl:1: error: car: 20 is not a pair\n"));
  EXPECT_THAT(outcome.text, HasSubstr("\"a\"\nb\n"));
  EXPECT_EQ(Lines(outcome.text).back(), "2");
}

TEST(SchemeRepl, InputThatEndsInsideOfAnExpressionIsAnError) {
  Outcome outcome = RunScheme("<<'END'\n(+ 1\nEND\n");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.text, "repl: the input ends inside of an expression\n");
}

TEST(SchemeOptions, HelpSaysHowToUseItAndWhichHeapThisIs) {
  Outcome outcome = RunScheme("--help");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(outcome.text, StartsWith("Usage: "));
  EXPECT_THAT(outcome.text, HasSubstr("keeps its objects on: "));
}

TEST(SchemeOptions, ExpressionsArgumentsAndStatistics) {
  EXPECT_EQ(RunScheme("-e '(+ 1 2)' -e '(quote (a . b))'").text, "3\n(a . b)\n");
  EXPECT_THAT(RunScheme("--stats -e 1").text, StartsWith("1\nheap: "));
  ScratchFile file("(write (cdr (command-line)))");
  EXPECT_EQ(RunScheme(file.path() + " -x 'two words'").text, "(\"-x\" \"two words\")");
}

TEST(SchemeOptions, WrongOnesAreRefusedWithStatus2) {
  for (const char* wrong : {"--nonsense", "-x", "-e", "--stack=", "--stack=12", "--stack=-1", "--stack=1e9",
                            "--stack=99999999999999999999", "--heap=1", "--heap=x"}) {
    Outcome outcome = RunScheme(wrong);
    EXPECT_EQ(outcome.status, 2) << wrong;
    EXPECT_THAT(outcome.text, HasSubstr("; try --help\n")) << wrong;
    EXPECT_EQ(Lines(outcome.text).size(), 1u) << wrong;
  }
}

TEST(SchemeOptions, MissingFileIsAnError) {
  Outcome outcome = RunScheme("/nowhere/at/all.scm");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.text, "scheme: error: cannot read the file /nowhere/at/all.scm\n");
}

TEST(SchemeExit, StatusIsThePrograms) {
  EXPECT_EQ(RunProgram("(exit 7)").status, 7);
  EXPECT_EQ(RunProgram("(exit #f)").status, 1);
  EXPECT_EQ(RunProgram("(dynamic-wind (lambda () #f) (lambda () (exit)) (lambda () (display \"after\")))").text, "after");
}

}  // namespace
