// A process with the limit on locked memory set dies in each of the ways that pass through the library, and what it
// wrote is compared. The process is kernel_bug_program, whose first line says how much of its signal stack is locked.

#include "os/crash_notes.h"

#include <gtest/gtest.h>

#include <csignal>
#include <string>
#include <vector>

#include "os/linux/kernel_bugs.h"
#include "os/signal_stack.h"
#include "tests/support/child.h"

namespace acre::os {
namespace {

constexpr int kCannotShow = 77;

using Lines = std::vector<std::string>;

struct Trace {
  testing::ChildResult result;
  std::string stack;  // The first line.
  Lines rest;
};

Trace RunProgram(size_t memlock_bytes, const std::string& way, const char* debug = "kernelbug=1") {
  // A sanitizer would end the process in its own way, and has a signal stack of its own.
  Trace run;
  run.result = testing::RunCommand({KERNEL_BUG_PROGRAM, std::to_string(memlock_bytes), way},
                                   {"ACRE_DEBUG=" + std::string(debug),
                                    "ASAN_OPTIONS=use_sigaltstack=0:handle_segv=0:handle_sigbus=0:handle_sigill=0",
                                    "TSAN_OPTIONS=use_sigaltstack=0:handle_segv=0:handle_sigbus=0:handle_sigill=0",
                                    "UBSAN_OPTIONS=use_sigaltstack=0:handle_segv=0:handle_sigbus=0:handle_sigill=0"});
  Lines lines = run.result.error_lines();
  if (lines.empty()) return run;
  run.stack = lines[0];
  run.rest.assign(lines.begin() + 1, lines.end());
  return run;
}

#define SKIP_IF_IT_CANNOT_BE_SHOWN(run) \
  if (run.result.exited_with(kCannotShow)) GTEST_SKIP() << run.stack

std::string Pattern(const Lines& lines) {
  std::string text;
  for (const std::string& line : lines) text += line.substr(0, line.find(" (installed as ")) + "\n";
  return text;
}

std::string NotesWith(const char* error) {
  return "acre: note: your Linux kernel may be buggy\n"
         "acre: note: see docs/kernel-signal-vector-bug.md\n"
         "acre: note: mlock workaround for kernel bug failed with errno " +
         std::string(error) + "\n";
}

// The kernel answers EPERM where nothing may be locked at all, and ENOMEM where there is a limit and it is too low.
constexpr size_t kLessThanAPage = 1024;
constexpr size_t kEnough = size_t{256} * 1024;

struct Death {
  const char* way;
  int signal;
};

constexpr Death kDeaths[] = {
    {"segv", SIGSEGV}, {"bus", SIGBUS}, {"ill", SIGILL}, {"kill", SIGSEGV}, {"overflow", SIGSEGV}};

TEST(CrashNotes, FollowEveryCrashWhenNothingMayBeLocked) {
  for (const Death& death : kDeaths) {
    const Trace run = RunProgram(0, death.way);
    SKIP_IF_IT_CANNOT_BE_SHOWN(run);
    EXPECT_TRUE(run.result.killed_by(death.signal)) << death.way << ": " << run.result.Describe();
    EXPECT_EQ(run.stack, "stack: locked 0 kB");
    EXPECT_EQ(Pattern(run.rest), NotesWith("1")) << death.way;
  }
}

TEST(CrashNotes, TellTheNumberOfALimitThatIsTooLow) {
  const Trace run = RunProgram(kLessThanAPage, "segv");
  SKIP_IF_IT_CANNOT_BE_SHOWN(run);
  EXPECT_TRUE(run.result.killed_by(SIGSEGV)) << run.result.Describe();
  EXPECT_EQ(Pattern(run.rest), NotesWith("12"));
}

TEST(CrashNotes, FollowAFatalMessage) {
  const Trace run = RunProgram(0, "misuse");
  SKIP_IF_IT_CANNOT_BE_SHOWN(run);
  EXPECT_TRUE(run.result.killed_by(SIGABRT)) << run.result.Describe();
  ASSERT_EQ(run.rest.size(), 4u) << run.result.error_output;
  EXPECT_NE(run.rest[0].find("check failed: way.empty()"), std::string::npos) << run.rest[0];
  EXPECT_EQ(Pattern({run.rest.begin() + 1, run.rest.end()}), NotesWith("1"));
}

TEST(CrashNotes, AreNotWrittenWhenTheStackIsLocked) {
  const std::string locked = "stack: locked " + std::to_string(SignalFrameBytes() / 1024) + " kB";
  for (const Death& death : kDeaths) {
    const Trace run = RunProgram(kEnough, death.way);
    SKIP_IF_IT_CANNOT_BE_SHOWN(run);
    EXPECT_TRUE(run.result.killed_by(death.signal)) << death.way << ": " << run.result.Describe();
    EXPECT_EQ(run.stack, locked);
    EXPECT_EQ(Pattern(run.rest), "") << death.way;
  }
  const Trace misuse = RunProgram(kEnough, "misuse");
  EXPECT_EQ(misuse.stack, locked);
  EXPECT_EQ(misuse.rest.size(), 1u) << misuse.result.Describe();
}

TEST(CrashNotes, AreNotWrittenOnASoundKernel) {
  if (HasSignalVectorBug(ReadRunningKernel())) GTEST_SKIP() << "this machine's kernel is an affected one";
  const Trace run = RunProgram(0, "segv", "kernelbug=0");
  SKIP_IF_IT_CANNOT_BE_SHOWN(run);
  EXPECT_TRUE(run.result.killed_by(SIGSEGV)) << run.result.Describe();
  EXPECT_EQ(run.stack, "stack: locked 0 kB");
  EXPECT_EQ(Pattern(run.rest), "");
}

TEST(CrashNotes, AreNotWrittenWithoutACrash) {
  const Trace run = RunProgram(0, "end");
  SKIP_IF_IT_CANNOT_BE_SHOWN(run);
  EXPECT_TRUE(run.result.exited_with(0)) << run.result.Describe();
  EXPECT_EQ(Pattern(run.rest), "");
}

TEST(CrashNotes, HandlerThatWasThereBeforeIsCalledAfterThem) {
  const Trace run = RunProgram(0, "handler");
  SKIP_IF_IT_CANNOT_BE_SHOWN(run);
  EXPECT_TRUE(run.result.exited_with(9)) << run.result.Describe();
  EXPECT_EQ(Pattern(run.rest), NotesWith("1") + "application: handled\n");
}

TEST(CrashNotes, HandlerThatRepairsFaultsGoesOn) {
  const Trace run = RunProgram(0, "repair");
  SKIP_IF_IT_CANNOT_BE_SHOWN(run);
  EXPECT_TRUE(run.result.exited_with(0)) << run.result.Describe();
  EXPECT_EQ(Pattern(run.rest), NotesWith("1"));
}

TEST(CrashNotes, SignalThatIsSentAndIgnoredStaysIgnored) {
  const Trace run = RunProgram(0, "ignored");
  SKIP_IF_IT_CANNOT_BE_SHOWN(run);
  EXPECT_TRUE(run.result.exited_with(0)) << run.result.Describe();
  EXPECT_EQ(Pattern(run.rest), "");
}

}  // namespace
}  // namespace acre::os
