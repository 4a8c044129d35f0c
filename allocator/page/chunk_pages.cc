#include "allocator/page/chunk_pages.h"

#include "allocator/base/bits.h"
#include "os/check.h"

namespace acre {
namespace {

// The lowest run of `count` ones, beginning at a multiple of `alignment`, in [from, limit) of the words that `word`
// computes; or ChunkPages::kNone.
template <class WordAt>
uint32_t FindRun(uint32_t from, uint32_t limit, uint32_t count, uint32_t alignment, WordAt word) {
  uint32_t first = FindOne(from, limit, word);
  while (first < limit) {
    const uint32_t aligned = static_cast<uint32_t>(AlignUp(first, alignment));
    if (aligned + count > limit) return ChunkPages::kNone;
    // Only as far as needed: a free tail of thousands of pages is not walked for one page.
    const uint32_t end = FindZero(first, aligned + count, word);
    if (end >= aligned + count) return aligned;
    first = FindOne(end, limit, word);
  }
  return ChunkPages::kNone;
}

}  // namespace

void ChunkPages::Initialise(uint32_t first_usable, uint32_t limit) {
  first_usable_ = first_usable;
  limit_ = first_usable;
  free_pages_ = 0;
  dirty_pages_ = 0;
  SetBits(in_use_, 0, kChunkPages);
  for (uint32_t& bound : search_from_) bound = first_usable;
  dirty_from_ = kChunkPages;
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
  LowerBounds(first);
}

uint32_t ChunkPages::FreeTail() const {
  return limit_ - FindLastOneEnd(first_usable_, limit_, [this](uint32_t index) { return in_use_[index]; });
}

uint32_t ChunkPages::AllocateDirty(uint32_t count, uint32_t alignment) {
  if (dirty_pages_ < count) return kNone;
  const auto word = [this](uint32_t index) { return DirtyWord(index); };
  dirty_from_ = FindOne(dirty_from_, limit_, word);
  const uint32_t first = FindRun(dirty_from_, limit_, count, alignment, word);
  if (first != kNone) Take(first, count);
  return first;
}

uint32_t ChunkPages::Allocate(uint32_t count, uint32_t alignment, uint32_t* scavenged) {
  if (free_pages_ < count) return kNone;
  uint32_t& bound = search_from_[count < kBounds ? count : kBounds - 1];
  const uint32_t first = FindRun(bound, limit_, count, alignment, [this](uint32_t index) { return FreeWord(index); });
  if (first == kNone) {
    // Runs of this length exist nowhere; the last bound stands for several lengths, of which the smaller may exist.
    if (alignment == 1 && count < kBounds) bound = limit_;
    return kNone;
  }
  *scavenged = Take(first, count);
  // An aligned search skips runs that begin elsewhere, and the last bound serves lengths below `count`.
  if (alignment == 1 && count < kBounds - 1) bound = first + count;
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
  if (first < dirty_from_) dirty_from_ = first;
  LowerBounds(first);
}

uint32_t ChunkPages::TakeDirty(uint32_t most, uint32_t* first) {
  if (dirty_pages_ == 0) return 0;
  uint32_t end = FindLastOneEnd(first_usable_, limit_, [this](uint32_t index) { return DirtyWord(index); });
  ASSERT(end > first_usable_);
  uint32_t base = FindLastOneEnd(first_usable_, end, [this](uint32_t index) { return ~DirtyWord(index); });
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
  LowerBounds(first);
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

// Pages from `first` on became free: a run may now begin there, or further down where the free pages before it begin.
void ChunkPages::LowerBounds(uint32_t first) {
  const uint32_t run = FindLastOneEnd(first_usable_, first, [this](uint32_t index) { return in_use_[index]; });
  for (uint32_t& bound : search_from_) bound = run < bound ? run : bound;
}

void ChunkPages::CheckInvariants() const {
  uint32_t free_pages = 0;
  uint32_t dirty_pages = 0;
  uint32_t run = 0;
  for (uint32_t page = 0; page < kChunkPages; ++page) {
    const bool is_free = !TestBit(in_use_, page);
    const bool is_scavenged = TestBit(scavenged_, page);
    CHECK(is_free || !is_scavenged);                             // P3
    CHECK(!is_free || (page >= first_usable_ && page < limit_));
    free_pages += is_free;
    dirty_pages += is_free && !is_scavenged;
    CHECK(!(is_free && !is_scavenged) || page >= dirty_from_);
    run = is_free ? run + 1 : 0;
    if (run > 0) {                                               // P4
      const uint32_t begin = page + 1 - run;
      CHECK(begin >= search_from_[run < kBounds ? run : kBounds - 1]);
    }
  }
  CHECK(free_pages == free_pages_);                              // P1
  CHECK(dirty_pages == dirty_pages_);                            // P2
}

}  // namespace acre
