// The costs of single calls of the malloc family, on whichever allocator is preloaded: one binary for all of them.
//
// This file has what one thread does with one block at a time; batches, other threads, realloc and large blocks are in
// the files beside it. The program must be compiled with -fno-builtin-malloc and its like, or compilers remove pairs.
// compare.py runs it on several allocators in turn and prints ratios; the names of the benchmarks are its keys.

#include "bench/micro/malloc_blocks.h"

namespace acre::bench {
namespace {

// One block is taken and returned at once: the shortest way through an allocator.
void LifoPair(benchmark::State& state) {
  const auto bytes = static_cast<size_t>(state.range(0));
  for (auto _ : state) std::free(TakeBlock(bytes));
}
BENCHMARK(LifoPair)->RangeMultiplier(2)->Range(16, 4 * kKiB);
BENCHMARK(LifoPair)->Name("LifoPairLarge")->RangeMultiplier(2)->Range(8 * kKiB, 1 * kMiB);

// As LifoPair, zeroed: shows what an allocator knows of memory that is zero already.
void CallocPair(benchmark::State& state) {
  const auto bytes = static_cast<size_t>(state.range(0));
  for (auto _ : state) {
    auto* block = static_cast<char*>(std::calloc(1, bytes));
    if (block == nullptr) FailAllocation(bytes);
    benchmark::DoNotOptimize(block);
    *static_cast<volatile char*>(block) = 1;
    std::free(block);
  }
}
BENCHMARK(CallocPair)->RangeMultiplier(8)->Range(16, 1 * kMiB);

// 200 bytes at an alignment.
void AlignedPair(benchmark::State& state) {
  const auto alignment = static_cast<size_t>(state.range(0));
  const size_t bytes = (200 + alignment - 1) / alignment * alignment;  // C11 asked for a multiple of the alignment.
  for (auto _ : state) {
    auto* block = static_cast<char*>(std::aligned_alloc(alignment, bytes));
    if (block == nullptr) FailAllocation(bytes);
    benchmark::DoNotOptimize(block);
    *static_cast<volatile char*>(block) = 1;
    std::free(block);
  }
}
BENCHMARK(AlignedPair)->Arg(32)->Arg(64)->Arg(256)->Arg(4096);

// The cost of the two calls alone cannot be had from an allocator; of the loop it can.
void EmptyLoop(benchmark::State& state) {
  char byte = 0;
  for (auto _ : state) {
    char* block = &byte;
    *static_cast<volatile char*>(block) = 1;
    benchmark::DoNotOptimize(block);
  }
}
BENCHMARK(EmptyLoop);

}  // namespace
}  // namespace acre::bench

BENCHMARK_MAIN();
