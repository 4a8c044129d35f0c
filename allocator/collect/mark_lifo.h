#pragma once

// Marking in its plainest form: one stack, one object at a time, every word looked at with a branch.
//
// The reference that tests compare the marker with, and that ACRE's verifier may use: it shares with the marker what the
// bits mean (FindSlot of span/chunk.h, kinds), and nothing of how words are found, resolved or queued. It reads span
// records, takes roots as words only, and its stack is memory of the caller's, one word for each object of the heap at
// most. Objects with chunks of their own are marked by their owner, and not scanned.
//
// Threads: one. Cost: some 2 to 10 times the marker's.

#include <cstddef>
#include <cstdint>
#include <span>

#include "allocator/collect/kind.h"
#include "allocator/collect/mark_context.h"
#include "allocator/span/chunk.h"

namespace acre {

class MarkLifo {
 public:
  MarkLifo(const ChunkTable& table, const KindTable& kinds, const MarkerOptions& options, std::span<uintptr_t> stack)
      : table_(table), kinds_(kinds), options_(options), stack_(stack) {}
  MarkLifo(const MarkLifo&) = delete;
  MarkLifo& operator=(const MarkLifo&) = delete;

  // Marks what the word leads to, and pushes it.
  void AddRoot(uint64_t word);
  // Marks all that can be reached. False: the stack was too small, and what is marked is not all.
  [[nodiscard]] bool Drain();

 private:
  void MarkAt(uintptr_t word);
  void Scan(uintptr_t object);
  void ScanWords(uintptr_t object, size_t bytes, Kind kind);
  void ScanByFunction(uintptr_t object, size_t bytes, Kind kind);

  const ChunkTable& table_;
  const KindTable& kinds_;
  const MarkerOptions& options_;
  const std::span<uintptr_t> stack_;
  size_t depth_ = 0;
  bool has_overflowed_ = false;
};

}  // namespace acre
