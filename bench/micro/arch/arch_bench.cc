// Move and Clear beside the C library's memmove and memset.
//
// Every body that this CPU can run is measured by name, and what the dispatcher chose as `acre`, at fixed sizes from
// one byte to 64 MiB, misaligned, overlapping, and over random small sizes, which no branch predictor can learn.
// Buffers are reused, as those of a heap are. To compare contenders use interleaved repetitions, and the smallest or
// the median (names end in /min_time, so a filter should not end in `$`):
//
//   arch_bench --benchmark_repetitions=9 --benchmark_enable_random_interleaving=true
//              --benchmark_report_aggregates_only=true --benchmark_filter='move/(glibc|acre)/'

#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "arch/cpu.h"
#include "arch/memory.h"
#include "arch/memory_bodies.h"

namespace {

using acre::arch::ClearFunction;
using acre::arch::MemoryBody;
using acre::arch::MoveFunction;
using Byte = unsigned char;

constexpr size_t kMiB = 1024 * 1024;
constexpr size_t kLargest = 64 * kMiB;
constexpr size_t kMargin = 4096;

struct Contender {
  std::string name;
  MoveFunction* move;
  ClearFunction* clear;
};

// Out of line, so that the compiler cannot know the size, nor leave out the call.
[[gnu::noinline]] void LibraryMove(void* to, const void* from, size_t bytes) { std::memmove(to, from, bytes); }
[[gnu::noinline]] void LibraryClear(void* base, size_t bytes) { std::memset(base, 0, bytes); }

std::vector<Contender> Contenders() {
  std::vector<Contender> contenders = {{"glibc", LibraryMove, LibraryClear},
                                       {"acre", acre::arch::Move, acre::arch::Clear}};
  const acre::arch::CpuFeatures cpu = acre::arch::DetectCpuFeatures();
  for (const MemoryBody& body : acre::arch::MemoryBodies()) {
    if (body.is_supported(cpu)) {
      contenders.push_back({body.name, body.move, body.clear});
    } else {
      std::fprintf(stderr, "skipped: this CPU or operating system lacks what the %s body needs\n", body.name);
    }
  }
  return contenders;
}

// Touched once, so that no page fault is measured.
Byte* NewBuffer(Byte value) {
  void* const buffer = std::aligned_alloc(4096, kLargest + 2 * kMargin);
  if (buffer == nullptr) std::abort();
  std::memset(buffer, value, kLargest + 2 * kMargin);
  return static_cast<Byte*>(buffer);
}

Byte* First() {
  static Byte* const buffer = NewBuffer(1);
  return buffer;
}

Byte* Second() {
  static Byte* const buffer = NewBuffer(2);
  return buffer;
}

void CountBytes(benchmark::State& state, size_t bytes) {
  state.SetBytesProcessed(static_cast<int64_t>(bytes) * state.iterations());
}

struct Offsets {
  size_t to;
  size_t from;
};

void BenchMove(benchmark::State& state, MoveFunction* move, size_t bytes, Offsets offsets) {
  Byte* const to = First() + offsets.to;
  const Byte* const from = Second() + offsets.from;
  for (auto _ : state) {
    move(to, from, bytes);
    benchmark::ClobberMemory();
  }
  CountBytes(state, bytes);
}

void BenchOverlap(benchmark::State& state, MoveFunction* move, size_t bytes, Offsets offsets) {
  Byte* const base = First();
  for (auto _ : state) {
    move(base + offsets.to, base + offsets.from, bytes);
    benchmark::ClobberMemory();
  }
  CountBytes(state, bytes);
}

void BenchClear(benchmark::State& state, ClearFunction* clear, size_t bytes, size_t offset) {
  Byte* const base = First() + offset;
  for (auto _ : state) {
    clear(base, bytes);
    benchmark::ClobberMemory();
  }
  CountBytes(state, bytes);
}

// Enough sizes that no predictor remembers them.
constexpr size_t kRandomCalls = 1 << 16;

std::vector<uint32_t> RandomSizes(size_t largest) {
  std::mt19937 random(20240229);
  std::uniform_int_distribution<uint32_t> sizes(0, static_cast<uint32_t>(largest));
  std::vector<uint32_t> result(kRandomCalls);
  for (uint32_t& size : result) size = sizes(random);
  return result;
}

void BenchRandomMove(benchmark::State& state, MoveFunction* move, size_t largest) {
  const std::vector<uint32_t> sizes = RandomSizes(largest);
  Byte* const to = First();
  const Byte* const from = Second();
  size_t i = 0;
  for (auto _ : state) {
    // Places that change by cache lines: each call is on its own, none waits for the stores of the one before.
    const size_t place = i % 32 * 64;
    move(to + place, from + place, sizes[i++ % kRandomCalls]);
    benchmark::ClobberMemory();
  }
}

void BenchRandomClear(benchmark::State& state, ClearFunction* clear, size_t largest) {
  const std::vector<uint32_t> sizes = RandomSizes(largest);
  Byte* const base = First();
  size_t i = 0;
  for (auto _ : state) {
    clear(base + i % 32 * 64, sizes[i % kRandomCalls]);
    i++;
    benchmark::ClobberMemory();
  }
}

std::vector<size_t> Sizes() {
  std::vector<size_t> sizes;
  for (size_t size = 1; size <= kLargest; size *= 2) sizes.push_back(size);
  for (size_t size : {3, 7, 12, 24, 33, 48, 65, 96, 100, 160, 192, 200, 257, 384, 768, 1000, 1500, 3000, 6000, 12'345,
                      50'001, 200'003, 3'000'001}) {
    sizes.push_back(size);
  }
  return sizes;
}

template <class Function, class... Arguments>
void Register(const std::string& group, const Contender& contender, const std::string& what, Function function,
              Arguments... arguments) {
  benchmark::RegisterBenchmark((group + '/' + contender.name + '/' + what).c_str(), function, arguments...)
      ->MinTime(0.01);
}

// The contenders of a size stand next to each other, so that the machine's mood meets them all.
void RegisterAll(const std::vector<Contender>& contenders) {
  for (size_t size : Sizes()) {
    const std::string text = std::to_string(size);
    for (const Contender& c : contenders) Register("move", c, text, BenchMove, c.move, size, Offsets{0, 0});
    for (const Contender& c : contenders) Register("clear", c, text, BenchClear, c.clear, size, size_t{0});
  }
  for (size_t size : {16, 32, 48, 64, 100, 128, 200, 256, 400, 1024, 4096, 16'384, 65'536}) {
    const std::string text = std::to_string(size);
    for (const Contender& c : contenders) {
      Register("move_source_misaligned", c, text, BenchMove, c.move, size, Offsets{0, 13});
      Register("move_to_misaligned", c, text, BenchMove, c.move, size, Offsets{13, 0});
      Register("clear_misaligned", c, text, BenchClear, c.clear, size, size_t{13});
      Register("move_down_by_half", c, text, BenchOverlap, c.move, size, Offsets{0, size / 2});
      Register("move_up_by_half", c, text, BenchOverlap, c.move, size, Offsets{size / 2, 0});
    }
  }
  for (size_t largest : {16, 64, 256, 1024}) {
    const std::string text = "upto_" + std::to_string(largest);
    for (const Contender& c : contenders) Register("move_random", c, text, BenchRandomMove, c.move, largest);
    for (const Contender& c : contenders) Register("clear_random", c, text, BenchRandomClear, c.clear, largest);
  }
}

}  // namespace

int main(int count, char** arguments) {
  benchmark::Initialize(&count, arguments);
  if (benchmark::ReportUnrecognizedArguments(count, arguments)) return 1;
  RegisterAll(Contenders());
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
