// The set of words that may be pointers: the wide body against the portable one, and that one against its meaning.

#include "arch/fields.h"

#include <gtest/gtest.h>

#include <iterator>
#include <random>
#include <vector>

#include "tests/unit/arch/memory_support.h"

namespace acre::arch {

namespace {

struct Range {
  uint64_t low;
  uint64_t bytes;
};

uint64_t AnyWord(std::mt19937_64& random, const Range& range) {
  constexpr uint64_t kStep = uint64_t{1} << 32;
  const uint64_t limit = range.low + range.bytes;
  const uint64_t sorts[] = {0,
                            random(),
                            ~uint64_t{0},
                            uint64_t{1} << 63,
                            range.low - 1,
                            range.low,
                            range.low + random() % range.bytes,
                            limit - 1,
                            limit,
                            limit + kStep,
                            range.low - kStep,
                            range.low ^ uint64_t{1} << 63,
                            limit + random() % (2 * kStep)};
  return sorts[random() % std::size(sorts)];
}

uint64_t Expected(const Range& range, const std::vector<uint64_t>& words) {
  uint64_t found = 0;
  for (const uint64_t word : words) found = found << 1 | ((word - range.low) >> 32 <= (range.bytes - 1) >> 32 ? 1 : 0);
  return found;
}

class FieldsTest : public testing::Test {
 protected:
  void Check(const Range& range, const std::vector<uint64_t>& words) {
    // Before a page without access: nothing behind the last word is read.
    uint64_t* place = reinterpret_cast<uint64_t*>(guarded_.limit()) - words.size();
    for (size_t i = 0; i < words.size(); ++i) place[i] = words[i];
    const uint64_t expected = Expected(range, words);
    EXPECT_EQ(FieldsPortable(range.low, range.bytes).Find(place, words.size()), expected);
    EXPECT_EQ(Fields(range.low, range.bytes).Find(place, words.size()), expected);
#if defined(__SSE2__)
    EXPECT_EQ(FieldsSse2(range.low, range.bytes).Find(place, words.size()), expected);
#endif
  }

  GuardedMemory guarded_{4096};
};

TEST_F(FieldsTest, EveryCountAndAllSortsOfWords) {
  std::mt19937_64 random(Seed());
  const Range ranges[] = {{uint64_t{0xc0} << 32, uint64_t{1} << 26},
                          {(uint64_t{0xc0} << 32) + (uint64_t{63} << 26), uint64_t{3} << 26},
                          {uint64_t{1} << 26, (uint64_t{1} << 47) - (uint64_t{1} << 26)},
                          {uint64_t{0x7fff} << 32, (uint64_t{1} << 32) + 1},
                          {uint64_t{0xc0} << 32, uint64_t{1} << 32}};
  for (const Range& range : ranges) {
    for (size_t count = 2; count <= 64; count += 2) {
      for (int round = 0; round < 50; ++round) {
        std::vector<uint64_t> words;
        for (size_t i = 0; i < count; ++i) words.push_back(AnyWord(random, range));
        ASSERT_NO_FATAL_FAILURE(Check(range, words));
      }
    }
  }
}

// Whatever lies in the range is in the set: it is not to miss a pointer.
TEST_F(FieldsTest, EveryPointerIsFound) {
  std::mt19937_64 random(Seed());
  for (int round = 0; round < 10'000; ++round) {
    const uint64_t low = random() >> 17 & ~uint64_t{0xffff};
    const uint64_t bytes = 1 + (random() >> (17 + random() % 40));
    std::vector<uint64_t> words;
    for (int i = 0; i < 8; ++i) words.push_back(low + random() % bytes);
    alignas(16) uint64_t place[8];
    for (size_t i = 0; i < 8; ++i) place[i] = words[i];
    ASSERT_EQ(Fields(low, bytes).Find(place, 8), 0xffu) << low << " " << bytes;
  }
}

}  // namespace

}  // namespace acre::arch
