// Batches: many blocks of one size are taken and then all returned, in the order taken, in reverse, or at random.
//
// A batch larger than an allocator's cache of free blocks reaches the structures behind the cache; interpreters do this
// whenever they build a list and drop it, or when their own collector sweeps.

#include <utility>

#include "bench/micro/malloc_blocks.h"

namespace acre::bench {
namespace {

enum class Order { kTaken, kReverse, kRandom };

std::vector<size_t> FreeOrder(size_t count, Order order) {
  std::vector<size_t> places(count);
  for (size_t i = 0; i < count; ++i) places[i] = order == Order::kReverse ? count - 1 - i : i;
  if (order != Order::kRandom) return places;
  Random random;
  for (size_t i = count - 1; i > 0; --i) std::swap(places[i], places[random.Below(i + 1)]);
  return places;
}

void Batch(benchmark::State& state, Order order) {
  const auto bytes = static_cast<size_t>(state.range(0));
  const auto count = static_cast<size_t>(state.range(1));
  const std::vector<size_t> places = FreeOrder(count, order);
  std::vector<char*> blocks(count);
  for (auto _ : state) {
    for (char*& block : blocks) block = TakeBlock(bytes);
    for (const size_t place : places) std::free(blocks[place]);
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * state.range(1));
}

void SizesAndCounts(benchmark::internal::Benchmark* benchmark) {
  for (const int64_t bytes : {16, 64, 256, 1024}) benchmark->Args({bytes, 1000});
  benchmark->Args({64, 20000});
}

BENCHMARK_CAPTURE(Batch, InOrder, Order::kTaken)->Apply(SizesAndCounts);
BENCHMARK_CAPTURE(Batch, Reverse, Order::kReverse)->Apply(SizesAndCounts);
BENCHMARK_CAPTURE(Batch, Random, Order::kRandom)->Apply(SizesAndCounts);

}  // namespace
}  // namespace acre::bench
