#include "allocator/page/chunk_pages.h"

#include "allocator/base/bits.h"
#include "os/check.h"

namespace acre {
namespace {

// The lowest run of `count` ones, beginning at a multiple of `alignment`, in [from, limit) of the words that `word`
// computes; or ChunkPages::kNone. `*long_run` receives where the lowest run of at least `long_count` (at most `count`) ones
// begins, or the limit.
template <class WordAt>
uint32_t FindRun(uint32_t from, uint32_t limit, uint32_t count, uint32_t alignment, WordAt word, uint32_t long_count,
                 uint32_t* long_run) {
  *long_run = limit;
  uint32_t first = FindOne(from, limit, word);
  while (first < limit) {
    const uint32_t aligned = static_cast<uint32_t>(AlignUp(first, alignment));
    // Only as far as needed: a free tail of thousands of pages is not walked for one page.
    const uint32_t wanted_end = aligned + count < limit ? aligned + count : limit;
    const uint32_t end = FindZero(first, wanted_end, word);
    if (*long_run == limit && end - first >= long_count) *long_run = first;
    if (end == aligned + count) return aligned;
    first = FindOne(end, limit, word);
  }
  return ChunkPages::kNone;
}

}  // namespace

// Pages that join the bitmap made a run that begins at `run`.
void ChunkPages::Bounds::Lower(uint32_t run) {
  for (uint32_t& bound : from) bound = run < bound ? run : bound;
}

template <class WordAt>
uint32_t ChunkPages::Bounds::FindRun(uint32_t limit, uint32_t count, uint32_t alignment, WordAt word) {
  const uint32_t length = BoundOf(count);
  uint32_t& bound = from[length];
  uint32_t long_run;
  const uint32_t first = acre::FindRun(bound, limit, count, alignment, word, length, &long_run);
  // An aligned search may pass over what it could have, a search for one length sees all runs of that length.
  if (alignment == 1) bound = count == length && first != kNone ? first + count : long_run;
  return first;
}

void ChunkPages::Initialise(uint32_t first_usable, uint32_t limit) {
  first_usable_ = first_usable;
  limit_ = first_usable;
  free_pages_ = 0;
  dirty_pages_ = 0;
  SetBits(in_use_, 0, kChunkPages);
  for (uint32_t& bound : free_bounds_.from) bound = first_usable;
  for (uint32_t& bound : dirty_bounds_.from) bound = kChunkPages;
  Extend(limit);
}

void ChunkPages::Extend(uint32_t new_limit) {
  ASSERT(new_limit >= limit_);
  ASSERT(new_limit <= kChunkPages);
  if (new_limit == limit_) return;
  const uint32_t first = limit_;
  const uint32_t count = new_limit - limit_;
  ClearBits(in_use_, first, count);
  SetBits(scavenged_, first, count);
  free_pages_ += count;
  limit_ = new_limit;
  free_bounds_.Lower(first - FreeRunBefore(first));
}

uint32_t ChunkPages::Shrink(uint32_t new_limit) {
  ASSERT(new_limit >= limit_ - FreeTail());
  const uint32_t scavenged = Take(new_limit, limit_ - new_limit);
  limit_ = new_limit;
  return scavenged;
}

uint32_t ChunkPages::FreeRunBefore(uint32_t page) const {
  return page - FindLastOneEnd(first_usable_, page, [this](uint32_t index) { return in_use_[index]; });
}

uint32_t ChunkPages::AllocateDirty(uint32_t count, uint32_t alignment) {
  if (dirty_pages_ < count) return kNone;
  const uint32_t first =
      dirty_bounds_.FindRun(limit_, count, alignment, [this](uint32_t index) { return DirtyWord(index); });
  if (first != kNone) Take(first, count);
  return first;
}

uint32_t ChunkPages::Allocate(uint32_t count, uint32_t alignment, uint32_t* scavenged) {
  if (free_pages_ < count) return kNone;
  const uint32_t first =
      free_bounds_.FindRun(limit_, count, alignment, [this](uint32_t index) { return FreeWord(index); });
  if (first != kNone) *scavenged = Take(first, count);
  return first;
}

bool ChunkPages::AllocateAt(uint32_t first, uint32_t count, uint32_t* scavenged) {
  if (first + count > limit_) return false;
  const uint32_t end = FindZero(first, first + count, [this](uint32_t index) { return FreeWord(index); });
  if (end != first + count) return false;
  *scavenged = Take(first, count);
  return true;
}

void ChunkPages::Free(uint32_t first, uint32_t count) {
  AUDIT(CHECK(CountBits(in_use_, first, count) == count));
  ClearBits(in_use_, first, count);
  free_pages_ += count;
  dirty_pages_ += count;
  free_bounds_.Lower(first - FreeRunBefore(first));
  dirty_bounds_.Lower(FindLastOneEnd(first_usable_, first, [this](uint32_t index) { return ~DirtyWord(index); }));
}

bool ChunkPages::IsInDenseBlock(uint32_t word) const {
  constexpr uint32_t kBlockWords = kBlockPages / kWordBits;
  return CountOnes(&in_use_[word / kBlockWords * kBlockWords], kBlockWords) >= kDensePages;
}

uint32_t ChunkPages::TakeDirty(uint32_t most, Spare spare, uint32_t* first) {
  if (dirty_pages_ == 0) return 0;
  const auto takeable = [&](uint32_t index) {
    const uint64_t dirty = DirtyWord(index);
    return dirty == 0 || (spare == Spare::kDenseBlocks && IsInDenseBlock(index)) ? 0 : dirty;
  };
  const uint32_t end = FindLastOneEnd(first_usable_, limit_, takeable);
  if (end == first_usable_) return 0;
  uint32_t base = FindLastOneEnd(first_usable_, end, [&](uint32_t index) { return ~takeable(index); });
  if (end - base > most) base = end - most;
  Take(base, end - base);
  *first = base;
  return end - base;
}

void ChunkPages::FreeScavenged(uint32_t first, uint32_t count) {
  AUDIT(CHECK(CountBits(in_use_, first, count) == count));
  ClearBits(in_use_, first, count);
  SetBits(scavenged_, first, count);
  free_pages_ += count;
  free_bounds_.Lower(first - FreeRunBefore(first));
}

bool ChunkPages::IsInUse(uint32_t page) const { return TestBit(in_use_, page); }
bool ChunkPages::IsScavenged(uint32_t page) const { return TestBit(scavenged_, page); }

// Marks free pages as in use; returns how many of them were scavenged.
uint32_t ChunkPages::Take(uint32_t first, uint32_t count) {
  AUDIT(CHECK(CountBits(in_use_, first, count) == 0));
  const uint32_t scavenged = CountBits(scavenged_, first, count);
  SetBits(in_use_, first, count);
  ClearBits(scavenged_, first, count);
  free_pages_ -= count;
  dirty_pages_ -= count - scavenged;
  return scavenged;
}

void ChunkPages::CheckInvariants() const {
  uint32_t free_pages = 0;
  uint32_t dirty_pages = 0;
  uint32_t free_run = 0;
  uint32_t dirty_run = 0;
  for (uint32_t page = 0; page < kChunkPages; ++page) {
    const bool is_free = !TestBit(in_use_, page);
    const bool is_scavenged = TestBit(scavenged_, page);
    const bool is_dirty = is_free && !is_scavenged;
    CHECK(is_free || !is_scavenged);                                          // P3
    CHECK(!is_free || (page >= first_usable_ && page < limit_));
    free_pages += is_free;
    dirty_pages += is_dirty;
    free_run = is_free ? free_run + 1 : 0;
    dirty_run = is_dirty ? dirty_run + 1 : 0;
    if (is_free) CHECK(page + 1 - free_run >= free_bounds_.from[BoundOf(free_run)]);     // P4
    if (is_dirty) CHECK(page + 1 - dirty_run >= dirty_bounds_.from[BoundOf(dirty_run)]);
  }
  CHECK(free_pages == free_pages_);                              // P1
  CHECK(dirty_pages == dirty_pages_);                            // P2
}

}  // namespace acre
