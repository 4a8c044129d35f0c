// Blocks that grow, and blocks so large that an allocator decides whether to keep them or to give them back.

#include "bench/micro/malloc_blocks.h"

namespace acre::bench {
namespace {

char* Grow(char* block, size_t bytes) {
  auto* grown = static_cast<char*>(std::realloc(block, bytes));
  if (grown == nullptr) FailAllocation(bytes);
  benchmark::DoNotOptimize(grown);
  return grown;
}

// A buffer grows to 64 MiB in steps of 64 KiB and each new part is written, as when a file of unknown length is read.
void ReallocTo64MiB(benchmark::State& state) {
  constexpr size_t kStepBytes = 64 * kKiB;
  constexpr size_t kFinalBytes = 64 * kMiB;
  for (auto _ : state) {
    char* block = nullptr;
    for (size_t bytes = kStepBytes; bytes <= kFinalBytes; bytes += kStepBytes) {
      block = Grow(block, bytes);
      TouchPages(block + bytes - kStepBytes, kStepBytes);
    }
    std::free(block);
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * (kFinalBytes / kStepBytes)));
}
BENCHMARK(ReallocTo64MiB)->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime();

// A vector's growth: doubling from 8 bytes to 64 KiB.
void ReallocDoubling(benchmark::State& state) {
  constexpr size_t kFirstBytes = 8;
  constexpr size_t kFinalBytes = 64 * kKiB;
  for (auto _ : state) {
    char* block = nullptr;
    for (size_t bytes = kFirstBytes; bytes <= kFinalBytes; bytes *= 2) {
      block = Grow(block, bytes);
      *static_cast<volatile char*>(block + bytes - 1) = 1;
    }
    std::free(block);
  }
}
BENCHMARK(ReallocDoubling);

// Blocks of 5 to 25 MiB: one of twenty is replaced at random and the new one written in each page. An allocator that returns
// each freed one to the kernel pays for faults and zeroing again and again. The first twenty, for which every allocator
// pays, are not timed.
void LargeBlocks(benchmark::State& state) {
  constexpr size_t kLiveBlocks = 20;
  constexpr size_t kLeastBytes = 5 * kMiB;
  constexpr size_t kMostBytes = 25 * kMiB;
  Random random;
  std::vector<char*> blocks(kLiveBlocks, nullptr);
  const auto replace = [&random](char*& block) {
    std::free(block);
    const size_t bytes = kLeastBytes + random.Below(kMostBytes - kLeastBytes);
    block = TakeBlock(bytes);
    TouchPages(block, bytes);
  };
  for (char*& block : blocks) replace(block);
  for (auto _ : state) replace(blocks[random.Below(kLiveBlocks)]);
  for (char* block : blocks) std::free(block);
}
// The CPU time of the process, here and above, so that work which an allocator moves to a thread of its own counts too.
// A fixed count, so that each allocator gets the same mixture.
BENCHMARK(LargeBlocks)->Unit(benchmark::kMillisecond)->Iterations(100)->MeasureProcessCPUTime();

}  // namespace
}  // namespace acre::bench
