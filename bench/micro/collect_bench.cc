// What single operations of the collected heap cost: allocation, from memory that is in the second cache and in the long
// run, and stores of pointers.
//
//   collect_bench --benchmark_repetitions=9 --benchmark_enable_random_interleaving=true
//                 --benchmark_report_aggregates_only=true
//
// CPU times are those of the process: what the heap's own threads do counts.

#include <benchmark/benchmark.h>
#include <time.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "acre/acre.hpp"

namespace {

constexpr size_t kKiB = 1024;
constexpr size_t kMiB = 1024 * kKiB;
constexpr size_t kGiB = 1024 * kMiB;

// A heap that collects when it is told to.
constexpr size_t kNever = 256 * kGiB;

double ThreadSeconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

acre::HeapOptions WithTrigger(size_t bytes) {
  acre::HeapOptions options;
  options.min_trigger_bytes = bytes;
  return options;
}

// A heap and its one mutator, or the end of the program.
struct World {
  explicit World(const acre::HeapOptions& options) : heap(options), mutator(heap) {
    if (mutator.is_valid()) return;
    std::fprintf(stderr, "no heap\n");
    std::exit(1);
  }

  acre::Heap heap;
  acre::Mutator mutator;
};

// 128 KiB of objects at a time, in memory that the last round has freed: half of a small second cache. Refilling and zeroing
// are in it, collecting is not.
void AllocateFromL2(benchmark::State& state) {
  constexpr size_t kRoundBytes = 128 * kKiB;
  World world(WithTrigger(kNever));
  acre_mutator* mutator = world.mutator.raw();
  const auto bytes = static_cast<size_t>(state.range(0));
  const size_t objects = kRoundBytes / bytes;
  for (auto _ : state) {
    world.mutator.Collect();
    const double began = ThreadSeconds();
    for (size_t i = 0; i < objects; ++i) benchmark::DoNotOptimize(acre_allocate(mutator, ACRE_POINTER_FREE, bytes));
    state.SetIterationTime(ThreadSeconds() - began);
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * objects));
}
BENCHMARK(AllocateFromL2)->Arg(16)->Arg(32)->Arg(48)->Arg(64)->UseManualTime();

// The same with a size that the compiler knows, as New<T> has it.
template <size_t kBytes>
void AllocateConstantFromL2(benchmark::State& state) {
  constexpr size_t kRoundBytes = 128 * kKiB;
  World world(WithTrigger(kNever));
  acre_mutator* mutator = world.mutator.raw();
  for (auto _ : state) {
    world.mutator.Collect();
    const double began = ThreadSeconds();
    for (size_t i = 0; i < kRoundBytes / kBytes; ++i) {
      benchmark::DoNotOptimize(acre_allocate(mutator, ACRE_POINTER_FREE, kBytes));
    }
    state.SetIterationTime(ThreadSeconds() - began);
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * (kRoundBytes / kBytes)));
}
BENCHMARK(AllocateConstantFromL2<16>)->UseManualTime();
BENCHMARK(AllocateConstantFromL2<32>)->UseManualTime();
BENCHMARK(AllocateConstantFromL2<64>)->UseManualTime();

// 8 GiB of objects of 64 bytes while 1 MiB of them live: the first ones, or every 64th object takes the oldest one's place,
// which leaves short holes everywhere. Collections at the default trigger, and everything that they cost.
void AllocateSustained(benchmark::State& state) {
  constexpr size_t kBytes = 64;
  constexpr size_t kLive = kMiB / kBytes;
  constexpr size_t kBatch = 64;
  constexpr size_t kObjects = 8 * kGiB / kBytes;
  const bool is_fixed = state.range(0) == 0;
  for (auto _ : state) {
    World world((acre::HeapOptions()));
    acre_mutator* mutator = world.mutator.raw();
    void** live = static_cast<void**>(world.mutator.Allocate(ACRE_CONSERVATIVE, kLive * sizeof(void*)));
    for (size_t i = 0; i < kLive; ++i) acre_write(mutator, &live[i], acre_allocate(mutator, ACRE_CONSERVATIVE, kBytes));
    for (size_t batch = 0; batch < kObjects / kBatch; ++batch) {
      void* last = nullptr;
      for (size_t i = 0; i < kBatch; ++i) {
        benchmark::DoNotOptimize(last = acre_allocate(mutator, ACRE_CONSERVATIVE, kBytes));
      }
      if (!is_fixed) acre_write(mutator, &live[batch % kLive], last);
    }
    benchmark::DoNotOptimize(live);
    state.counters["collections"] = static_cast<double>(world.heap.statistics().cycles);
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kObjects));
}
BENCHMARK(AllocateSustained)->ArgName("holes")->Arg(0)->Arg(1)->Iterations(1)->MeasureProcessCPUTime();

struct Record {
  static constexpr uint64_t kPointerBitmap = 0xff;
  acre::Ref<Record> fields[8];
};

// Stores into the fields of objects that are in the first cache.
template <class Store>
void StorePointers(benchmark::State& state, Store store) {
  constexpr size_t kObjects = 64;
  World world(WithTrigger(kNever));
  acre_mutator* mutator = world.mutator.raw();
  Record* objects[kObjects];
  for (Record*& object : objects) object = world.mutator.New<Record>();
  for (auto _ : state) {
    for (Record* object : objects) {
      for (acre::Ref<Record>& field : object->fields) store(mutator, &field, object);
    }
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kObjects * 8));
}

void StoreRaw(benchmark::State& state) {
  StorePointers(state, [](acre_mutator*, void* field, const void* object) {
    __atomic_store_n(static_cast<uint64_t*>(field), reinterpret_cast<uint64_t>(object), __ATOMIC_RELAXED);
  });
}
BENCHMARK(StoreRaw);

void StoreWithBarrier(benchmark::State& state) { StorePointers(state, acre_write); }
BENCHMARK(StoreWithBarrier);

}  // namespace

BENCHMARK_MAIN();
