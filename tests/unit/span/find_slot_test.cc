// FindSlot answers for any word whatever. The reference is a list of the spans that were made.

#include <gtest/gtest.h>

#include <map>

#include "allocator/span/chunk.h"
#include "tests/support/allocator/chunk_under_test.h"
#include "tests/support/seed.h"

namespace acre {
namespace {

class FindSlotTest : public ::testing::Test {
 protected:
  Slot Find(uintptr_t word) { return FindSlot(test_.table(), word); }

  void MakeSomeSpans() {
    for (uint32_t number = 1; number < kSizeClassCount; ++number) {
      Add(test_.Make(static_cast<SizeClass>(number)));
      if (number % 10 == 0) Add(test_.Make(kLargeClass, number));
    }
    // Holes between them.
    for (auto span = spans_.begin(); span != spans_.end(); ++span) {
      if (random_.OneIn(3)) {
        test_.Unmake(span->second);
        span = spans_.erase(span);
        if (span == spans_.end()) break;
      }
    }
  }

  void Add(Span* span) { spans_[BaseOf(span)] = span; }

  void ExpectAnswer(uintptr_t word) {
    const Slot slot = Find(word);
    auto above = spans_.upper_bound(word);
    if (above == spans_.begin() || std::prev(above)->first + BytesOf(std::prev(above)->second) <= word) {
      ASSERT_EQ(slot.span, nullptr) << std::hex << word;
      return;
    }
    const auto [base, span] = *std::prev(above);
    ASSERT_EQ(slot.span, span) << std::hex << word;
    if (span->size_class == kLargeClass) {
      ASSERT_EQ(slot.index, 0u);
      ASSERT_EQ(slot.base, base);
      return;
    }
    const uint32_t slot_bytes = kSizeClasses[span->size_class].slot_bytes;
    ASSERT_EQ(slot.index, (word - base) / slot_bytes);
    ASSERT_EQ(slot.base, base + (word - base) / slot_bytes * slot_bytes);
  }

  testing::ChunkUnderTest test_;
  testing::Random random_{testing::Seed("find slot")};
  std::map<uintptr_t, Span*> spans_;
};

TEST_F(FindSlotTest, EveryAddressOfAChunkIsAnsweredAndItsRecordsAreNoSlots) {
  MakeSomeSpans();
  const uintptr_t base = test_.chunk().base();
  const uintptr_t pages = base + size_t{kFirstPage} * kPageBytes;
  for (uintptr_t word = base - 64; word < pages; word += 61) ASSERT_EQ(Find(word).span, nullptr);
  const uintptr_t limit = spans_.rbegin()->first + 4 * kMiB;
  for (uintptr_t word = pages - 64; word < limit; word += 7) ExpectAnswer(word);
  for (uintptr_t word = limit; word < base + kChunkBytes + 64; word += 997) ExpectAnswer(word);
}

TEST_F(FindSlotTest, EdgesOfEverySpanAreExact) {
  MakeSomeSpans();
  for (const auto& [base, span] : spans_) {
    for (uintptr_t word : {base - 1, base, base + 1, base + BytesOf(span) - 1, base + BytesOf(span)})
      ExpectAnswer(word);
  }
}

TEST_F(FindSlotTest, RandomWordsNeverFault) {
  MakeSomeSpans();
  for (int i = 0; i < 1'000'000; ++i) ExpectAnswer(random_.Next());
  for (int i = 0; i < 100'000; ++i) ExpectAnswer(test_.chunk().base() + random_.Below(kChunkBytes));
}

TEST_F(FindSlotTest, WordsWithOneOrTwoBitsAndTheirNeighboursNeverFault) {
  MakeSomeSpans();
  for (uint32_t one = 0; one < 64; ++one) {
    for (uint32_t two = 0; two < 64; ++two) {
      const uintptr_t word = (uintptr_t{1} << one) | (uintptr_t{1} << two);
      for (uintptr_t near : {word, word - 1, word + 1, ~word, 0 - word}) ExpectAnswer(near);
    }
  }
}

TEST_F(FindSlotTest, NonCanonicalTwinsOfHeapAddressesAreNotFound) {
  Span* span = test_.Make(ClassForSize(64));
  const uintptr_t address = BaseOf(span);
  ASSERT_EQ(Find(address).span, span);
  for (uint32_t bit = kAddressBits; bit < 64; ++bit)
    EXPECT_EQ(Find(address | (uintptr_t{1} << bit)).span, nullptr) << bit;
}

TEST_F(FindSlotTest, LeftOverBytesOfASpanHaveAnIndexBehindItsSlots) {
  const SizeClass number = ClassForSize(48);
  Span* span = test_.Make(number);
  const Slot slot = Find(BaseOf(span) + BytesOf(span) - 1);
  EXPECT_EQ(slot.span, span);
  EXPECT_GE(slot.index, kSizeClasses[number].slots);
}

}  // namespace
}  // namespace acre
