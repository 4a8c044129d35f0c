// The parts of the span heap, one by one: the page heap, finding the slot of a word, and a refill from span bits.
//
// These rows have no rival; they show what a change does to a part. Run with --benchmark_repetitions for a spread.

#include <benchmark/benchmark.h>

#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include "allocator/heap/span_heap.h"
#include "os/limits.h"
#include "os/memory_calls.h"

namespace acre {
namespace {

class HeapFixture {
 public:
  HeapFixture() : table_(std::make_unique<ChunkTable>()), heap_(os::KernelMemoryCalls(), SIZE_MAX, *table_) {
    cache_ = heap_.OpenCache();
  }
  ~HeapFixture() { heap_.CloseCache(cache_); }

  SpanHeap& heap() { return heap_; }
  ThreadCache& cache() { return *cache_; }

 private:
  std::unique_ptr<ChunkTable> table_;
  SpanHeap heap_;
  ThreadCache* cache_;
};

// One span from the page heap and back, in a heap of which every second page is taken.
void PageHeapPair(benchmark::State& state) {
  HeapFixture fixture;
  PageHeap& pages = fixture.heap().page_heap();
  const auto count = static_cast<size_t>(state.range(0));
  std::vector<Span*> spans;
  for (int i = 0; i < 4096; ++i) spans.push_back(pages.AllocateLarge(1, 1, kNoPointers));
  for (size_t i = 0; i < spans.size(); i += 2) pages.Free(spans[i]);
  for (auto _ : state) {
    Span* span = pages.AllocateLarge(count, 1, kNoPointers);
    benchmark::DoNotOptimize(span);
    pages.Free(span);
  }
  for (size_t i = 1; i < spans.size(); i += 2) pages.Free(spans[i]);
}
BENCHMARK(PageHeapPair)->Arg(1)->Arg(2)->Arg(8)->Arg(64);

// Words as a conservative marker meets them: interior pointers at random into a heap of `range(0)` MiB of 64-byte slots.
void FindSlotRandom(benchmark::State& state) {
  HeapFixture fixture;
  const size_t objects = static_cast<size_t>(state.range(0)) * kMiB / 64;
  std::vector<void*> live(objects);
  for (void*& object : live) object = fixture.heap().Allocate(fixture.cache(), 64);
  std::mt19937_64 random(1);
  std::vector<uintptr_t> words(1 << 16);
  for (uintptr_t& word : words) word = reinterpret_cast<uintptr_t>(live[random() % objects]) + random() % 64;
  size_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(FindSlot(fixture.heap().table(), words[i++ % words.size()]));
  }
  for (void* object : live) fixture.heap().Free(fixture.cache(), object);
}
BENCHMARK(FindSlotRandom)->Arg(1)->Arg(64)->Arg(512);

// Words that are not addresses of the heap.
void FindSlotForeign(benchmark::State& state) {
  HeapFixture fixture;
  std::mt19937_64 random(1);
  std::vector<uintptr_t> words(1 << 12);
  for (uintptr_t& word : words) word = random();
  size_t i = 0;
  for (auto _ : state) benchmark::DoNotOptimize(FindSlot(fixture.heap().table(), words[i++ % words.size()]));
}
BENCHMARK(FindSlotForeign);

// A slot from span bits and back to them, without a magazine: what a drained slot costs.
void CentralListPair(benchmark::State& state) {
  HeapFixture fixture;
  ThreadCache closed;
  for (auto _ : state) {
    void* object = fixture.heap().Allocate(closed, static_cast<size_t>(state.range(0)));
    benchmark::DoNotOptimize(object);
    fixture.heap().Free(closed, object);
  }
}
BENCHMARK(CentralListPair)->Arg(16)->Arg(64)->Arg(1024);

}  // namespace
}  // namespace acre

BENCHMARK_MAIN();
