// The span heap beside an oracle that knows every live object: where it lies, its length, and what was written to it.

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "tests/support/allocator/heap_under_test.h"
#include "tests/support/seed.h"

namespace acre {
namespace {

using testing::AddressOf;
using testing::HeapUnderTest;

struct Object {
  size_t bytes;  // Asked for.
  size_t usable;
  uint64_t key;  // Its contents are a function of this.
};

// Contents are written and checked at the beginning, at the end, and at one word of each os page between: enough to see
// overlap, loss of pages and wrong moves, and quick for 100 MiB too.
template <class Visit>
void ForEachProbe(size_t bytes, Visit visit) {
  constexpr size_t kDense = 256;
  const size_t dense = bytes < kDense ? bytes : kDense;
  for (size_t i = 0; i < dense; ++i) visit(i);
  for (size_t i = 4096; i + kDense < bytes; i += 4096) visit(i + (i >> 12) % 64);
  for (size_t i = bytes - dense; i < bytes; ++i) visit(i);
}

unsigned char ByteAt(uint64_t key, size_t offset) {
  return static_cast<unsigned char>((key + offset * 0x9e3779b97f4a7c15u) >> 56);
}

class SpanHeapModel {
 public:
  SpanHeapModel(uint64_t seed, size_t caches, unsigned most_bits) : random_(seed), most_bits_(most_bits) {
    caches_.push_back(&test_.cache());
    while (caches_.size() < caches) caches_.push_back(test_.heap().OpenCache());
  }

  void Run(int operations, int check_every) {
    for (int i = 0; i < operations && !::testing::Test::HasFatalFailure(); ++i) {
      Step();
      if (i % check_every == check_every - 1) Check();
    }
    if (!::testing::Test::HasFatalFailure()) Finish();
  }

 private:
  ThreadCache& Cache() { return *caches_[random_.Below(caches_.size())]; }
  size_t RandomBytes() { return random_.OneIn(40) ? random_.Skewed(most_bits_) : random_.Skewed(13); }

  void Step() {
    const bool grows = (step_++ / 3000) % 2 == 0;
    if (random_.OneIn(2000)) return ReplaceCache();
    if (random_.OneIn(1000)) {
      static_cast<void>(random_.OneIn(2) ? test_.heap().ReleaseAll()
                                         : test_.heap().ReleaseIdle(now_ns_ += 200'000'000));
      return;
    }
    switch (random_.Below(8)) {
      case 0:
        return Reallocate();
      case 1:
        return AllocateAligned();
      case 2:
        return AllocateZeroed();
      case 3:
        return grows ? Allocate() : Free();
      case 4:
        return grows ? Allocate() : Free();
      case 5:
        return Free();
      default:
        return grows == !random_.OneIn(4) ? Allocate() : Free();
    }
  }

  void Allocate() {
    const size_t bytes = RandomBytes();
    Add(test_.heap().Allocate(Cache(), bytes), bytes, 16);
  }

  void AllocateAligned() {
    const size_t bytes = RandomBytes();
    const size_t alignment = size_t{1} << random_.Below(random_.OneIn(20) ? 28 : 14);
    Add(test_.heap().AllocateAligned(Cache(), bytes, alignment), bytes, alignment);
  }

  void AllocateZeroed() {
    const size_t bytes = RandomBytes();
    auto* memory = static_cast<unsigned char*>(test_.heap().AllocateZeroed(Cache(), bytes));
    ASSERT_NE(memory, nullptr);
    ForEachProbe(bytes, [&](size_t i) { ASSERT_EQ(memory[i], 0) << "of " << bytes << " at " << i; });
    Add(memory, bytes, 16);
  }

  void Reallocate() {
    if (objects_.empty()) return Allocate();
    const auto victim = Pick();
    const Object object = victim->second;
    const size_t bytes = random_.OneIn(2) ? RandomBytes() : object.bytes / 2 + random_.Below(object.bytes + 100);
    const uintptr_t address = victim->first;
    ExpectContents(address, object.bytes, object.key);
    objects_.erase(victim);
    Forget(object);
    void* moved = test_.heap().Reallocate(Cache(), reinterpret_cast<void*>(address), bytes);
    ASSERT_NE(moved, nullptr);
    ExpectContents(AddressOf(moved), std::min(object.bytes, bytes), object.key, object.bytes);
    Add(moved, bytes, 16);
  }

  void Free() {
    if (objects_.empty()) return;
    const auto victim = Pick();
    ExpectContents(victim->first, victim->second.bytes, victim->second.key);
    Forget(victim->second);
    test_.heap().Free(Cache(), reinterpret_cast<void*>(victim->first));
    objects_.erase(victim);
  }

  void ReplaceCache() {
    if (caches_.size() < 2) return;
    ThreadCache*& cache = caches_[1 + random_.Below(caches_.size() - 1)];
    test_.heap().CloseCache(cache);
    cache = test_.heap().OpenCache();
  }

  std::map<uintptr_t, Object>::iterator Pick() {
    const uintptr_t low = objects_.begin()->first;
    const uintptr_t span = objects_.rbegin()->first - low + 1;
    const auto found = objects_.lower_bound(low + random_.Next() % span);
    return found == objects_.end() ? objects_.begin() : found;
  }

  void Add(void* memory, size_t bytes, size_t alignment) {
    ASSERT_NE(memory, nullptr) << bytes;
    const uintptr_t address = AddressOf(memory);
    const size_t usable = test_.UsableBytes(memory);
    ASSERT_GE(usable, bytes);
    ASSERT_EQ(address % std::max<size_t>(alignment, 16), 0u);
    const auto above = objects_.lower_bound(address);
    if (above != objects_.end()) {
      ASSERT_LE(address + usable, above->first) << "overlaps the next object";
    }
    if (above != objects_.begin()) {
      ASSERT_LE(std::prev(above)->first + std::prev(above)->second.usable, address) << "overlaps the one before";
    }
    const Object object{bytes, usable, random_.Next()};
    ForEachProbe(bytes, [&](size_t i) { static_cast<unsigned char*>(memory)[i] = ByteAt(object.key, i); });
    objects_[address] = object;
    live_bytes_ += usable;
    held_bytes_ += bytes;
    // The test machine's memory is limited.
    while (held_bytes_ > 600 * kMiB && !::testing::Test::HasFatalFailure()) Free();
  }

  void Forget(const Object& object) {
    live_bytes_ -= object.usable;
    held_bytes_ -= object.bytes;
  }

  // The bytes of an object of `written` bytes, as far as `bytes`.
  void ExpectContents(uintptr_t address, size_t bytes, uint64_t key, size_t written = 0) {
    const auto* memory = reinterpret_cast<const unsigned char*>(address);
    ForEachProbe(written == 0 ? bytes : written, [&](size_t i) {
      if (i < bytes) {
        ASSERT_EQ(memory[i], ByteAt(key, i)) << "of " << bytes << " at " << i;
      }
    });
  }

  void Check() {
    test_.heap().CheckInvariants();
    test_.CheckAccount();
    const HeapStats stats = test_.heap().stats();
    ASSERT_EQ(stats.small_bytes + stats.pages.large_bytes + stats.huge.bytes, live_bytes_);
    ASSERT_EQ(stats.threads, caches_.size());
    size_t slot_bytes = 0;
    for (uint32_t number = 1; number < kSizeClassCount; ++number) {
      const SizeClassInfo& info = kSizeClasses[number];
      slot_bytes += test_.heap().class_stats(static_cast<SizeClass>(number)).spans * info.slots * info.slot_bytes;
    }
    ASSERT_EQ(stats.small_bytes + stats.cached_bytes + stats.free_bytes, slot_bytes);
  }

  void Finish() {
    while (!objects_.empty() && !::testing::Test::HasFatalFailure()) Free();
    while (caches_.size() > 1) {
      test_.heap().CloseCache(caches_.back());
      caches_.pop_back();
    }
    EXPECT_EQ(live_bytes_, 0u);
    test_.ExpectEmptyAfterRelease();
    test_.CheckAccount();
  }

  testing::Random random_;
  const unsigned most_bits_;
  HeapUnderTest test_;
  std::vector<ThreadCache*> caches_;
  std::map<uintptr_t, Object> objects_;
  size_t live_bytes_ = 0;
  size_t held_bytes_ = 0;
  uint64_t now_ns_ = 1'000'000'000;
  int step_ = 0;
};

TEST(SpanHeapModel, RandomOperationsInOneCacheMatchTheOracle) {
  SpanHeapModel(testing::Seed("one cache"), 1, 20).Run(30'000, 1500);
}

TEST(SpanHeapModel, RandomOperationsInSeveralCachesMatchTheOracle) {
  SpanHeapModel(testing::Seed("five caches"), 5, 22).Run(30'000, 1500);
}

TEST(SpanHeapModel, RandomOperationsUpToHugeObjectsMatchTheOracle) {
  SpanHeapModel(testing::Seed("huge objects"), 2, 27).Run(8'000, 500);
}

}  // namespace
}  // namespace acre
