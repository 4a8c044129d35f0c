// The functions by which a program asks about its heap or tunes it: mallinfo, malloc_info, malloc_stats, mallopt,
// malloc_trim.

#include <gtest/gtest.h>
#include <malloc.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "tests/compat/blocks.h"
#include "tests/support/child.h"
#include "tests/support/process_memory.h"

namespace acre::testing {
namespace {

std::vector<void*> AllocateMany(size_t count, size_t bytes) {
  std::vector<void*> blocks(count);
  for (void*& block : blocks) {
    block = malloc(bytes);
    Fill(block, bytes, 1);
  }
  return blocks;
}

void FreeAll(const std::vector<void*>& blocks) {
  for (void* block : blocks) free(block);
}

size_t UsedBytes() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

TEST(Mallinfo2, FollowsWhatIsAllocatedAndFreed) {
  constexpr size_t kCount = 8 * kKiB;
  constexpr size_t kSlack = kMiB;
  const size_t before = UsedBytes();
  const std::vector<void*> blocks = AllocateMany(kCount, kKiB);
  const size_t during = UsedBytes();
  FreeAll(blocks);
  const size_t after = UsedBytes();
  EXPECT_GE(during, before + kCount * kKiB - kSlack);
  EXPECT_LE(during, before + 2 * kCount * kKiB);
  EXPECT_LE(after, before + kSlack);
}

TEST(Mallinfo2, SeesOneLargeBlock) {
  const size_t before = UsedBytes();
  void* block = Opaque(malloc(100 * kMiB));
  const size_t during = UsedBytes();
  free(block);
  EXPECT_GE(during, before + 100 * kMiB);
  EXPECT_LE(during, before + 120 * kMiB);
  EXPECT_LE(UsedBytes(), before + kMiB);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
TEST(Mallinfo, AgreesWithMallinfo2) {
  const std::vector<void*> blocks = AllocateMany(1000, 100);
  const struct mallinfo small = mallinfo();
  const struct mallinfo2 large = mallinfo2();
  EXPECT_EQ(static_cast<size_t>(small.uordblks), large.uordblks);
  EXPECT_EQ(static_cast<size_t>(small.arena), large.arena);
  EXPECT_GT(large.uordblks, 100'000u);
  FreeAll(blocks);
}
#pragma GCC diagnostic pop

TEST(MallocInfo, WritesAnXmlDocument) {
  char* text = nullptr;
  size_t bytes = 0;
  FILE* stream = open_memstream(&text, &bytes);
  ASSERT_EQ(malloc_info(0, stream), 0);
  std::fclose(stream);
  const std::string xml(text, bytes);
  free(text);
  EXPECT_EQ(xml.rfind("<malloc version=", 0), 0u) << xml;
  EXPECT_NE(xml.find("</malloc>"), std::string::npos) << xml;
  size_t open = 0;
  size_t close = 0;
  for (char c : xml) {
    open += c == '<';
    close += c == '>';
  }
  EXPECT_EQ(open, close) << xml;
}

TEST(MallocInfo, RefusesOptions) {
  FILE* stream = std::tmpfile();
  EXPECT_NE(malloc_info(1, stream), 0);
  EXPECT_EQ(std::ftell(stream), 0);
  std::fclose(stream);
}

TEST(MallocStats, WritesToStandardError) {
  const ChildResult result = RunInChild([] {
    malloc_stats();
    return 0;
  });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
  EXPECT_GE(result.error_lines().size(), 1u);
  EXPECT_NE(result.error_output.find_first_of("0123456789"), std::string::npos) << result.Describe();
}

TEST(Mallopt, AnswersAndTheHeapWorksOn) {
  const ChildResult result = RunInChild([] {
    for (int parameter = -10; parameter <= 10; ++parameter) {
      if (parameter == M_MXFAST) continue;  // glibc rejects large values: nothing to compare.
      const int answer = mallopt(parameter, 1 << 20);
      if (answer != 0 && answer != 1) return 1;
      free(Opaque(malloc(1000)));
    }
    return 0;
  });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
}

TEST(MallocTrim, GivesFreedMemoryBack) {
  constexpr size_t kCount = 128 * kKiB;
  constexpr size_t kBytes = 512;
  constexpr size_t kSlack = 10 * kMiB;
  const ChildResult result = RunInChild([] {
    malloc_trim(0);
    const size_t before = ResidentBytes();
    FreeAll(AllocateMany(kCount, kBytes));
    malloc_trim(0);
    const size_t after = ResidentBytes();
    std::fprintf(stderr, "RSS before %zu KiB, after %zu KiB", before / kKiB, after / kKiB);
    return after <= before + kSlack ? 0 : 1;
  });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
}

TEST(MallocTrim, ReturnsZeroWhenThereIsNothingToGive) {
  malloc_trim(0);
  const int second = malloc_trim(0);
  EXPECT_TRUE(second == 0 || second == 1);
}

}  // namespace
}  // namespace acre::testing
