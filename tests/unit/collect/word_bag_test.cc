#include "allocator/collect/word_bag.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <limits>
#include <thread>
#include <vector>

#include "os/fake/fake_memory.h"

namespace acre {
namespace {

class WordBagTest : public ::testing::Test {
 protected:
  ~WordBagTest() override {
    bag_.Clear();
    metadata_.ReleaseAll();
  }

  std::vector<uint64_t> TakeAll() {
    std::vector<uint64_t> words;
    const bool has_any =
        bag_.Take([&](const uint64_t* base, const uint64_t* limit) { words.insert(words.end(), base, limit); });
    EXPECT_EQ(has_any, !words.empty());
    std::sort(words.begin(), words.end());
    return words;
  }

  static std::vector<uint64_t> UpTo(uint64_t count) {
    std::vector<uint64_t> words(count);
    for (uint64_t i = 0; i < count; ++i) words[i] = i;
    return words;
  }

  os::FakeMemory fake_;
  os::AddressSpace space_{fake_.calls(), std::numeric_limits<size_t>::max()};
  Metadata metadata_{space_};
  WordBag bag_{metadata_};
};

TEST_F(WordBagTest, AnEmptyBagGivesNothing) {
  EXPECT_TRUE(TakeAll().empty());
  bag_.Add(nullptr, 0);
  EXPECT_TRUE(TakeAll().empty());
  EXPECT_FALSE(bag_.has_lost());
}

// In blocks of some 500 words: one, one that is full, and several.
TEST_F(WordBagTest, WhatWasAddedIsTakenOnce) {
  for (const uint64_t count : {1u, 2u, 509u, 510u, 511u, 512u, 10'000u}) {
    const std::vector<uint64_t> words = UpTo(count);
    bag_.Add(words.data(), words.size());
    EXPECT_EQ(TakeAll(), words);
    EXPECT_TRUE(TakeAll().empty());
  }
  EXPECT_FALSE(bag_.has_lost());
}

TEST_F(WordBagTest, SingleWordsAndArraysMix) {
  const std::vector<uint64_t> words = UpTo(2000);
  for (size_t i = 0; i < 1000; ++i) bag_.Add(words[i]);
  bag_.Add(words.data() + 1000, 300);
  bag_.Add(words.data() + 1300, 700);
  EXPECT_EQ(TakeAll(), words);
}

TEST_F(WordBagTest, WhatIsAddedWhileItIsVisitedIsThereAfterwards) {
  bag_.Add(1);
  EXPECT_TRUE(bag_.Take([&](const uint64_t* base, const uint64_t* limit) {
    EXPECT_EQ(limit - base, 1);
    bag_.Add(*base + 1);
  }));
  EXPECT_EQ(TakeAll(), std::vector<uint64_t>{2});
}

TEST_F(WordBagTest, ClearLeavesItEmpty) {
  const std::vector<uint64_t> words = UpTo(2000);
  bag_.Add(words.data(), words.size());
  bag_.Clear();
  EXPECT_TRUE(TakeAll().empty());
}

TEST_F(WordBagTest, ItsMemoryIsUsedAgain) {
  const std::vector<uint64_t> words = UpTo(2000);
  bag_.Add(words.data(), words.size());
  TakeAll();
  const size_t mapped_bytes = fake_.mapped_bytes();
  for (int i = 0; i < 1000; ++i) {
    bag_.Add(words.data(), words.size());
    TakeAll();
  }
  EXPECT_EQ(fake_.mapped_bytes(), mapped_bytes);
}

TEST_F(WordBagTest, AWordWithoutMemoryIsLostAndTheBagSaysSoUntilItIsCleared) {
  fake_.FailNth(1, ENOMEM, os::FakeMemory::Repeat::kForever);
  bag_.Add(1);
  EXPECT_TRUE(bag_.has_lost());
  EXPECT_TRUE(TakeAll().empty());
  fake_.StopFailing();
  bag_.Add(2);
  EXPECT_TRUE(bag_.has_lost());
  EXPECT_EQ(TakeAll(), std::vector<uint64_t>{2});
  EXPECT_TRUE(bag_.has_lost()) << "taking what is left does not bring it back";
  bag_.Clear();
  EXPECT_FALSE(bag_.has_lost());
}

// Whatever comes first fills what memory there is; that is kept.
TEST_F(WordBagTest, WordsThatHaveMemoryAreKeptWhenOthersAreLost) {
  bag_.Add(uint64_t{0});
  fake_.FailNth(1, ENOMEM, os::FakeMemory::Repeat::kForever);
  uint64_t added = 1;
  while (!bag_.has_lost() && added < 10'000'000) bag_.Add(added++);
  ASSERT_TRUE(bag_.has_lost());
  EXPECT_EQ(TakeAll(), UpTo(added - 1)) << "all but the last";
}

TEST_F(WordBagTest, ThreadsAddWhileOneTakes) {
  constexpr uint64_t kThreads = 3;
  constexpr uint64_t kWords = 30'000;
  std::atomic<uint64_t> running = kThreads;
  std::vector<std::thread> threads;
  for (uint64_t number = 0; number < kThreads; ++number) {
    threads.emplace_back([&, number] {
      for (uint64_t i = 0; i < kWords; i += 3) {
        const uint64_t first = number * kWords + i;
        const uint64_t words[3] = {first, first + 1, first + 2};
        bag_.Add(words, 3);
      }
      --running;
    });
  }
  std::vector<uint64_t> all;
  bool is_over;
  do {
    is_over = running == 0;
    const std::vector<uint64_t> taken = TakeAll();
    all.insert(all.end(), taken.begin(), taken.end());
  } while (!is_over);
  for (std::thread& thread : threads) thread.join();
  std::sort(all.begin(), all.end());
  EXPECT_EQ(all, UpTo(kThreads * kWords));
}

}  // namespace
}  // namespace acre
