// Every function over bit ranges is compared with a loop over single bits.

#include "allocator/base/bits.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "tests/support/seed.h"

namespace acre {
namespace {

constexpr uint32_t kWords = 4;
constexpr uint32_t kBits = kWords * kWordBits;
using Words = std::array<uint64_t, kWords>;

bool NaiveTest(const Words& words, uint32_t bit) { return (words[bit / 64] & (uint64_t{1} << (bit % 64))) != 0; }

uint32_t NaiveFind(const Words& words, uint32_t from, uint32_t limit, bool value) {
  for (uint32_t bit = from; bit < limit; ++bit) {
    if (NaiveTest(words, bit) == value) return bit;
  }
  return limit;
}

uint32_t NaiveLastEnd(const Words& words, uint32_t base, uint32_t from) {
  for (uint32_t bit = from; bit > base; --bit) {
    if (NaiveTest(words, bit - 1)) return bit;
  }
  return base;
}

// Random words, with whole words of zeros and ones and long runs among them: those are the special cases.
Words RandomWords(testing::Random& random) {
  Words words;
  for (uint64_t& word : words) {
    switch (random.Below(5)) {
      case 0: word = 0; break;
      case 1: word = ~uint64_t{0}; break;
      case 2: word = uint64_t{1} << random.Below(64); break;
      case 3: word = ~uint64_t{0} << random.Below(64); break;
      default: word = random.Next(); break;
    }
  }
  return words;
}

TEST(Bits, WordMaskHasExactlyTheBitsOfItsRange) {
  for (uint32_t first = 0; first < kWordBits; ++first) {
    for (uint32_t count = 1; first + count <= kWordBits; ++count) {
      const uint64_t mask = WordMask(first, count);
      for (uint32_t bit = 0; bit < kWordBits; ++bit) {
        ASSERT_EQ((mask >> bit) & 1, bit >= first && bit < first + count) << first << "+" << count << " bit " << bit;
      }
    }
  }
}

TEST(Bits, ForEachWordVisitsTheRangeOnceAndInOrder) {
  for (uint32_t first = 0; first < 130; ++first) {
    for (uint32_t count = 0; first + count <= kBits; ++count) {
      uint32_t next = first;
      ForEachWord(first, count, [&](uint32_t word, uint64_t mask) {
        ASSERT_NE(mask, 0u);
        ASSERT_EQ(word * kWordBits + static_cast<uint32_t>(std::countr_zero(mask)), next);
        next += static_cast<uint32_t>(std::popcount(mask));
      });
      ASSERT_EQ(next, first + count);
    }
  }
}

TEST(Bits, SetClearAndCountMatchANaiveLoopForEveryRange) {
  testing::Random random(testing::Seed("bits"));
  for (uint32_t first = 0; first < kBits; first += 1 + static_cast<uint32_t>(random.Below(3))) {
    for (uint32_t count = 0; first + count <= kBits; ++count) {
      const Words before = RandomWords(random);
      Words set = before;
      Words cleared = before;
      SetBits(set.data(), first, count);
      ClearBits(cleared.data(), first, count);
      uint32_t ones = 0;
      for (uint32_t bit = 0; bit < kBits; ++bit) {
        const bool is_inside = bit >= first && bit < first + count;
        const bool was_set = NaiveTest(before, bit);
        ones += is_inside && was_set;
        ASSERT_EQ(TestBit(set.data(), bit), is_inside || was_set);
        ASSERT_EQ(TestBit(cleared.data(), bit), !is_inside && was_set);
      }
      ASSERT_EQ(CountBits(before.data(), first, count), ones);
    }
  }
}

TEST(Bits, OnesOfWholeWordsMatchANaiveLoop) {
  testing::Random random(testing::Seed("ones of whole words"));
  constexpr uint32_t kMostWords = 31;
  uint64_t words[kMostWords];
  for (int round = 0; round < 300; ++round) {
    uint32_t ones = 0;
    for (uint32_t count = 0; count < kMostWords; ++count) {
      ASSERT_EQ(CountOnes(words, count), ones);
      words[count] = random.Below(UINT64_MAX) & (round % 2 == 0 ? UINT64_MAX : random.Below(UINT64_MAX));
      for (uint32_t bit = 0; bit < kWordBits; ++bit) ones += TestBit(&words[count], bit) ? 1 : 0;
    }
  }
  for (uint64_t& word : words) word = ~uint64_t{0};
  EXPECT_EQ(CountOnes(words, kMostWords), kMostWords * kWordBits);
}

TEST(Bits, SearchesMatchANaiveLoop) {
  testing::Random random(testing::Seed("bit searches"));
  for (int round = 0; round < 300; ++round) {
    const Words words = RandomWords(random);
    const auto word = [&words](uint32_t index) { return words[index]; };
    const auto limit = static_cast<uint32_t>(random.Below(kBits + 1));
    for (uint32_t from = 0; from <= limit; ++from) {
      ASSERT_EQ(FindOne(from, limit, word), NaiveFind(words, from, limit, true)) << from << " " << limit;
      ASSERT_EQ(FindZero(from, limit, word), NaiveFind(words, from, limit, false)) << from << " " << limit;
      ASSERT_EQ(FindLastOneEnd(from, limit, word), NaiveLastEnd(words, from, limit)) << from << " " << limit;
    }
  }
}

TEST(Bits, SearchesReadNoWordOutsideOfTheRange) {
  const auto word = [](uint32_t index) -> uint64_t {
    EXPECT_GE(index, 1u);
    EXPECT_LE(index, 2u);
    return 0;
  };
  EXPECT_EQ(FindOne(64, 192, word), 192u);
  EXPECT_EQ(FindZero(191, 192, word), 191u);
  EXPECT_EQ(FindLastOneEnd(64, 192, word), 64u);
  EXPECT_EQ(FindOne(192, 192, word), 192u);
  EXPECT_EQ(FindLastOneEnd(64, 64, word), 64u);
}

}  // namespace
}  // namespace acre
