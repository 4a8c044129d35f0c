#include "os/debug_options.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "tests/support/child.h"

namespace acre::os {
namespace {

using Reports = std::vector<std::string>;

Reports Parse(const char* list, DebugOptions* options) {
  Reports reports;
  ParseDebugOptions(list, options, &reports, [](void* context, std::span<const char> entry, const char* problem) {
    static_cast<Reports*>(context)->push_back(std::string(entry.data(), entry.size()) + ": " + problem);
  });
  return reports;
}

TEST(DebugOptions, NamesAndValuesAreReadFromTheList) {
  struct {
    const char* list;
    bool expected;
  } const cases[] = {
      {"", false},
      {"kernelbug=1", true},
      {"kernelbug=0", false},
      {",kernelbug=1,,", true},
      {"kernelbug=1,kernelbug=0", false},
      {"kernelbug=0,kernelbug=1", true},
  };
  for (const auto& test : cases) {
    DebugOptions options;
    EXPECT_EQ(Parse(test.list, &options), Reports{}) << test.list;
    EXPECT_EQ(options.counts_kernel_as_buggy, test.expected) << test.list;
  }
}

TEST(DebugOptions, WhatIsNotUnderstoodIsReportedAndTheRestRead) {
  DebugOptions options;
  EXPECT_EQ(Parse("speed=11,kernelbug=1,kernelbugs=1", &options),
            (Reports{"speed=11: is not a debug option of this library",
                     "kernelbugs=1: is not a debug option of this library"}));
  EXPECT_TRUE(options.counts_kernel_as_buggy);
}

TEST(DebugOptions, BadValueIsReportedAndChangesNothing) {
  for (const char* entry :
       {"kernelbug", "kernelbug=", "kernelbug=2", "kernelbug=10", "kernelbug=yes", "kernelbug=1 "}) {
    DebugOptions options;
    EXPECT_EQ(Parse(entry, &options), Reports{std::string(entry) + ": expects 0 or 1"});
    EXPECT_FALSE(options.counts_kernel_as_buggy) << entry;
  }
}

TEST(DebugOptions, SwitchesOfTheCollectorAreRead) {
  DebugOptions options;
  EXPECT_EQ(Parse("verify=1,clobber=1,stress=17,droproot=handles", &options), Reports{});
  EXPECT_TRUE(options.verifies_marks);
  EXPECT_TRUE(options.clobbers_freed);
  EXPECT_EQ(options.stress_allocations, 17u);
  EXPECT_EQ(options.dropped_roots, RootSources(RootSource::kHandles));
  EXPECT_EQ(Parse("verify=0,clobber=0,stress=0", &options), Reports{});
  EXPECT_FALSE(options.verifies_marks);
  EXPECT_FALSE(options.clobbers_freed);
  EXPECT_EQ(options.stress_allocations, 0u);
}

TEST(DebugOptions, EveryRootSourceHasItsName) {
  const struct {
    const char* list;
    RootSource source;
  } cases[] = {
      {"droproot=stacks", RootSource::kStacks},         {"droproot=registers", RootSource::kRegisters},
      {"droproot=vectors", RootSource::kVectors},       {"droproot=redzone", RootSource::kRedZone},
      {"droproot=altstack", RootSource::kAlternateStack}, {"droproot=ranges", RootSource::kRanges},
      {"droproot=handles", RootSource::kHandles},       {"droproot=callbacks", RootSource::kCallbacks},
  };
  for (const auto& test : cases) {
    DebugOptions options;
    EXPECT_EQ(Parse(test.list, &options), Reports{}) << test.list;
    EXPECT_EQ(options.dropped_roots, RootSources(test.source)) << test.list;
  }
}

TEST(DebugOptions, RootSourcesAreJoinedAndTheLastEntryWins) {
  DebugOptions options;
  EXPECT_EQ(Parse("droproot=callbacks,droproot=stacks+registers+vectors", &options), Reports{});
  const RootSources expected = RootSources(RootSource::kStacks) | RootSource::kRegisters | RootSource::kVectors;
  EXPECT_EQ(options.dropped_roots, expected);
  EXPECT_FALSE(options.dropped_roots.Has(RootSource::kCallbacks));
}

TEST(DebugOptions, BadNumbersAndRootSourcesAreReportedAndChangeNothing) {
  for (const char* entry : {"stress", "stress=", "stress=-1", "stress=1k", "stress=18446744073709551616",
                            "stress=99999999999999999999999"}) {
    DebugOptions options;
    EXPECT_EQ(Parse(entry, &options), Reports{std::string(entry) + ": expects a number of allocations"});
    EXPECT_EQ(options.stress_allocations, 0u) << entry;
  }
  for (const char* entry : {"droproot", "droproot=", "droproot=stack", "droproot=stacks+", "droproot=+stacks",
                            "droproot=handles|ranges"}) {
    DebugOptions options;
    const Reports reports = Parse(entry, &options);
    ASSERT_EQ(reports.size(), 1u) << entry;
    EXPECT_EQ(reports[0].find(std::string(entry) + ": expects stacks, registers"), 0u) << reports[0];
    EXPECT_EQ(options.dropped_roots, RootSources()) << entry;
  }
}

TEST(DebugOptions, LargestNumberIsRead) {
  DebugOptions options;
  EXPECT_EQ(Parse("stress=18446744073709551615", &options), Reports{});
  EXPECT_EQ(options.stress_allocations, UINT64_MAX);
}

TEST(DebugOptions, EnvironmentsUnknownNamesAreNamedOnce) {
  const testing::ChildResult result = testing::RunInChild([] {
    setenv("ACRE_DEBUG", "speed=11,kernelbug=1", 1);
    return ReadDebugOptions().counts_kernel_as_buggy && ReadDebugOptions().counts_kernel_as_buggy ? 0 : 1;
  });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
  EXPECT_EQ(result.error_output, "acre: ignoring speed=11 in ACRE_DEBUG: it is not a debug option of this library\n");
}

TEST(DebugOptions, VeryLongEntryIsCut) {
  const testing::ChildResult result = testing::RunInChild([] {
    setenv("ACRE_DEBUG", std::string(10'000, 'x').c_str(), 1);
    return ReadDebugOptions().counts_kernel_as_buggy ? 1 : 0;
  });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
  EXPECT_LT(result.error_output.size(), 600u);
  EXPECT_NE(result.error_output.find("it is not a debug option"), std::string::npos);
}

}  // namespace
}  // namespace acre::os
