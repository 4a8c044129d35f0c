// Producer and consumer: one thread takes blocks, another returns them.
//
// The blocks travel through a bounded ring whose indices are published once for several blocks, so that the ring costs a
// few nanoseconds and what is measured is the allocator; the ring alone, on blocks that nobody frees, is a row of its own.
// The figure is the wall time for each block that passed.

#include <sched.h>

#include <atomic>
#include <thread>

#include "bench/micro/malloc_blocks.h"

namespace acre::bench {
namespace {

constexpr size_t kRingSlots = 4096;        // Enough that neither thread waits for single cache lines of the other.
constexpr size_t kPublishEvery = 64;       // Blocks between two writes of a shared index.
constexpr size_t kSpinsBeforeYield = 200;  // With fewer CPUs than threads a spin without end would stop the other thread.
constexpr size_t kBlocksPerTurn = 200'000; // One iteration: long beside the wake-up of the two threads.
constexpr size_t kCacheLineBytes = 64;

// One producer, one consumer. Each side writes its own index and keeps a copy of the other's.
class Ring {
 public:
  void Push(char* block) {
    if (pushed_ - known_popped_ == kRingSlots) {
      published_pushed_.store(pushed_, std::memory_order_release);  // Pairs with the load in Wait.
      known_popped_ = Wait(published_popped_, known_popped_);
    }
    slots_[pushed_++ % kRingSlots] = block;
    if (pushed_ % kPublishEvery == 0) published_pushed_.store(pushed_, std::memory_order_release);
  }
  void Finish() { published_pushed_.store(pushed_, std::memory_order_release); }

  char* Pop() {
    if (popped_ == known_pushed_) {
      published_popped_.store(popped_, std::memory_order_release);  // Slots before it may be overwritten.
      known_pushed_ = Wait(published_pushed_, known_pushed_);
    }
    char* block = slots_[popped_++ % kRingSlots];
    if (popped_ % kPublishEvery == 0) published_popped_.store(popped_, std::memory_order_release);
    return block;
  }

 private:
  // Waits until the index differs from what is known of it.
  static size_t Wait(const std::atomic<size_t>& index, size_t known) {
    for (size_t spins = 0;; ++spins) {
      const size_t now = index.load(std::memory_order_acquire);
      if (now != known) return now;
      if (spins >= kSpinsBeforeYield) sched_yield();
    }
  }

  std::vector<char*> slots_ = std::vector<char*>(kRingSlots);
  alignas(kCacheLineBytes) std::atomic<size_t> published_pushed_ = 0;  // Written by the producer.
  alignas(kCacheLineBytes) std::atomic<size_t> published_popped_ = 0;  // Written by the consumer.
  alignas(kCacheLineBytes) size_t pushed_ = 0;  // The producer's own, as the next one.
  size_t known_popped_ = 0;
  alignas(kCacheLineBytes) size_t popped_ = 0;  // The consumer's own, as the next one.
  size_t known_pushed_ = 0;
};

void ConsumeAndFree(Ring& ring) {
  for (size_t i = 0; i < kBlocksPerTurn; ++i) std::free(ring.Pop());
}

// The two threads live for the whole benchmark, as a pipeline's do; a turn is a fixed number of blocks.
void RemoteFree(benchmark::State& state) {
  const auto bytes = static_cast<size_t>(state.range(0));
  Ring ring;
  std::atomic<size_t> turns_wanted = 0;
  std::atomic<size_t> turns_done = 0;
  std::atomic<bool> is_over = false;
  std::thread consumer([&] {
    for (size_t turn = 0;;) {
      while (turns_wanted.load(std::memory_order_acquire) == turn) {
        if (is_over.load(std::memory_order_acquire)) return;
        sched_yield();
      }
      ConsumeAndFree(ring);
      turns_done.store(++turn, std::memory_order_release);
    }
  });
  size_t turn = 0;
  for (auto _ : state) {
    turns_wanted.store(++turn, std::memory_order_release);
    for (size_t i = 0; i < kBlocksPerTurn; ++i) ring.Push(TakeBlock(bytes));
    ring.Finish();
    while (turns_done.load(std::memory_order_acquire) != turn) sched_yield();
  }
  is_over.store(true, std::memory_order_release);
  consumer.join();
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kBlocksPerTurn));
}
BENCHMARK(RemoteFree)->Arg(16)->Arg(64)->Arg(512)->UseRealTime();

// The same ring and threads with blocks that stay: what to take off the rows above in thought.
void RingAlone(benchmark::State& state) {
  Ring ring;
  char block = 0;
  for (auto _ : state) {
    std::thread consumer([&] {
      for (size_t i = 0; i < kBlocksPerTurn; ++i) benchmark::DoNotOptimize(ring.Pop());
    });
    for (size_t i = 0; i < kBlocksPerTurn; ++i) {
      static_cast<volatile char&>(block) = 1;
      ring.Push(&block);
    }
    ring.Finish();
    consumer.join();
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kBlocksPerTurn));
}
BENCHMARK(RingAlone)->UseRealTime();

}  // namespace
}  // namespace acre::bench
