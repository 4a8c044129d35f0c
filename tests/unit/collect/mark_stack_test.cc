#include "allocator/collect/mark_stack.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <limits>
#include <memory>
#include <vector>

#include "os/fake/fake_memory.h"
#include "tests/support/seed.h"

namespace acre {
namespace {

constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();

class MarkStackTest : public ::testing::Test {
 protected:
  explicit MarkStackTest(size_t max_segments = kNoLimit) : source_(space_, max_segments) {}

  bool Push(MarkStack& stack, Grey grey) {
    if (!stack.Reserve(1)) return false;
    *stack.top() = grey;
    stack.set_top(stack.top() + 1);
    return true;
  }
  Grey Pop(MarkStack& stack) {
    if (stack.top() == stack.base()) {
      EXPECT_TRUE(stack.PreviousSegment());
    }
    stack.set_top(stack.top() - 1);
    return *stack.top();
  }
  void PopAll(MarkStack& stack) {
    while (!stack.is_dry()) Pop(stack);
    stack.ReleaseSpare();
  }

  os::FakeMemory fake_;
  os::AddressSpace space_{fake_.calls(), kNoLimit};
  SegmentSource source_;
  std::unique_ptr<MarkStack> stack_ = std::make_unique<MarkStack>(source_);
};

TEST_F(MarkStackTest, RandomPushesAndPopsMatchAVector) {
  testing::Random random(testing::Seed("mark stack"));
  std::vector<Grey> expected;
  for (int phase = 0; phase < 200; ++phase) {
    const bool is_growing = random.OneIn(2);
    for (uint64_t step = random.Below(2 * MarkSegment::kEntries); step > 0; --step) {
      if (is_growing || expected.empty()) {
        expected.push_back(random.Next());
        ASSERT_TRUE(Push(*stack_, expected.back()));
      } else {
        ASSERT_EQ(Pop(*stack_), expected.back());
        expected.pop_back();
      }
    }
    ASSERT_EQ(stack_->is_dry(), expected.empty());
  }
  PopAll(*stack_);
  source_.ReleaseFree();
  EXPECT_EQ(fake_.mapped_bytes(), 0u);
}

TEST_F(MarkStackTest, WhatIsSplitOffAndWhatStaysIsAllThereWas) {
  testing::Random random(testing::Seed("split"));
  auto other = std::make_unique<MarkStack>(source_);
  for (const size_t count : {0, 15, 16, 17, 1000, 8190, 8191, 40000}) {
    size_t sum = 0;
    for (size_t i = 1; i <= count; ++i) {
      ASSERT_TRUE(Push(*stack_, i));
      sum += i;
    }
    MarkSegment* segment = stack_->Split(16);
    EXPECT_EQ(segment != nullptr, count >= 16) << count;
    if (segment != nullptr) {
      EXPECT_GT(segment->count, 0u);
      other->Adopt(segment);
      while (!other->is_dry()) sum -= Pop(*other);
    }
    while (!stack_->is_dry()) sum -= Pop(*stack_);
    EXPECT_EQ(sum, 0u) << count;
  }
  PopAll(*stack_);
  PopAll(*other);
  source_.ReleaseFree();
  EXPECT_EQ(fake_.mapped_bytes(), 0u);
}

class BoundedMarkStackTest : public MarkStackTest {
 protected:
  BoundedMarkStackTest() : MarkStackTest(2) {}
};

TEST_F(BoundedMarkStackTest, HoldsTheFirstAndTheAllowedSegmentsAndThenRefuses) {
  size_t pushed = 0;
  while (Push(*stack_, pushed)) ++pushed;
  EXPECT_EQ(pushed, 3 * MarkSegment::kEntries);
  while (pushed > 0) ASSERT_EQ(Pop(*stack_), --pushed);
  PopAll(*stack_);
}

TEST_F(MarkStackTest, ARefusalOfTheKernelIsOneOfTheStackAndHarmsNothing) {
  fake_.FailNth(1, ENOMEM, os::FakeMemory::Repeat::kForever, os::FakeMemory::Kind::kMap);
  size_t pushed = 0;
  while (Push(*stack_, pushed)) ++pushed;
  EXPECT_EQ(pushed, MarkSegment::kEntries);
  while (pushed > 0) ASSERT_EQ(Pop(*stack_), --pushed);
}

}  // namespace
}  // namespace acre
