#include "allocator/compat/malloc/options.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>

namespace acre::compat {
namespace {

TEST(Options, DefaultsPrintNothingAllowTheThreadAndNoHugePages) {
  const Options options;
  EXPECT_FALSE(options.prints_stats);
  EXPECT_TRUE(options.may_start_thread);
  EXPECT_EQ(options.huge_page_threshold_bytes, SIZE_MAX);
}

TEST(Options, SwitchesTakeZeroAndOne) {
  Options options;
  EXPECT_EQ(SetOption(&options, "STATS=1"), nullptr);
  EXPECT_TRUE(options.prints_stats);
  EXPECT_EQ(SetOption(&options, "STATS=0"), nullptr);
  EXPECT_FALSE(options.prints_stats);
  EXPECT_EQ(SetOption(&options, "BACKGROUND=0"), nullptr);
  EXPECT_FALSE(options.may_start_thread);
  EXPECT_EQ(SetOption(&options, "BACKGROUND=1"), nullptr);
  EXPECT_TRUE(options.may_start_thread);
}

TEST(Options, HugePagesTakeNeverAndAuto) {
  Options options;
  EXPECT_EQ(SetOption(&options, "HUGE_PAGES=auto"), nullptr);
  EXPECT_EQ(options.huge_page_threshold_bytes, kAutoHugePageBytes);
  EXPECT_EQ(SetOption(&options, "HUGE_PAGES=never"), nullptr);
  EXPECT_EQ(options.huge_page_threshold_bytes, SIZE_MAX);
}

TEST(Options, BadValueIsNamedAndChangesNothing) {
  Options options;
  for (const char* entry : {"STATS=", "STATS=2", "STATS=01", "STATS=yes", "STATS= 1", "BACKGROUND=on"}) {
    EXPECT_STREQ(SetOption(&options, entry), "expects 0 or 1") << entry;
  }
  EXPECT_STREQ(SetOption(&options, "HUGE_PAGES=always"), "expects never or auto");
  EXPECT_FALSE(options.prints_stats);
  EXPECT_TRUE(options.may_start_thread);
  EXPECT_EQ(options.huge_page_threshold_bytes, Options{}.huge_page_threshold_bytes);
}

TEST(Options, UnknownNameIsNamed) {
  Options options;
  for (const char* entry : {"STAT=1", "STATSX=1", "stats=1", "=1", "NO_SUCH=1", " STATS=1"}) {
    EXPECT_STREQ(SetOption(&options, entry), "is not an option of this library") << entry;
  }
}

TEST(Options, NamesOfTestsAndBenchmarksAreLeftAlone) {
  Options options;
  for (const char* entry : {"TEST_SEED=1", "BENCH_ROUNDS=7", "STRESS_SECONDS=2", "MEMORY_LIMIT=1G"}) {
    EXPECT_EQ(SetOption(&options, entry), nullptr) << entry;
  }
}

TEST(Options, DebugSwitchesAreReadByTheirOwnRules) {
  EXPECT_EXIT(
      {
        setenv("ACRE_DEBUG", "kernelbug=1,speed=11", 1);
        Options options;
        ReadOptions(&options);
        std::_Exit(0);
      },
      ::testing::ExitedWithCode(0),
      "^acre: ignoring speed=11 in ACRE_DEBUG: it is not a debug option of this library\n$");
}

TEST(Options, AllVariablesOfTheEnvironmentAreReadAndMistakesPrinted) {
  EXPECT_EXIT(
      {
        setenv("ACRE_STATS", "1", 1);
        setenv("ACRE_HUGE_PAGES", "auto", 1);
        setenv("ACRE_NONSENSE", "7", 1);
        Options options;
        ReadOptions(&options);
        std::_Exit(options.prints_stats && options.huge_page_threshold_bytes == kAutoHugePageBytes ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "^acre: ignoring ACRE_NONSENSE=7: it is not an option of this library\n$");
}

}  // namespace
}  // namespace acre::compat
