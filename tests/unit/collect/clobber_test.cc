#include "allocator/collect/clobber.h"

#include <gtest/gtest.h>

#include <csignal>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "tests/support/allocator/collected_heap.h"
#include "tests/support/child.h"

namespace acre {
namespace {

using testing::AttachedMutator;
using testing::ChildResult;
using testing::CollectedHeap;
using testing::CollectOnFreshThread;
using testing::Hidden;
using testing::OnFreshThread;

CollectorOptions Clobbering() {
  CollectorOptions options;
  options.debug.clobbers_freed = true;
  return options;
}

std::vector<Hidden> MakeDead(CollectedHeap& heap, size_t bytes, size_t count) {
  std::vector<Hidden> objects;
  OnFreshThread(heap, [&](AttachedMutator& mutator) {
    for (size_t i = 0; i < count; ++i) {
      void* object = mutator.Allocate(kConservative, bytes);
      std::memset(object, 1, bytes);
      objects.emplace_back(object);
    }
  });
  CollectOnFreshThread(heap);
  return objects;
}

// The child's last words: body writes into one of the dead, in a heap with the switch on.
ChildResult AfterDeath(size_t bytes, const std::function<void(CollectedHeap&, const std::vector<Hidden>&)>& body) {
  return testing::RunInChild([&] {
    CollectedHeap heap(Clobbering());
    body(heap, MakeDead(heap, bytes, 40));
    return 0;
  });
}

TEST(Clobber, DeadObjectsAreOverwritten) {
  CollectedHeap heap(Clobbering());
  for (const size_t bytes : {16, 48, 1024, 20'000, 100'000}) {
    for (const Hidden& object : MakeDead(heap, bytes, 40)) {
      const auto* dead = static_cast<const uint8_t*>(object.get());
      for (size_t at = 0; at < bytes; ++at) ASSERT_EQ(dead[at], kClobberByte) << bytes << " bytes, at " << at;
    }
  }
}

TEST(Clobber, WithoutTheSwitchTheyAreNot) {
  CollectedHeap heap(CollectorOptions{});
  EXPECT_EQ(*static_cast<const uint8_t*>(MakeDead(heap, 48, 40)[20].get()), 1);
}

TEST(Clobber, WhatIsHandedOutAgainIsZeroed) {
  CollectedHeap heap(Clobbering());
  AttachedMutator mutator(heap);
  for (const size_t bytes : {16, 48, 1024, 20'000, 100'000}) {
    for (int round = 0; round < 4; ++round) {
      MakeDead(heap, bytes, 40);
      for (int i = 0; i < 60; ++i) {
        auto* object = static_cast<uint8_t*>(mutator.Allocate(kPlain, bytes));
        for (size_t at = 0; at < bytes; ++at) ASSERT_EQ(object[at], 0) << bytes << " bytes, at " << at;
        std::memset(object, 2, bytes);
      }
    }
  }
}

TEST(Clobber, WriteAfterDeathIsSeenByTheNextCycle) {
  for (const size_t bytes : {16, 48, 1024, 20'000, 100'000}) {
    const ChildResult result = AfterDeath(bytes, [&](CollectedHeap& heap, const std::vector<Hidden>& dead) {
      static_cast<uint8_t*>(dead[30].get())[bytes - 1] = 0;
      CollectOnFreshThread(heap);
    });
    EXPECT_TRUE(result.killed_by(SIGABRT)) << bytes << ": " << result.Describe();
    EXPECT_NE(result.error_output.find("acre: write after death: the word at 0x"), std::string::npos)
        << result.Describe();
  }
}

TEST(Clobber, WriteAfterDeathIsSeenWhenTheSlotIsHandedOut) {
  const ChildResult result = AfterDeath(48, [](CollectedHeap& heap, const std::vector<Hidden>& dead) {
    static_cast<uint64_t*>(dead[30].get())[2] = 7;
    OnFreshThread(heap, [](AttachedMutator& mutator) {
      for (int i = 0; i < 200; ++i) mutator.Allocate(kConservative, 48);
    });
    std::_Exit(heap.collector().stats().cycles == 1 ? 3 : 4);
  });
  EXPECT_TRUE(result.killed_by(SIGABRT)) << result.Describe();
  const std::string expected = "16 bytes into a slot of 48 bytes that was freed, is 0x7 and not 0xdbdbdbdbdbdbdbdb";
  EXPECT_NE(result.error_output.find(expected), std::string::npos) << result.Describe();
}

TEST(Clobber, SlotsThatARunGivesBackCountAsDead) {
  const ChildResult result = testing::RunInChild([] {
    CollectedHeap heap(Clobbering());
    AttachedMutator keeper(heap);
    void* kept = keeper.Allocate(kConservative, 48);
    Hidden beyond;
    OnFreshThread(heap, [&](AttachedMutator& mutator) {
      beyond = Hidden(static_cast<char*>(mutator.Allocate(kConservative, 48)) + 48);  // Never handed out.
    });
    static_cast<uint64_t*>(beyond.get())[0] = 7;
    keeper.Collect();
    return kept == nullptr ? 1 : 0;
  });
  EXPECT_TRUE(result.killed_by(SIGABRT)) << result.Describe();
}

TEST(Clobber, MemoryOfDeadLargeObjectsGoesBackACycleLater) {
  CollectedHeap heap(Clobbering());
  MakeDead(heap, 100'000, 40);
  EXPECT_EQ(heap.heap().page_heap().stats().large_spans, 40u);
  CollectOnFreshThread(heap);
  EXPECT_EQ(heap.heap().page_heap().stats().large_spans, 0u);
  EXPECT_EQ(heap.heap().page_heap().used_bytes(), 0u);
}

}  // namespace
}  // namespace acre
