// What acre.h promises of cycles that mark while threads run (ACRE_TRACKER_BARRIER): what is looked up while a cycle
// marks lives, acre_move tells of what it overwrites, and stacks of fibres keep what they held. The marker is held up
// meanwhile.

#include <acre/acre.h>
#include <gtest/gtest.h>
#include <ucontext.h>

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "allocator/api/heap.h"
#include "tests/support/allocator/collected_heap.h"
#include "tests/support/allocator/marking_gate.h"
#include "tests/support/fresh_thread.h"

namespace acre {
namespace {

using testing::Hidden;
using testing::MarkingGate;
using testing::OnFreshThread;

constexpr uint64_t kSign = 0x1234'5678'9abc;
constexpr size_t kItemBytes = 64;

bool IsItem(const Hidden& item) { return static_cast<const uint64_t*>(item.get())[1] == kSign; }

// A heap that is large enough to be marked so, with a graph behind a gate. Mutators run on threads of fresh stacks.
class ConcurrentApi : public ::testing::Test {
 protected:
  static constexpr size_t kWords = 64;

  static acre_options Options() {
    acre_options options;
    acre_options_init(&options);
    options.tracker = ACRE_TRACKER_BARRIER;
    options.mark_workers = 2;
    return options;
  }

  explicit ConcurrentApi(const acre_options& options = Options()) {
    EXPECT_EQ(acre_heap_create(&options, &heap_), ACRE_OK);
    parts_ = std::make_unique<Parts>(heap_->collector);
    for (acre_root* root : {&parts_->gate_root, &parts_->ballast, &parts_->held}) acre_root_add(heap_, root);
    Do([&](acre_mutator* mutator) {
      acre_root_set(mutator, &parts_->gate_root,
                    acre_allocate(mutator, parts_->gate.kind(), kWords * sizeof(uint64_t)));
      acre_root_set(mutator, &parts_->ballast, acre_allocate(mutator, ACRE_POINTER_FREE, 40 * kMiB));
      acre_collect(mutator);  // So that no cycle is due.
    });
  }
  ~ConcurrentApi() override {
    parts_->gate.Open();
    for (acre_root* root : {&parts_->gate_root, &parts_->ballast, &parts_->held}) acre_root_remove(heap_, root);
    acre_heap_destroy(heap_);
  }

  template <class Body>
  void Do(Body body) {
    OnFreshThread([&] {
      acre_mutator* mutator;
      ASSERT_EQ(acre_attach(heap_, &mutator), ACRE_OK);
      body(mutator);
      acre_detach(mutator);
    });
  }

  // A field of the object behind which the graph is, and a root.
  uint64_t* field(size_t index) { return static_cast<uint64_t*>(parts_->gate_root.object) + index; }
  acre_root* held() { return &parts_->held; }

  [[gnu::noinline]] Hidden Make(acre_mutator* mutator) {
    auto* item = static_cast<uint64_t*>(acre_allocate(mutator, ACRE_CONSERVATIVE, kItemBytes));
    item[1] = kSign;
    return Hidden(item);
  }

  void BeginMarking(acre_mutator* mutator) {
    ASSERT_FALSE(heap_->collector.is_marking_beside());
    parts_->gate.Close();
    for (int i = 0; i < 10'000 && !heap_->collector.is_marking_beside(); ++i) Waste(mutator);
    ASSERT_TRUE(heap_->collector.is_marking_beside());
    parts_->gate.AwaitMarker();
  }

  void EndMarking(acre_mutator* mutator) {
    const CycleStats before = heap_->collector.stats();
    parts_->gate.Open();
    for (int i = 0; i < 10'000 && cycles() == before.cycles; ++i) Waste(mutator);
    ASSERT_EQ(concurrent_cycles(), before.concurrent_cycles + 1);
    Sweep(mutator);
  }

  // Whether it is an object still. While marking, asking keeps it.
  bool IsKept(acre_mutator* mutator, const Hidden& item) {
    acre_object object;
    return acre_object_at(mutator, item.get(), &object) && object.base == item.get() && IsItem(item);
  }

  // A cycle of its own.
  bool LivesLater(const Hidden& item) {
    bool lives = false;
    Do([](acre_mutator* mutator) { acre_collect(mutator); });
    Do([&](acre_mutator* mutator) { lives = IsKept(mutator, item); });
    return lives;
  }

  uint64_t cycles() { return heap_->collector.stats().cycles; }
  uint64_t concurrent_cycles() { return heap_->collector.stats().concurrent_cycles; }

  [[gnu::noinline]] static void Waste(acre_mutator* mutator) {
    ASSERT_NE(acre_allocate(mutator, ACRE_POINTER_FREE, 1 * kMiB), nullptr);
  }

  acre_heap* heap_ = nullptr;

 private:
  struct Parts {
    explicit Parts(Collector& collector) : gate(collector) {}

    MarkingGate gate;
    acre_root gate_root{};
    acre_root ballast{};
    acre_root held{};
  };

  void Sweep(acre_mutator* mutator) {
    heap_->collector.ForEachObject(*mutator, [](void*, const FoundObject&) {}, nullptr);
  }

  std::unique_ptr<Parts> parts_;
};

// ---- What is looked up ----------------------------------------------------------------------------------------------

TEST_F(ConcurrentApi, WhatAWeakReferenceGivesOutWhileMarkingLivesThroughTheCycle) {
  Hidden asked;
  Hidden not_asked;
  acre_weak* weak[2];
  Do([&](acre_mutator* mutator) {
    asked = Make(mutator);
    not_asked = Make(mutator);
    weak[0] = acre_weak_create(mutator, asked.get());
    weak[1] = acre_weak_create(mutator, not_asked.get());
  });
  Do([&](acre_mutator* mutator) {
    BeginMarking(mutator);
    EXPECT_EQ(acre_weak_get(mutator, weak[0]), asked.get());
    EndMarking(mutator);
    EXPECT_EQ(acre_weak_get(mutator, weak[0]), asked.get());
    EXPECT_TRUE(IsKept(mutator, asked));
    EXPECT_EQ(acre_weak_get(mutator, weak[1]), nullptr);
    EXPECT_FALSE(IsKept(mutator, not_asked));
  });
  EXPECT_FALSE(LivesLater(asked));
  Do([&](acre_mutator* mutator) {
    EXPECT_EQ(acre_weak_get(mutator, weak[0]), nullptr);
    for (acre_weak* cell : weak) acre_weak_destroy(mutator, cell);
  });
}

// The key: its value lives by it. The value alone: the key dies all the same.
TEST_F(ConcurrentApi, WhatAnEphemeronGivesOutWhileMarkingLivesThroughTheCycle) {
  Hidden key[3];
  Hidden value[3];
  acre_ephemeron* ephemeron[3];
  Do([&](acre_mutator* mutator) {
    for (int i = 0; i < 3; ++i) {
      key[i] = Make(mutator);
      value[i] = Make(mutator);
      ephemeron[i] = acre_ephemeron_create(mutator, key[i].get(), value[i].get());
    }
  });
  Do([&](acre_mutator* mutator) {
    BeginMarking(mutator);
    EXPECT_EQ(acre_ephemeron_key(mutator, ephemeron[0]), key[0].get());
    EXPECT_EQ(acre_ephemeron_value(mutator, ephemeron[1]), value[1].get());
    EndMarking(mutator);
    EXPECT_TRUE(IsKept(mutator, key[0]));
    EXPECT_TRUE(IsKept(mutator, value[0]));
    EXPECT_EQ(acre_ephemeron_value(mutator, ephemeron[0]), value[0].get());
    EXPECT_TRUE(IsKept(mutator, value[1]));
    EXPECT_EQ(acre_ephemeron_key(mutator, ephemeron[1]), nullptr);
    EXPECT_FALSE(IsKept(mutator, key[1]));
    EXPECT_FALSE(IsKept(mutator, key[2]));
    EXPECT_FALSE(IsKept(mutator, value[2]));
    for (acre_ephemeron* each : ephemeron) acre_ephemeron_destroy(mutator, each);
  });
}

// The value moves out of the ephemeron: only the look-up has told of it.
TEST_F(ConcurrentApi, ValueThatIsReplacedLivesWhereItWasPut) {
  Hidden value;
  acre_ephemeron* ephemeron = nullptr;
  Do([&](acre_mutator* mutator) {
    const Hidden key = Make(mutator);
    acre_write(mutator, field(0), key.get());
    value = Make(mutator);
    ephemeron = acre_ephemeron_create(mutator, key.get(), value.get());
  });
  Do([&](acre_mutator* mutator) {
    BeginMarking(mutator);
    auto* object = static_cast<uint64_t*>(acre_allocate(mutator, ACRE_CONSERVATIVE, kItemBytes));
    acre_write(mutator, object, acre_ephemeron_value(mutator, ephemeron));
    acre_root_set(mutator, held(), object);
    acre_ephemeron_set_value(mutator, ephemeron, nullptr);
    EndMarking(mutator);
    EXPECT_TRUE(IsKept(mutator, value));
  });
  EXPECT_TRUE(LivesLater(value));
  Do([&](acre_mutator* mutator) { acre_ephemeron_destroy(mutator, ephemeron); });
}

TEST_F(ConcurrentApi, WhatAWeakTableGivesOutWhileMarkingLivesWhereItWasPut) {
  Hidden key;
  Hidden value;
  acre_weak_table* table = nullptr;
  Do([&](acre_mutator* mutator) {
    key = Make(mutator);
    value = Make(mutator);
    acre_write(mutator, field(0), key.get());
    table = acre_weak_table_create(mutator);
    ASSERT_TRUE(acre_weak_table_put(mutator, table, key.get(), value.get()));
  });
  Do([&](acre_mutator* mutator) {
    BeginMarking(mutator);
    auto* object = static_cast<uint64_t*>(acre_allocate(mutator, ACRE_CONSERVATIVE, kItemBytes));
    acre_write(mutator, object, acre_weak_table_get(mutator, table, key.get()));
    acre_root_set(mutator, held(), object);
    EXPECT_TRUE(acre_weak_table_remove(mutator, table, key.get()));
    EndMarking(mutator);
    EXPECT_TRUE(IsKept(mutator, value));
  });
  EXPECT_TRUE(LivesLater(value));
  Do([&](acre_mutator* mutator) { acre_weak_table_destroy(mutator, table); });
}

TEST_F(ConcurrentApi, ObjectThatAnAddressIsLookedUpForLivesThroughTheCycle) {
  Hidden item;
  Do([&](acre_mutator* mutator) { item = Make(mutator); });
  Do([&](acre_mutator* mutator) {
    BeginMarking(mutator);
    acre_object object;
    ASSERT_TRUE(acre_object_at(mutator, static_cast<char*>(item.get()) + 17, &object));
    EXPECT_EQ(object.base, item.get());
    EndMarking(mutator);
    EXPECT_TRUE(IsKept(mutator, item));
  });
  EXPECT_FALSE(LivesLater(item));
}

// ---- acre_write and acre_move ---------------------------------------------------------------------------------------

TEST_F(ConcurrentApi, WordsThatAreWrittenOverTellOfWhatTheyMeant) {
  std::vector<Hidden> items;
  Do([&](acre_mutator* mutator) {
    for (size_t i = 0; i < 3; ++i) {
      items.push_back(Make(mutator));
      acre_write(mutator, field(i), items[i].get());
    }
  });
  Do([&](acre_mutator* mutator) {
    BeginMarking(mutator);
    acre_write(mutator, field(0), nullptr);
    acre_write_word(mutator, field(1), 17);
    const uint64_t zero = 0;
    acre_move(mutator, field(2), &zero, sizeof zero);
    EndMarking(mutator);
    for (const Hidden& item : items) EXPECT_TRUE(IsKept(mutator, item));
  });
  for (const Hidden& item : items) EXPECT_FALSE(LivesLater(item));
}

// An array of several pieces is moved by one and a half pieces, with all of its objects known by it alone.
class ConcurrentMove : public ConcurrentApi, public ::testing::WithParamInterface<bool> {};

TEST_P(ConcurrentMove, OverlappingArrayIsMovedAndWhatItOverwritesLives) {
  constexpr size_t kItems = 10'000;       // 78 KiB.
  constexpr size_t kShift = 3000;
  const bool goes_up = GetParam();        // To higher addresses: the last piece comes first.
  std::vector<Hidden> items;
  const size_t from = goes_up ? 0 : kShift;
  const size_t to = goes_up ? kShift : 0;
  Do([&](acre_mutator* mutator) {
    constexpr size_t kBytes = (kItems + kShift) * sizeof(uint64_t);
    auto* array = static_cast<uint64_t*>(acre_allocate(mutator, ACRE_CONSERVATIVE, kBytes));
    acre_write(mutator, field(0), array);
    for (size_t i = 0; i < kItems + kShift; ++i) {
      items.push_back(Make(mutator));
      acre_write(mutator, &array[i], items[i].get());
    }
  });
  Do([&](acre_mutator* mutator) {
    auto* array = reinterpret_cast<uint64_t*>(*field(0));
    BeginMarking(mutator);
    acre_move(mutator, &array[to], &array[from], kItems * sizeof(uint64_t));
    for (size_t i = 0; i < kItems; ++i) {
      ASSERT_EQ(array[to + i], reinterpret_cast<uint64_t>(items[from + i].get())) << "word " << i;
    }
    EndMarking(mutator);
    for (const Hidden& item : items) ASSERT_TRUE(IsKept(mutator, item));
  });
  Do([](acre_mutator* mutator) { acre_collect(mutator); });
  Do([&](acre_mutator* mutator) {
    const size_t first_lost = goes_up ? kItems : 0;  // What was overwritten, and not copied before.
    for (size_t i = 0; i < items.size(); ++i) {
      const bool is_lost = i >= first_lost && i < first_lost + kShift;
      ASSERT_EQ(IsKept(mutator, items[i]), !is_lost) << "item " << i;
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Direction, ConcurrentMove, ::testing::Bool());

// ---- Stacks ---------------------------------------------------------------------------------------------------------

// A fibre that holds one item on its own stack while it is away, and nothing else does. (Not on AddressSanitizer's
// fake one, which ends with the thread.)
#define ON_THE_TRUE_STACK gnu::no_sanitize_address, gnu::noinline

class Fibre {
 public:
  static constexpr size_t kStackBytes = 256 * 1024;

  explicit Fibre(std::function<void*(acre_mutator*)> make) : make_(std::move(make)), memory_(new char[kStackBytes]) {
    getcontext(&context_);
    context_.uc_stack.ss_sp = memory_.get();
    context_.uc_stack.ss_size = kStackBytes;
    context_.uc_link = nullptr;
    const auto self = reinterpret_cast<uintptr_t>(this);
    makecontext(&context_, reinterpret_cast<void (*)()>(&Fibre::Main), 2, static_cast<unsigned>(self >> 32),
                static_cast<unsigned>(self));
  }

  acre_stack* Create(acre_mutator* mutator) {
    return acre_stack_create(mutator, memory_.get(), memory_.get() + kStackBytes);
  }
  [[ON_THE_TRUE_STACK]] void Resume(acre_mutator* mutator, acre_stack* stack) {
    mutator_ = mutator;
    acre_stack_switch(mutator, stack);
    swapcontext(&caller_, &context_);
  }
  // What it held when it was resumed last.
  const Hidden& found() const { return found_; }

  // What the next resumption does with the item; the fibre forgets it then.
  std::function<void(acre_mutator*, void*)> release;

 private:
  [[ON_THE_TRUE_STACK]] static void Main(unsigned high, unsigned low) {
    reinterpret_cast<Fibre*>(uintptr_t{high} << 32 | low)->Run();
  }
  [[ON_THE_TRUE_STACK]] void Run() {
    void* volatile item = make_(mutator_);
    for (;;) {
      Yield();
      found_ = Hidden(item);
      if (release) {
        release(mutator_, item);
        item = nullptr;
      }
    }
  }
  [[ON_THE_TRUE_STACK]] void Yield() {
    acre_stack_switch(mutator_, nullptr);
    swapcontext(&context_, &caller_);
  }

  const std::function<void*(acre_mutator*)> make_;
  std::unique_ptr<char[]> memory_;
  acre_mutator* mutator_ = nullptr;
  ucontext_t context_;
  ucontext_t caller_;
  Hidden found_;
};

class ConcurrentStacks : public ConcurrentApi {
 protected:
  // Parked, with its item, and its stack object behind the gate; and known to no mutator that is left.
  void Park(acre_mutator* mutator) {
    acre_stack* stack = fibre_->Create(mutator);
    acre_write(mutator, field(0), stack);
    stack_ = Hidden(stack);
    fibre_->Resume(mutator, stack);
  }

  acre_stack* stack() const { return static_cast<acre_stack*>(stack_.get()); }

  Hidden item_;
  Hidden stack_;
  std::unique_ptr<Fibre> fibre_ = std::make_unique<Fibre>([this](acre_mutator* mutator) {
    item_ = Make(mutator);
    return item_.get();
  });
};

TEST_F(ConcurrentStacks, ParkedStackThatIsReachableKeepsWhatItHolds) {
  Do([&](acre_mutator* mutator) { Park(mutator); });
  Do([&](acre_mutator* mutator) {
    BeginMarking(mutator);
    EndMarking(mutator);
    EXPECT_TRUE(IsKept(mutator, item_));
  });
  EXPECT_TRUE(LivesLater(item_));
}

TEST_F(ConcurrentStacks, ParkedStackThatNobodyReachesIsGarbageWithWhatItHolds) {
  Do([&](acre_mutator* mutator) {
    Park(mutator);
    acre_write(mutator, field(0), nullptr);
  });
  Do([&](acre_mutator* mutator) {
    BeginMarking(mutator);
    EndMarking(mutator);
    EXPECT_FALSE(IsKept(mutator, item_));
  });
}

// It gives away what it held before the marker has come to it; and it runs when the marking ends, so that what it holds
// then is not looked at.
TEST_F(ConcurrentStacks, WhatAStackHeldThatWasSwitchedToLives) {
  Do([&](acre_mutator* mutator) { Park(mutator); });
  Do([&](acre_mutator* mutator) {
    BeginMarking(mutator);
    auto* object = static_cast<uint64_t*>(acre_allocate(mutator, ACRE_CONSERVATIVE, kItemBytes));
    acre_root_set(mutator, held(), object);
    fibre_->release = [&](acre_mutator* runs, void* item) {
      acre_write(runs, object, item);
      EndMarking(runs);
    };
    fibre_->Resume(mutator, stack());
    EXPECT_EQ(fibre_->found().get(), item_.get());
    EXPECT_TRUE(IsKept(mutator, item_));
  });
  EXPECT_TRUE(LivesLater(item_)) << "by the object that was new";
}

TEST_F(ConcurrentStacks, WhatAStackHeldThatHasEndedLivesThroughTheCycle) {
  Do([&](acre_mutator* mutator) { Park(mutator); });
  Do([&](acre_mutator* mutator) {
    BeginMarking(mutator);
    acre_stack_end(mutator, stack());
    fibre_.reset();  // Its memory is gone, and nothing of it is read.
    EndMarking(mutator);
    EXPECT_TRUE(IsKept(mutator, item_));
  });
  EXPECT_FALSE(LivesLater(item_));
}

TEST_F(ConcurrentStacks, StackThatIsMadeWhileMarkingKeepsWhatItHolds) {
  Hidden other;
  Do([&](acre_mutator* mutator) {
    other = Make(mutator);
    acre_write(mutator, field(1), other.get());
  });
  fibre_ = std::make_unique<Fibre>([&](acre_mutator* mutator) {
    void* item = reinterpret_cast<void*>(*field(1));
    acre_write(mutator, field(1), nullptr);
    return item;
  });
  Do([&](acre_mutator* mutator) {
    BeginMarking(mutator);
    Park(mutator);
    EndMarking(mutator);
    EXPECT_TRUE(IsKept(mutator, other));
  });
  EXPECT_TRUE(LivesLater(other));
}

TEST_F(ConcurrentStacks, CyclesAreStoppedOnesOnceThereIsAVirtualMachinesStack) {
  Do([&](acre_mutator* mutator) {
    BeginMarking(mutator);
    EndMarking(mutator);
    acre_write(mutator, field(0),
               acre_stack_create_vm(
                   mutator, [](void*, const void** base, const void** limit) { *base = *limit = nullptr; }, nullptr));
    const uint64_t before = cycles();
    const uint64_t concurrent = concurrent_cycles();
    for (int i = 0; i < 10'000 && cycles() < before + 3; ++i) (void)acre_allocate(mutator, ACRE_POINTER_FREE, 1 * kMiB);
    EXPECT_EQ(cycles(), before + 3);
    EXPECT_EQ(concurrent_cycles(), concurrent);
  });
}

// Threads stop at the ends of regions only: one that sees that it is asked knows that nobody is stopped yet.
class ConcurrentWithoutSignals : public ConcurrentApi {
 protected:
  ConcurrentWithoutSignals() : ConcurrentApi(WithoutSignals()) {}

  static acre_options WithoutSignals() {
    acre_options options = Options();
    options.stop_signal = 0;
    return options;
  }
  static bool IsAskedToStop(const acre_mutator* mutator) {
    return mutator->requested.load(std::memory_order_acquire) != mutator->acknowledged.load(std::memory_order_relaxed);
  }
};

// The cycle was going to mark beside mutators when the stack came.
TEST_F(ConcurrentWithoutSignals, VirtualMachinesStackThatComesJustBeforeTheSnapshotForbidsTheCycle) {
  const uint64_t before = cycles();
  const uint64_t concurrent = concurrent_cycles();
  std::atomic<bool> is_there = false;
  std::thread machine([&] {
    Do([&](acre_mutator* mutator) {
      is_there = true;
      is_there.notify_all();
      while (!IsAskedToStop(mutator)) std::this_thread::yield();
      acre_root_set(mutator, held(), acre_stack_create_vm(
          mutator, [](void*, const void** base, const void** limit) { *base = *limit = nullptr; }, nullptr));
    });
  });
  is_there.wait(false);
  Do([&](acre_mutator* mutator) {
    for (int i = 0; i < 10'000 && cycles() == before; ++i) Waste(mutator);
    EXPECT_EQ(cycles(), before + 1);
    EXPECT_EQ(concurrent_cycles(), concurrent);
    EXPECT_FALSE(heap_->collector.is_marking_beside());
  });
  machine.join();
}

}  // namespace
}  // namespace acre
