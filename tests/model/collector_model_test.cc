// The collector's pools and runs beside a plain oracle.
//
// Mutators (several, used in turn by one thread, the others parked) allocate objects of several kinds and classes; some
// are held by a root range, some by a field of another object, and are let go again; mutators come and go in the middle
// of their runs. No stack is scanned, so that nothing is held but by what the oracle knows: what is live after a cycle
// is exactly what it says.
//
// Every object is zeroed when it is handed out, aligned, as large as was asked for, and disjoint from every live one.

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "tests/support/allocator/collected_heap.h"
#include "tests/support/seed.h"

namespace acre {
namespace {

using testing::AttachedMutator;
using testing::CollectedHeap;
using testing::Hidden;
using testing::Random;

constexpr size_t kPlaces = 300;
constexpr size_t kMutators = 4;

struct Object {
  size_t bytes = 0;
  Kind kind = 0;
  uint8_t filling = 0;
  uintptr_t field = 0;  // The object that its first word leads to.
};

class CollectorModel {
 public:
  CollectorModel(const CollectorOptions& options, uint64_t seed)
      : random_(seed), heap_(options), mutators_(kMutators), words_(kPlaces, 0),
        range_{.next = nullptr, .previous = nullptr, .base = words_.data(), .limit = words_.data() + kPlaces} {
    const uint64_t first_word = 1;
    Kind first;
    EXPECT_EQ(heap_.collector().kinds().AddBitmap(&first_word, 60, &first), Status::kOk);
    kinds_ = {kConservative, kPlain, first};
    for (auto& mutator : mutators_) {
      mutator = std::make_unique<AttachedMutator>(heap_);
      World::Park(mutator->mutator());
    }
    World::Unpark(current().mutator());
    heap_.roots().Add(range_);
  }
  ~CollectorModel() {
    heap_.roots().Remove(range_);
    World::Park(current().mutator());
    for (auto& mutator : mutators_) {
      World::Unpark(mutator->mutator());
      mutator.reset();
    }
  }

  void Step() {
    const uint64_t what = random_.Below(1000);
    if (what < 700) {
      Allocate();
    } else if (what < 900) {
      words_[random_.Below(kPlaces)] = 0;
    } else if (what < 985) {
      Link();
    } else if (what < 992) {
      ComeAndGo();
    } else {
      Collect();
    }
  }

  // Everything is freed in the end.
  void End() {
    for (uintptr_t& word : words_) word = 0;
    Collect();
    Collect();  // Where freed memory is clobbered, it goes back now.
    EXPECT_EQ(heap_.collector().stats().live_objects, 0u);
    for (size_t i = 0; i < kMutators; ++i) {
      World::Park(current().mutator());
      current_ = (current_ + 1) % kMutators;
      World::Unpark(current().mutator());
      mutators_[current_].reset();
      mutators_[current_] = std::make_unique<AttachedMutator>(heap_);
    }
    heap_.collector().CheckInvariants();
    EXPECT_EQ(heap_.heap().page_heap().stats().large_spans, 0u);
  }

  size_t checked_cycles() const { return checked_cycles_; }

 private:
  AttachedMutator& current() { return *mutators_[current_]; }

  // The others are parked: a thread has one at a time.
  AttachedMutator& AnyMutator() {
    World::Park(current().mutator());
    current_ = random_.Below(kMutators);
    World::Unpark(current().mutator());
    return current();
  }

  size_t AnyBytes() {
    if (random_.OneIn(300)) return 32 * kKiB + random_.Below(300 * kKiB);
    return 1 + random_.Skewed(random_.OneIn(10) ? 14 : 8);
  }

  void Allocate() {
    const size_t bytes = AnyBytes();
    const Kind kind = kinds_[random_.Below(kinds_.size())];
    const uint64_t cycles = heap_.collector().stats().cycles;
    auto* memory = static_cast<uint8_t*>(AnyMutator().Allocate(kind, bytes));
    ASSERT_NE(memory, nullptr);
    const auto base = reinterpret_cast<uintptr_t>(memory);
    if (heap_.collector().stats().cycles != cycles) ForgetDead();  // It has collected on its way.
    ASSERT_EQ(base % kSlotAlignment, 0u);
    const Slot slot = FindSlot(heap_.heap().table(), base);
    ASSERT_NE(slot.span, nullptr);
    ASSERT_EQ(slot.base, base) << "not the beginning of a slot";
    ASSERT_EQ(slot.span->kind, kind);
    const size_t room = slot.span->size_class == kLargeClass ? BytesOf(slot.span)
                                                             : kSizeClasses[slot.span->size_class].slot_bytes;
    ASSERT_GE(room, bytes);
    for (size_t at = 0; at < room; ++at) ASSERT_EQ(memory[at], 0) << "at " << at << " of " << room;
    const auto next = objects_.lower_bound(base);
    if (next != objects_.end()) {
      ASSERT_GE(next->first, base + room) << "lies over another object";
    }
    if (next != objects_.begin()) {
      const auto& [other, object] = *std::prev(next);
      ASSERT_LE(other + object.bytes, base) << "lies over another object";
    }
    Object object{.bytes = bytes, .kind = kind, .filling = static_cast<uint8_t>(1 + random_.Below(250))};
    if (bytes > sizeof(uintptr_t)) {
      std::memset(memory + sizeof(uintptr_t), object.filling, bytes - sizeof(uintptr_t));
    }
    objects_.emplace(base, object);
    if (!random_.OneIn(3)) words_[random_.Below(kPlaces)] = base + random_.Below(bytes);
  }

  // The first word of a held object leads to another held one.
  void Link() {
    const uintptr_t from = ObjectAt(words_[random_.Below(kPlaces)]);
    const uintptr_t to = ObjectAt(words_[random_.Below(kPlaces)]);
    if (from == 0 || objects_.at(from).bytes < sizeof(uintptr_t)) return;
    objects_.at(from).field = to;
    *reinterpret_cast<uintptr_t*>(from) = to;
  }

  // A mutator ends in the middle of its runs.
  void ComeAndGo() {
    (void)AnyMutator();
    mutators_[current_].reset();
    heap_.collector().CheckInvariants();
    mutators_[current_] = std::make_unique<AttachedMutator>(heap_);
  }

  void Collect() {
    AnyMutator().Collect();
    ForgetDead();
    heap_.collector().CheckInvariants();
  }

  // After a cycle: what the oracle says is live is counted, marked and unharmed; the rest is forgotten.
  void ForgetDead() {
    const std::set<uintptr_t> live = Live();
    ASSERT_EQ(heap_.collector().stats().live_objects, live.size());
    for (const uintptr_t base : live) {
      const Object& object = objects_.at(base);
      if (object.bytes >= sizeof(uintptr_t)) {
        ASSERT_EQ(*reinterpret_cast<const uintptr_t*>(base), object.field);
      }
      for (size_t at = sizeof(uintptr_t); at < object.bytes; ++at) {
        ASSERT_EQ(reinterpret_cast<const uint8_t*>(base)[at], object.filling);
      }
      const Slot slot = FindSlot(heap_.heap().table(), base);
      ASSERT_TRUE(TestBit(AllocBitsOf(slot.span), slot.index));
    }
    std::erase_if(objects_, [&](const auto& object) { return !live.contains(object.first); });
    ++checked_cycles_;
  }

  std::set<uintptr_t> Live() const {
    std::set<uintptr_t> live;
    std::vector<uintptr_t> grey;
    for (const uintptr_t word : words_) grey.push_back(ObjectAt(word));
    while (!grey.empty()) {
      const uintptr_t base = grey.back();
      grey.pop_back();
      if (base == 0 || !live.insert(base).second) continue;
      const Object& object = objects_.at(base);
      if (FormOf(object.kind) != TraceForm::kNone) grey.push_back(object.field);
    }
    return live;
  }

  uintptr_t ObjectAt(uintptr_t word) const {
    auto next = objects_.upper_bound(word);
    if (word == 0 || next == objects_.begin()) return 0;
    return std::prev(next)->first;
  }

  Random random_;
  CollectedHeap heap_;
  std::vector<Kind> kinds_;
  std::vector<std::unique_ptr<AttachedMutator>> mutators_;
  size_t current_ = 0;
  std::vector<uintptr_t> words_;
  RootRange range_;
  std::map<uintptr_t, Object> objects_;
  size_t checked_cycles_ = 0;
};

CollectorOptions WithoutStacks() {
  CollectorOptions options;
  options.background = false;
  options.min_trigger_bytes = 64 * kKiB;
  options.debug.dropped_roots = os::RootSources(os::RootSource::kStacks) | os::RootSource::kRegisters |
                                os::RootSource::kVectors | os::RootSource::kRedZone;
  return options;
}

void RunModel(const char* what, const CollectorOptions& options, int steps) {
  CollectorModel model(options, testing::Seed(what));
  for (int i = 0; i < steps && !::testing::Test::HasFatalFailure(); ++i) model.Step();
  if (!::testing::Test::HasFatalFailure()) model.End();
  EXPECT_GT(model.checked_cycles(), static_cast<size_t>(steps) / 200);
}

TEST(CollectorModelTest, LiveSetIsTheOracles) { RunModel("collector model", WithoutStacks(), 60'000); }

TEST(CollectorModelTest, LiveSetIsTheOraclesWithEverySwitchOn) {
  CollectorOptions options = WithoutStacks();
  options.debug.verifies_marks = true;
  options.debug.clobbers_freed = true;
  options.debug.stress_allocations = 50;
  RunModel("collector model, switches", options, 20'000);
}

}  // namespace
}  // namespace acre
