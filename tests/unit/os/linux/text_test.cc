#include "os/linux/text.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

namespace acre::os {
namespace {

std::string StringOf(Text text) { return {text.data(), text.size()}; }

std::vector<std::string> ReadLines(const std::string& contents) {
  char path[] = "/tmp/acre_text_test_XXXXXX";
  const int descriptor = mkstemp(path);
  EXPECT_GE(descriptor, 0);
  close(descriptor);
  std::ofstream(path) << contents;
  std::vector<std::string> lines;
  {
    LineReader reader(path);
    for (Text line; reader.Next(&line);) lines.push_back(StringOf(line));
    Text line;
    EXPECT_FALSE(reader.Next(&line)) << "the end must stay the end";
  }
  unlink(path);
  return lines;
}

using Lines = std::vector<std::string>;

TEST(Text, PiecesAreCutAtSeparators) {
  Text rest = TextOf("a::bc");
  EXPECT_EQ(StringOf(CutUntil(':', &rest)), "a");
  EXPECT_EQ(StringOf(CutUntil(':', &rest)), "");
  EXPECT_EQ(StringOf(CutUntil(':', &rest)), "bc");
  EXPECT_TRUE(rest.empty());
}

TEST(Text, ComparisonsSeeTheWholeText) {
  EXPECT_TRUE(TextEquals(TextOf("cpu"), "cpu"));
  EXPECT_FALSE(TextEquals(TextOf("cpu"), "cpuset"));
  EXPECT_FALSE(TextEquals(TextOf("cpuset"), "cpu"));
  EXPECT_TRUE(TextStartsWith(TextOf("cpuset"), TextOf("cpu")));
  EXPECT_FALSE(TextStartsWith(TextOf("cp"), TextOf("cpu")));
}

TEST(Text, NumbersAreWholeAndInRange) {
  uint64_t number = 0;
  EXPECT_TRUE(ParseNumber(TextOf("18446744073709551615"), &number));
  EXPECT_EQ(number, ~uint64_t{0});
  EXPECT_FALSE(ParseNumber(TextOf("18446744073709551616"), &number));
  EXPECT_FALSE(ParseNumber(TextOf("-1"), &number));
  EXPECT_FALSE(ParseNumber(TextOf("12 "), &number));
  EXPECT_FALSE(ParseNumber(TextOf(""), &number));
}

TEST(LineReader, GivesEachLineWithOrWithoutLastLineFeed) {
  EXPECT_EQ(ReadLines(""), Lines{});
  EXPECT_EQ(ReadLines("one\n\nthree\n"), (Lines{"one", "", "three"}));
  EXPECT_EQ(ReadLines("one\ntwo"), (Lines{"one", "two"}));
}

TEST(LineReader, LinesAcrossTheBuffersEndAreWhole) {
  std::string contents;
  Lines expected;
  for (size_t i = 0; i < 500; ++i) {
    expected.push_back(std::string(i % 97, 'a') + std::to_string(i));
    contents += expected.back() + "\n";
  }
  EXPECT_EQ(ReadLines(contents), expected);
}

TEST(LineReader, TooLongLinesAreLeftOut) {
  for (const size_t bytes : {4094u, 4095u, 4096u, 4097u, 8192u, 20000u}) {
    const std::string line(bytes, 'x');
    const bool fits = bytes < 4096;
    const Lines expected = fits ? Lines{"a", line, "b"} : Lines{"a", "b"};
    EXPECT_EQ(ReadLines("a\n" + line + "\nb\n"), expected) << bytes;
  }
}

TEST(LineReader, MissingFileHasNoLines) {
  LineReader reader("/nonexistent/file");
  Text line;
  EXPECT_FALSE(reader.Next(&line));
}

}  // namespace
}  // namespace acre::os
