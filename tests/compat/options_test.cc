// Options in the environment: ACRE_STATS=1 prints a summary at exit; what is not understood is named and ignored.

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/support/child.h"
#include "tests/support/malloc_library.h"

namespace acre::testing {
namespace {

class Options : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!RunsOnAcre()) GTEST_SKIP() << "these are Acre's own";
  }

  // A program that ends by exit() with its standard error open: this one, listing its tests. (Shells end by _exit, and
  // GNU's tools close standard error in an exit handler.)
  static ChildResult Run(const std::vector<std::string>& environment) {
    return RunCommand({"/proc/self/exe", "--gtest_list_tests"}, environment);
  }

  static long LinesWith(const ChildResult& result, const std::string& word) {
    const std::vector<std::string> lines = result.error_lines();
    return std::count_if(lines.begin(), lines.end(),
                         [&](const std::string& line) { return line.find(word) != std::string::npos; });
  }
};

TEST_F(Options, NothingIsPrintedWithoutOptions) {
  const ChildResult result = Run({});
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
  EXPECT_EQ(result.error_output, "");
}

TEST_F(Options, StatsPrintsASummaryAtExit) {
  const ChildResult result = Run({"ACRE_STATS=1"});
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
  EXPECT_GE(result.error_lines().size(), 2u) << result.Describe();
  EXPECT_GE(LinesWith(result, "acre"), 1) << result.Describe();
  std::printf("%s", result.error_output.c_str());
}

TEST_F(Options, StatsZeroPrintsNothing) {
  const ChildResult result = Run({"ACRE_STATS=0"});
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
  EXPECT_EQ(result.error_output, "");
}

TEST_F(Options, UnknownNameIsNamedInOneLineAndIgnored) {
  const ChildResult result = Run({"ACRE_NO_SUCH_OPTION=7"});
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
  const std::vector<std::string> lines = result.error_lines();
  ASSERT_EQ(lines.size(), 1u) << result.Describe();
  EXPECT_EQ(lines[0].rfind("acre: ", 0), 0u) << lines[0];
  EXPECT_NE(lines[0].find("ACRE_NO_SUCH_OPTION"), std::string::npos) << lines[0];
}

TEST_F(Options, BadValueIsNamedInOneLineAndIgnored) {
  for (const char* value : {"banana", "", "1x", "-1", "99999999999999999999"}) {
    const ChildResult result = Run({std::string("ACRE_STATS=") + value});
    EXPECT_TRUE(result.exited_with(0)) << result.Describe();
    const std::vector<std::string> lines = result.error_lines();
    ASSERT_EQ(lines.size(), 1u) << "value '" << value << "': " << result.Describe();
    EXPECT_EQ(lines[0].rfind("acre: ", 0), 0u) << lines[0];
    EXPECT_NE(lines[0].find("ACRE_STATS"), std::string::npos) << lines[0];
    EXPECT_NE(lines[0].find(value), std::string::npos) << lines[0];
  }
}

TEST_F(Options, SeveralMistakesGiveOneLineEach) {
  const ChildResult result = Run({"ACRE_ONE=1", "ACRE_TWO=2", "ACRE_STATS=x"});
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
  EXPECT_EQ(result.error_lines().size(), 3u) << result.Describe();
}

TEST_F(Options, NamesThatOnlyResembleOursAreLeftAlone) {
  const ChildResult result = Run({"ACREAGE=1", "acre_stats=1", "XACRE_STATS=1"});
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
  EXPECT_EQ(result.error_output, "");
}

}  // namespace
}  // namespace acre::testing
