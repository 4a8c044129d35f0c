// The policy is watched through what it does to a heap. The thread is the real one: a test waits for what it must bring
// about, and fails when that does not come.

#include "allocator/heap/housekeeper.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "os/clock.h"
#include "tests/support/allocator/heap_under_test.h"
#include "tests/support/background.h"

namespace acre {
namespace {

using testing::ComesTrue;
using testing::CountThreadsNamed;
using testing::HeapUnderTest;

class HousekeeperTest : public ::testing::Test {
 protected:
  ~HousekeeperTest() override { keeper_.Stop(); }

  // Makes this much memory dirty and free.
  void MakeDirty(size_t bytes) {
    std::vector<void*> objects;
    for (size_t done = 0; done < bytes; done += kMiB) objects.push_back(test_.Allocate(kMiB));
    for (void* object : objects) test_.Free(object);
    ASSERT_GE(test_.heap().page_heap().dirty_bytes(), bytes);
  }
  size_t dirty_bytes() { return test_.heap().page_heap().dirty_bytes(); }

  HeapUnderTest test_;
  Housekeeper keeper_{test_.heap()};
};

TEST_F(HousekeeperTest, LittleFreeMemoryStartsNoThread) {
  MakeDirty(15 * kMiB);
  const uint64_t end_ns = os::MonotonicNs() + os::kNsPerSecond * 3 / 2;
  while (os::MonotonicNs() < end_ns) keeper_.Poke();
  EXPECT_EQ(CountThreadsNamed("acre"), 0u);
  EXPECT_EQ(dirty_bytes(), 15 * kMiB);
}

TEST_F(HousekeeperTest, SomeFreeMemoryStartsAThreadOnlyAfterASecond) {
  MakeDirty(20 * kMiB);
  const uint64_t begin_ns = os::CoarseMonotonicNs();  // As it is read for this.
  ASSERT_TRUE(ComesTrue([&] {
    keeper_.Poke();
    return CountThreadsNamed("acre") != 0;
  }));
  EXPECT_GE(os::CoarseMonotonicNs() - begin_ns, os::kNsPerSecond);
  EXPECT_TRUE(ComesTrue([&] { return dirty_bytes() == 0; }));
}

TEST_F(HousekeeperTest, MuchFreeMemoryGoesBackWithoutAFurtherCall) {
  MakeDirty(80 * kMiB);
  keeper_.Poke();
  EXPECT_NE(CountThreadsNamed("acre"), 0u);
  EXPECT_TRUE(ComesTrue([&] { return dirty_bytes() == 0; }));
}

TEST_F(HousekeeperTest, StopEndsTheThreadAndNoneIsStartedAfterwards) {
  MakeDirty(80 * kMiB);
  keeper_.Poke();
  keeper_.Stop();
  EXPECT_TRUE(ComesTrue([&] { return CountThreadsNamed("acre") == 0; })) << "it may still be on its way out";
  for (int i = 0; i < 100; ++i) keeper_.Poke();
  EXPECT_EQ(CountThreadsNamed("acre"), 0u);
}

TEST_F(HousekeeperTest, WhereNoThreadIsWantedTheCallsThatFreeDoItsWork) {
  keeper_.set_may_start_thread(false);
  MakeDirty(80 * kMiB);
  EXPECT_TRUE(ComesTrue([&] {
    keeper_.Poke();
    return dirty_bytes() < 16 * kMiB;
  }));
  EXPECT_EQ(CountThreadsNamed("acre"), 0u);
}

TEST_F(HousekeeperTest, ForgottenThreadIsStartedAgain) {
  keeper_.ForgetThread();
  MakeDirty(80 * kMiB);
  keeper_.Poke();
  EXPECT_NE(CountThreadsNamed("acre"), 0u);
}

TEST_F(HousekeeperTest, StopWithoutAThreadReturns) { keeper_.Stop(); }

}  // namespace
}  // namespace acre
