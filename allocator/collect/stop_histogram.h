#pragma once

// How long stops were: a count for each power of two of nanoseconds, the longest, and all together.
//
// Threads: one at a time; a copy is a snapshot.

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace acre {

struct StopHistogram {
  static constexpr size_t kBuckets = 40;  // The last one has everything from 2^39 ns, nine minutes, on.

  uint64_t count = 0;
  uint64_t total_ns = 0;
  uint64_t longest_ns = 0;
  std::array<uint64_t, kBuckets> buckets{};  // Bucket i: stops of [2^i, 2^(i + 1)) ns; the first has those of 0 ns too.

  static constexpr size_t BucketOf(uint64_t ns) {
    const size_t bucket = ns == 0 ? 0 : static_cast<size_t>(std::bit_width(ns)) - 1;
    return bucket < kBuckets ? bucket : kBuckets - 1;
  }

  void Add(uint64_t ns) {
    ++count;
    total_ns += ns;
    if (ns > longest_ns) longest_ns = ns;
    ++buckets[BucketOf(ns)];
  }
};

}  // namespace acre
