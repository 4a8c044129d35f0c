// Stacks of fibres and of virtual machines, by what acre/stack.h promises. Fibres are made with ucontext.

#include <acre/heap.h>
#include <acre/roots.h>
#include <acre/stack.h>
#include <gtest/gtest.h>
#include <ucontext.h>

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "tests/support/fresh_thread.h"

namespace acre {
namespace {

struct Cell {
  Ref<Cell> next;
  uint64_t number = 0;
  template <class Visitor>
  void Trace(Visitor& visit) const {
    visit(next);
  }
};

Cell* MakeList(Mutator& mutator, size_t length) {
  Cell* list = nullptr;
  for (size_t i = 0; i < length; ++i) {
    Cell* cell = mutator.New<Cell>();
    cell->number = i;
    cell->next.Set(mutator, list);
    list = cell;
  }
  return list;
}

size_t Length(const Cell* list) {
  size_t length = 0;
  for (; list != nullptr; list = list->next.get()) ++length;
  return length;
}

size_t LiveObjects(Heap& heap) {
  testing::OnFreshThread([&] {
    Mutator mutator(heap);
    mutator.Collect();
  });
  return heap.statistics().live_objects;
}

bool IsAskedToStop(const Mutator& mutator) {
  const auto* front = reinterpret_cast<const acre_mutator_front*>(mutator.raw());
  return __atomic_load_n(&front->requested, __ATOMIC_ACQUIRE) !=
         __atomic_load_n(&front->acknowledged, __ATOMIC_RELAXED);
}

// A fibre that makes lists and keeps each only on its own stack while it is away.
class Fibre {
 public:
  static constexpr size_t kStackBytes = 64 * 1024;

  Fibre(Mutator& mutator, size_t length) : mutator_(mutator), length_(length), memory_(new char[kStackBytes]) {
    stack_ = NewStack(mutator, memory_.get(), memory_.get() + kStackBytes);
    getcontext(&context_);
    context_.uc_stack.ss_sp = memory_.get();
    context_.uc_stack.ss_size = kStackBytes;
    context_.uc_link = nullptr;
    const auto self = reinterpret_cast<uintptr_t>(this);
    makecontext(&context_, reinterpret_cast<void (*)()>(&Fibre::Main), 2, static_cast<unsigned>(self >> 32),
                static_cast<unsigned>(self));
  }

  // The handle that keeps what the fibre holds.
  Stack* stack() const { return stack_; }
  size_t found() const { return found_; }

  [[gnu::noinline]] void Resume() {
    SwitchStack(mutator_, stack_);
    swapcontext(&caller_, &context_);
  }

  void End() { acre_stack_end(mutator_.raw(), stack_); }

  // What runs between two yields.
  std::function<void()> work = [] {};

 private:
  static void Main(unsigned high, unsigned low) {
    reinterpret_cast<Fibre*>(uintptr_t{high} << 32 | low)->Run();
  }

  [[gnu::noinline]] void Run() {
    Cell* list = MakeList(mutator_, length_);
    for (;;) {
      work();
      Yield();
      found_ = Length(list);
    }
  }

  [[gnu::noinline]] void Yield() {
    SwitchStack(mutator_, nullptr);
    swapcontext(&context_, &caller_);
  }

  Mutator& mutator_;
  const size_t length_;
  std::unique_ptr<char[]> memory_;
  Stack* stack_;
  ucontext_t context_;
  ucontext_t caller_;
  size_t found_ = 0;
};

TEST(Stack, ParkedFibreKeepsWhatItHoldsWhileItIsReachable) {
  Heap heap;
  Mutator mutator(heap);
  ASSERT_TRUE(mutator.is_valid());
  // Neither lies where the collector looks by itself.
  auto kept = std::make_unique<Fibre>(mutator, 1000);
  Root<Stack> root(heap, kept->stack());
  kept->Resume();
  EXPECT_GE(LiveObjects(heap), 1000u);
  kept->Resume();
  EXPECT_EQ(kept->found(), 1000u);
  EXPECT_EQ(acre_stack_current(mutator.raw()), nullptr);
  root.Set(mutator, nullptr);
}

TEST(Stack, FibreThatNobodyCanResumeIsGarbageWithWhatItHolds) {
  Heap heap;
  auto forgotten = std::unique_ptr<Fibre>();
  auto mutator = std::unique_ptr<Mutator>();
  std::thread([&] {
    mutator = std::make_unique<Mutator>(heap);
    forgotten = std::make_unique<Fibre>(*mutator, 1000);
    forgotten->Resume();
    EXPECT_GE(LiveObjects(heap), 1000u) << "the stack that was left last counts as used";
    Fibre other(*mutator, 1);
    other.Resume();
    other.End();
    mutator.reset();
  }).join();
  EXPECT_LT(LiveObjects(heap), 500u);
}

TEST(Stack, CollectionWhileAFibreRunsSeesItAndTheThreadsOwnStack) {
  Heap heap;
  Mutator mutator(heap);
  Cell* own = MakeList(mutator, 500);
  auto fibre = std::make_unique<Fibre>(mutator, 1000);
  Root<Stack> root(heap, fibre->stack());
  size_t live = 0;
  fibre->work = [&] {
    EXPECT_NE(acre_stack_current(mutator.raw()), nullptr);
    mutator.Collect();                // By itself,
    live = LiveObjects(heap);         // and stopped by another thread.
  };
  fibre->Resume();
  EXPECT_GE(live, 1500u);
  fibre->work = [] {};
  fibre->Resume();
  EXPECT_EQ(fibre->found(), 1000u);
  EXPECT_EQ(Length(own), 500u);
}

// A stop that acre_stack_switch obeys at its end finds the thread on the fibre still, and what is below its call on the
// thread's own stack counts all the same.
TEST(Stack, StopBetweenTheSwitchToTheThreadsOwnStackAndTheJumpSeesBothStacks) {
  HeapOptions options;
  options.stop_signal = 0;  // So that the moment is known: threads stop at safepoints and at the ends of regions.
  Heap heap(options);
  Mutator mutator(heap);
  ASSERT_TRUE(mutator.is_valid());
  std::atomic<bool> may_collect = false;
  size_t live = 0;
  std::thread collector([&] {
    may_collect.wait(false);
    Mutator other(heap);
    other.Collect();
    live = heap.statistics().live_objects;
  });
  auto fibre = std::make_unique<Fibre>(mutator, 1000);
  Root<Stack> root(heap, fibre->stack());
  Cell* own = MakeList(mutator, 500);
  fibre->work = [&] {
    may_collect = true;
    may_collect.notify_all();
    while (!IsAskedToStop(mutator)) std::this_thread::yield();
  };
  fibre->Resume();  // The collection is over when it returns.
  collector.join();
  ASSERT_GE(live, 1500u);
  EXPECT_EQ(Length(own), 500u);
  fibre->work = [] {};
  fibre->Resume();
  EXPECT_EQ(fibre->found(), 1000u);
}

TEST(Stack, SwitchesMayBeStoppedAtAnyMoment) {
  Heap heap;
  std::atomic<bool> is_over = false;
  std::thread collector([&] {
    Mutator mutator(heap);
    while (!is_over) mutator.Collect();
  });
  {
    Mutator mutator(heap);
    constexpr int kFibres = 4;
    std::vector<std::unique_ptr<Fibre>> fibres;
    auto* handles = mutator.NewArray<Stack*>(kFibres);
    for (size_t i = 0; i < kFibres; ++i) {
      fibres.push_back(std::make_unique<Fibre>(mutator, 50 * (i + 1)));
      acre_write(mutator.raw(), &handles[i], fibres.back()->stack());
    }
    Root<Stack*> root(heap, handles);
    const uint64_t cycles = heap.statistics().cycles;
    for (int round = 0; round < 2000 || heap.statistics().cycles < cycles + 50; ++round) {
      for (auto& fibre : fibres) fibre->Resume();
    }
    for (size_t i = 0; i < kFibres; ++i) EXPECT_EQ(fibres[i]->found(), 50 * (i + 1));
    for (auto& fibre : fibres) fibre->End();
  }
  is_over = true;
  collector.join();
}

TEST(Stack, VirtualMachinesStackIsReadUpToWhereItIsUsed) {
  struct Machine {
    Cell* words[100];
    size_t used;
  };
  Heap heap;
  Mutator mutator(heap);
  auto machine = std::make_unique<Machine>();
  Root<Stack> root(heap, NewVmStack(
                             mutator,
                             [](void* context, const void** base, const void** limit) {
                               auto* self = static_cast<Machine*>(context);
                               *base = self->words;
                               *limit = self->words + self->used;
                             },
                             machine.get()));
  std::thread([&] {
    Mutator other(heap);
    machine->words[3] = MakeList(other, 1000);
  }).join();
  machine->used = 4;
  EXPECT_GE(LiveObjects(heap), 1000u);
  machine->used = 3;
  EXPECT_LT(LiveObjects(heap), 500u);
}

TEST(StackDeathTest, MisuseEndsWithOneLine) {
  Heap heap;
  Mutator mutator(heap);
  std::vector<char> memory(1000);
  Stack* stack = NewStack(mutator, memory.data(), memory.data() + memory.size());
  EXPECT_DEATH(
      {
        SwitchStack(mutator, stack);
        acre_stack_end(mutator.raw(), stack);
      },
      "^acre: acre_stack_end: the stack is running\n");
  acre_stack_end(mutator.raw(), stack);
  EXPECT_DEATH(SwitchStack(mutator, stack), "^acre: acre_stack_switch: the stack has ended, or is a virtual machine's\n");
  EXPECT_DEATH((void)NewStack(mutator, memory.data(), memory.data()), "^acre: acre_stack_create: not the bounds of a stack\n");
}

}  // namespace
}  // namespace acre
