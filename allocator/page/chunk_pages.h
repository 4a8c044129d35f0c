#pragma once

// The pages of one chunk: which are in use, and which hold no memory.
//
// Two bitmaps of 8192 bits. A page is in use or free; a page is *scavenged* when the kernel holds no memory for it (never
// touched, or given back), else *dirty*. An allocation takes the lowest run of free pages that fits, but prefers runs that
// are dirty throughout: a page that the kernel must supply again costs about 1 µs, more than any bitmap search.
//
// A search walks runs of zeros with count-trailing-zeros. What earlier searches learnt is kept in a lower bound for each
// small run length, so that a heap full of holes is not walked again for every span.
//
// Invariants (CheckInvariants):
//   P1. free_pages_ is the number of zero bits of in_use_.
//   P2. dirty_pages_ is the number of pages that are neither in use nor scavenged.
//   P3. No page in use is scavenged.
//   P4. No run of n free pages begins below free_bounds_.from[n], and no run of n dirty pages below dirty_bounds_.from[n];
//       the last entry serves all larger n.
//
// Threads: the page heap's lock guards everything. Cost: tens of nanoseconds when the bounds are good, at most a few
// microseconds.

#include <cstddef>
#include <cstdint>

#include "allocator/base/units.h"

namespace acre {

// What is not given back: nothing is spared, or blocks are that are nearly full. A block is what one huge page covers, which
// the kernel splits for good when a part of it is given back.
enum class Spare : uint8_t { kNothing, kDenseBlocks };

class ChunkPages {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;
  static constexpr uint32_t kBlockPages = 2 * kMiB / kPageBytes;
  // So many in use make a block dense: 7 in 8. At 3 in 4 what is spared could be a third of what lives, which leaves nothing
  // of a heap that is to shrink to 1.2 times as much; at 15 in 16 hardly a huge page stays whole.
  static constexpr uint32_t kDensePages = kBlockPages / 8 * 7;

  // Every page from first_usable on is free and scavenged; those below hold the chunk's records and are in use for good.
  // The object's memory is zeroed before.
  void Initialise(uint32_t first_usable, uint32_t limit);

  // Takes `count` pages, the first at a multiple of `alignment` pages, all dirty. kNone if there are none such.
  uint32_t AllocateDirty(uint32_t count, uint32_t alignment);

  // Takes `count` pages at the lowest place that fits. `scavenged` receives how many of them held no memory.
  uint32_t Allocate(uint32_t count, uint32_t alignment, uint32_t* scavenged);

  // Takes exactly [first, first + count) if all of it is free.
  bool AllocateAt(uint32_t first, uint32_t count, uint32_t* scavenged);

  // Pages in use become free and dirty.
  void Free(uint32_t first, uint32_t count);

  // Takes the highest run of at most `most` dirty pages, whose memory is about to be given back; then FreeScavenged, or
  // Free if the kernel refused. Returns its length and stores its first page; 0 if there is none. Runs in dense blocks are
  // passed over if they are to be spared.
  uint32_t TakeDirty(uint32_t most, Spare spare, uint32_t* first);
  void FreeScavenged(uint32_t first, uint32_t count);

  bool IsInUse(uint32_t page) const;
  bool IsScavenged(uint32_t page) const;

  uint32_t free_pages() const { return free_pages_; }
  uint32_t dirty_pages() const { return dirty_pages_; }
  uint32_t limit() const { return limit_; }

  // How many pages right below the limit are free.
  uint32_t FreeTail() const { return FreeRunBefore(limit_); }

  // Pages [limit, new_limit) join as free and scavenged; or the free pages [new_limit, limit) leave. Returns how many of
  // those were scavenged.
  void Extend(uint32_t new_limit);
  uint32_t Shrink(uint32_t new_limit);

  bool is_empty() const { return free_pages_ == limit_ - first_usable_; }

  void CheckInvariants() const;

 private:
  static constexpr uint32_t kWords = kChunkPages / 64;
  static constexpr uint32_t kBounds = 17;  // Run lengths 1 … 15, and 16 or more; entry 0 is not used.

  uint64_t DirtyWord(uint32_t index) const { return ~(in_use_[index] | scavenged_[index]); }
  uint64_t FreeWord(uint32_t index) const { return ~in_use_[index]; }
  bool IsInDenseBlock(uint32_t word) const;
  static constexpr uint32_t BoundOf(uint32_t count) { return count < kBounds ? count : kBounds - 1; }
  uint32_t FreeRunBefore(uint32_t page) const;
  uint32_t Take(uint32_t first, uint32_t count);

  // What searches have learnt of one bitmap, by run length.
  struct Bounds {
    uint32_t from[kBounds];

    void Lower(uint32_t run);
    template <class WordAt>
    uint32_t FindRun(uint32_t limit, uint32_t count, uint32_t alignment, WordAt word);
  };

  uint64_t in_use_[kWords];
  uint64_t scavenged_[kWords];
  uint32_t free_pages_;
  uint32_t dirty_pages_;
  uint32_t first_usable_;
  uint32_t limit_;  // Pages at and above are not ours.
  Bounds free_bounds_;
  Bounds dirty_bounds_;
};

}  // namespace acre
