#include "os/check.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <limits>
#include <string>

namespace acre::os {
namespace {

template <class... Parts>
std::string Format(const Parts&... parts) {
  Line line;
  (line << ... << parts);
  EXPECT_EQ(line.bytes(), std::string(line.text()).size());
  return line.text();
}

TEST(Line, WritesTextAndNumbersOfEveryKind) {
  EXPECT_EQ(Format("slot ", 7, " of ", size_t{12}), "slot 7 of 12");
  EXPECT_EQ(Format(0), "0");
  EXPECT_EQ(Format(-1), "-1");
  EXPECT_EQ(Format(uint8_t{200}, " ", int8_t{-128}), "200 -128");
  EXPECT_EQ(Format(std::numeric_limits<uint64_t>::max()), "18446744073709551615");
  EXPECT_EQ(Format(std::numeric_limits<int64_t>::min()), "-9223372036854775808");
  EXPECT_EQ(Format(std::numeric_limits<int64_t>::max()), "9223372036854775807");
}

TEST(Line, WritesHexadecimalWithPrefix) {
  EXPECT_EQ(Format(Hex{0}), "0x0");
  EXPECT_EQ(Format(Hex{0xc000001000}), "0xc000001000");
  EXPECT_EQ(Format(Hex{~uint64_t{0}}), "0xffffffffffffffff");
}

TEST(Line, NamesANullText) {
  const char* const null = nullptr;
  EXPECT_EQ(Format(null), "(null)");
}

TEST(Line, CutsWhatDoesNotFit) {
  const std::string most(Line::kCapacity - 1, 'x');
  EXPECT_EQ(Format(most.c_str()), most);
  EXPECT_EQ(Format(most.c_str(), "y", 12345), most);
  EXPECT_EQ(Format(most.substr(2).c_str(), 12345), most.substr(2) + "12");
}

TEST(Line, IsWrittenInOneCallWithPrefixAndKeepsErrno) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  errno = E2BIG;
  (Line() << "hello ").operator<<(1).Write(ends[1]);
  EXPECT_EQ(errno, E2BIG);
  char buffer[64] = {};
  EXPECT_EQ(read(ends[0], buffer, sizeof buffer), 14);
  EXPECT_STREQ(buffer, "acre: hello 1\n");
  close(ends[0]);
  close(ends[1]);
  Line().Write(ends[1]);  // Closed by now: EBADF must not reach the caller.
  EXPECT_EQ(errno, E2BIG);
}

TEST(CheckDeathTest, FatalWritesOneLineAndAborts) {
  EXPECT_EXIT(Fatal("double free of ", Hex{0x1234}), testing::KilledBySignal(SIGABRT), "^acre: double free of 0x1234\n$");
}

TEST(CheckDeathTest, FailedCheckNamesPlaceAndCondition) {
  const int pages = 3;
  EXPECT_DEATH(CHECK(pages == 4), "acre: .*check_test.cc:[0-9]+: check failed: pages == 4");
}

TEST(Check, PassesWhatIsTrueAndEvaluatesItOnce) {
  int evaluations = 0;
  CHECK(++evaluations == 1);
  EXPECT_EQ(evaluations, 1);
}

#if defined(ACRE_ASSERTS)
TEST(CheckDeathTest, AssertIsFatalInThisBuild) { EXPECT_DEATH(ASSERT(1 + 1 == 3), "check failed: 1 \\+ 1 == 3"); }
#else
TEST(Check, AssertIsNotEvaluatedInThisBuild) {
  int evaluations = 0;
  ASSERT(++evaluations == 100);
  EXPECT_EQ(evaluations, 0);
}
#endif

}  // namespace
}  // namespace acre::os
