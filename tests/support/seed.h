#pragma once

// Random tests: where the seed comes from. TEST_SEED repeats a run; otherwise each run has its own.

#include <cstdint>

namespace acre::testing {

// Returns the seed and prints it together with `what`.
uint64_t Seed(const char* what);

// A small generator that allocates nothing (xorshift64*).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed == 0 ? 1 : seed) {}

  uint64_t Next() {
    constexpr uint64_t kMultiplier = 0x2545f4914f6cdd1d;
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * kMultiplier;
  }
  uint64_t Below(uint64_t limit) { return (Next() >> 16) % limit; }
  bool OneIn(uint64_t chances) { return Below(chances) == 0; }

  // Up to 2^max_bits, every power of two equally likely: small sizes often, large ones sometimes.
  uint64_t Skewed(unsigned max_bits) { return Below(uint64_t{1} << (1 + Below(max_bits))); }

 private:
  uint64_t state_;
};

}  // namespace acre::testing
