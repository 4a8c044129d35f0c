// Every memory call of a fixed scenario is failed in turn, once or from then on. Each allocation gives null or works,
// the invariants hold, nothing is left mapped, and the heap works on when memory can be had again.

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <vector>

#include "tests/support/allocator/heap_under_test.h"
#include "tests/unit/os/mappings.h"

namespace acre {
namespace {

using os::FakeMemory;
using testing::Fill;
using testing::HeapUnderTest;

struct Scenario {
  const char* name;
  size_t limit_bytes;
  bool ignores_hints;
  bool takes_no_replace_for_hint;
};

class HeapFaults : public ::testing::TestWithParam<Scenario> {
 protected:
  struct Object {
    void* memory;
    size_t bytes;
    size_t filled;  // From the beginning, with the pattern.
    int pattern;
  };

  static void Take(HeapUnderTest& test, std::vector<Object>& objects, size_t bytes, size_t alignment = 16) {
    void* memory = test.AllocateAligned(bytes, alignment);
    if (memory == nullptr) return;
    const int pattern = static_cast<int>(objects.size() % 251);
    const size_t filled = std::min<size_t>(bytes, 100);
    Fill(memory, filled, pattern);
    objects.push_back({memory, bytes, filled, pattern});
  }

  static void Resize(HeapUnderTest& test, Object& object, size_t bytes) {
    void* moved = test.Reallocate(object.memory, bytes);
    if (moved == nullptr) return;
    object = {moved, bytes, std::min(object.filled, bytes), object.pattern};
  }

  // A little of everything, so that each kind of memory call comes up; what can be had is used.
  static void RunScenario(HeapUnderTest& test) {
    std::vector<Object> objects;
    for (size_t bytes = 1; bytes <= 40'000; bytes += 1 + bytes / 3) Take(test, objects, bytes);
    for (int i = 0; i < 3000; ++i) Take(test, objects, 1000);
    for (size_t bytes : {100 * kKiB, 3 * kMiB, 27 * kMiB, 27 * kMiB}) Take(test, objects, bytes);
    for (size_t bytes : {40 * kMiB, 70 * kMiB}) Take(test, objects, bytes);
    Take(test, objects, 100, 128 * kMiB);
    for (size_t i = 0; i < objects.size(); i += 5) Resize(test, objects[i], 2 * objects[i].bytes + 1);
    test.heap().ReleaseAll();
    for (size_t i = 0; i < objects.size(); i += 7) {
      // Making the end of a huge object inaccessible is fatal when it can neither be done nor undone; os/ tests it.
      if (objects[i].bytes <= SpanHeap::kMaxLargeBytes) Resize(test, objects[i], objects[i].bytes / 2);
    }
    test.heap().CheckInvariants();
    for (const Object& object : objects) {
      EXPECT_TRUE(testing::IsFilledWith(object.memory, object.filled, object.pattern));
      test.Free(object.memory);
    }
    test.heap().ReleaseAll();
    test.heap().CheckInvariants();
  }

  static bool HasUnmapFailed(const FakeMemory& fake) {
    for (const FakeMemory::Call& call : fake.log()) {
      if (call.kind == FakeMemory::Kind::kUnmap && call.error != 0) return true;
    }
    return false;
  }

  // Returns whether a call has failed: if not, the scenario has fewer than `nth` calls.
  static bool RunWithFailure(size_t nth, int error, FakeMemory::Repeat repeat) {
    HeapUnderTest test{HeapUnderTest::Later{}};
    test.fake().IgnoreHints(GetParam().ignores_hints);
    test.fake().TakeNoReplaceForHint(GetParam().takes_no_replace_for_hint);
    test.fake().FailNth(nth, error, repeat);
    test.Begin(GetParam().limit_bytes);
    if (test.has_cache()) RunScenario(test);
    const bool has_failed = test.fake().HasFailed();
    test.fake().StopFailing();
    const bool has_leftovers = HasUnmapFailed(test.fake());
    if (!test.has_cache()) {
      test.End();
      test.Begin(GetParam().limit_bytes);
    }
    ExpectWorks(test);
    if (has_leftovers) {
      test.EndWithLeftovers();
    } else {
      test.ExpectEmptyAfterRelease();
      test.End();
    }
    return has_failed;
  }

  static void ExpectWorks(HeapUnderTest& test) {
    for (size_t bytes : {size_t{10}, size_t{5000}, 100 * kKiB, 10 * kMiB, 50 * kMiB}) {
      void* object = test.Allocate(bytes);
      EXPECT_NE(object, nullptr) << bytes;
      if (object == nullptr) continue;
      Fill(object, std::min<size_t>(bytes, 100), 1);
      static_cast<char*>(object)[bytes - 1] = 1;
      test.Free(object);
    }
    test.heap().CheckInvariants();
  }

  static void FailEachCall(int error, FakeMemory::Repeat repeat) {
    size_t nth = 1;
    bool has_failed = true;
    while (has_failed && !HasFailure()) {
      SCOPED_TRACE("call " + std::to_string(nth));
      ASSERT_LT(nth, 1000u);
      has_failed = RunWithFailure(nth, error, repeat);
      ++nth;
    }
    std::printf("%zu calls failed in turn\n", nth - 2);
    EXPECT_GT(nth, 20u) << "the scenario made hardly any call";
  }
};

INSTANTIATE_TEST_SUITE_P(Kernels, HeapFaults,
                         ::testing::Values(Scenario{"New", testing::kNoLimit, false, false},
                                           Scenario{"HintsIgnored", testing::kNoLimit, true, false},
                                           Scenario{"Old", testing::kNoLimit, true, true},
                                           Scenario{"Limited", size_t{8} << 30, false, false},
                                           Scenario{"LimitedOld", size_t{8} << 30, true, true}),
                         [](const auto& scenario) { return scenario.param.name; });

TEST_P(HeapFaults, ScenarioWorksWithoutFailures) {
  EXPECT_FALSE(RunWithFailure(1000, ENOMEM, FakeMemory::Repeat::kOnce));
}

TEST_P(HeapFaults, NullOrWorksWhenTheNthCallFailsOnce) { FailEachCall(ENOMEM, FakeMemory::Repeat::kOnce); }

TEST_P(HeapFaults, NullOrWorksWhenAllCallsFailFromTheNthOn) { FailEachCall(ENOMEM, FakeMemory::Repeat::kForever); }

TEST_P(HeapFaults, NullOrWorksWhenTheNthCallIsForbidden) { FailEachCall(EPERM, FakeMemory::Repeat::kOnce); }

}  // namespace
}  // namespace acre
