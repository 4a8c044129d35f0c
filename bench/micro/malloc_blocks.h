// What the malloc benchmarks share: blocks are taken and returned through plain calls, and each is written once.
#pragma once

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace acre::bench {

inline constexpr size_t kKiB = 1024;
inline constexpr size_t kMiB = 1024 * kKiB;
inline constexpr size_t kOsPageBytes = 4 * kKiB;

// Ends the program: a benchmark that goes on with null pointers would show a good time.
[[noreturn]] inline void FailAllocation(size_t bytes) {
  std::fprintf(stderr, "malloc_bench: no memory for %zu bytes\n", bytes);
  std::abort();
}

// A block that the program uses: its first byte is written, as no program asks for memory that it leaves alone.
inline char* TakeBlock(size_t bytes) {
  auto* block = static_cast<char*>(std::malloc(bytes));
  if (block == nullptr) FailAllocation(bytes);
  *static_cast<volatile char*>(block) = 1;
  benchmark::DoNotOptimize(block);
  return block;
}

// Writes one byte in each OS page of [base, base + bytes), so that all of it becomes resident.
inline void TouchPages(char* base, size_t bytes) {
  for (size_t offset = 0; offset < bytes; offset += kOsPageBytes) static_cast<volatile char*>(base)[offset] = 1;
}

// The same numbers on each allocator and in each run (xorshift64*).
class Random {
 public:
  uint64_t Next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545F4914F6CDD1DULL;
  }
  size_t Below(size_t limit) { return static_cast<size_t>(Next() >> 33) % limit; }

 private:
  uint64_t state_ = 0x9E3779B97F4A7C15ULL;
};

}  // namespace acre::bench
