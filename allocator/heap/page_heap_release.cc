// How a page heap gives memory back.

#include <cstddef>

#include "allocator/heap/page_heap.h"
#include "os/check.h"
#include "os/clock.h"

namespace acre {

size_t PageHeap::ReleaseIdle(uint64_t now_ns) {
  size_t idle_pages;
  const size_t pages = TakeIdle(now_ns, SIZE_MAX / kPageBytes, &idle_pages);
  if (pages == 0) return 0;
  const size_t released = Release(pages, Spare::kNothing);
  ReleaseEmptyChunks(1);
  return released;
}

IdleRelease PageHeap::ReleaseIdle(uint64_t now_ns, size_t most_bytes) {
  size_t idle_pages;
  const size_t pages = TakeIdle(now_ns, most_bytes / kPageBytes, &idle_pages);
  const Spare spare = huge_page_threshold_ == SIZE_MAX ? Spare::kNothing : Spare::kDenseBlocks;
  const size_t released = pages == 0 ? 0 : Release(pages, spare);
  if (released != 0) ReleaseEmptyChunks(1);
  return {.released_bytes = released, .idle_bytes = (idle_pages - pages) * kPageBytes};
}

// How much of what nobody needed for a second is to go now. `*idle_pages` is all of it.
size_t PageHeap::TakeIdle(uint64_t now_ns, size_t most_pages, size_t* idle_pages) {
  constexpr uint64_t kQuarterNs = os::kNsPerSecond / 4;
  os::MutexLock lock(mutex_);
  *idle_pages = dirty_low_water_.Advance(now_ns, kQuarterNs, dirty_pages_.load(std::memory_order_relaxed));
  const size_t pages = *idle_pages < most_pages ? *idle_pages : most_pages;
  dirty_low_water_.Subtract(pages);
  return pages;
}

size_t PageHeap::ReleaseAll() {
  const size_t released = Release(SIZE_MAX / kPageBytes, Spare::kNothing);
  ReleaseEmptyChunks(1);
  return released;
}

size_t PageHeap::ReleaseSome(size_t most_bytes) {
  const size_t released = Release(most_bytes / kPageBytes, Spare::kNothing);
  if (released == 0) ReleaseEmptyChunks(1);
  return released;
}

bool PageHeap::ReleaseAddressSpace() {
  const bool released_chunks = ReleaseEmptyChunks(0);
  os::MutexLock lock(mutex_);
  bool released_tails = false;
  for (uint32_t i = 0; i < chunk_count_; ++i) {
    const ChunkRecord& record = chunks_[i];
    ChunkPages& pages = record.chunk->pages;
    const uint32_t tail = pages.FreeTail();
    if (record.reservation.is_mapped || tail == 0) continue;
    const uint32_t dirty = pages.dirty_pages();
    const uint32_t limit = pages.limit();
    const size_t scavenged = pages.Shrink(limit - tail);
    space_.Use(0, scavenged * kPageBytes);  // Counted as ready, as the whole tail is now taken for.
    const uintptr_t base = record.chunk->PageAddress(limit - tail);
    const bool is_released = space_.Fault(record.reservation, base, size_t{tail} * kPageBytes) == Status::kOk;
    if (!is_released) {
      // The kernel has no mapping left to split with: the pages come back as if all of them held memory.
      uint32_t taken_scavenged;
      pages.Extend(limit);
      CHECK(pages.AllocateAt(limit - tail, tail, &taken_scavenged));
      pages.Free(limit - tail, tail);
    }
    dirty_pages_.store(dirty_pages_.load(std::memory_order_relaxed) + pages.dirty_pages() - dirty,
                       std::memory_order_relaxed);
    dirty_low_water_.Note(dirty_pages_.load(std::memory_order_relaxed));
    released_tails |= is_released;
  }
  return released_chunks || released_tails;
}

// Gives back empty chunks whose memory has been given back already, but for `kept` of them.
bool PageHeap::ReleaseEmptyChunks(uint32_t kept) {
  os::MutexLock lock(mutex_);
  if (keeps_chunks_) {
    DiscardEmptyRecords(kept);
    return false;
  }
  uint32_t left = 0;
  for (uint32_t i = 0; i < chunk_count_; ++i) {
    const ChunkPages& pages = chunks_[i].chunk->pages;
    const bool is_idle = pages.is_empty() && pages.dirty_pages() == 0;
    if (is_idle && kept == 0) {
      ReleaseChunk(chunks_[i]);
      continue;
    }
    if (is_idle) --kept;
    chunks_[left++] = chunks_[i];
  }
  const bool released = left != chunk_count_;
  chunk_count_ = left;
  return released;
}

// All goes but what is known of the pages themselves. Under the lock: about 0.1 ms a chunk, once.
void PageHeap::DiscardEmptyRecords(uint32_t kept) {
  for (uint32_t i = 0; i < chunk_count_; ++i) {
    ChunkRecord& record = chunks_[i];
    const ChunkPages& pages = record.chunk->pages;
    if (!record.has_records || !pages.is_empty() || pages.dirty_pages() != 0) continue;
    if (kept != 0) {
      --kept;
      continue;
    }
    record.has_records = false;
    const uintptr_t base = record.chunk->base();
    const uintptr_t limit = AlignDown(base + offsetof(Chunk, state_rows), os::OsPageBytes());
    const uintptr_t states_base = AlignUp(base + offsetof(Chunk, states), os::OsPageBytes());
    if (huge_page_threshold_ != SIZE_MAX) space_.AdviseHugePages(base, kMarkingRecordBytes, false);
    (void)space_.Discard(base, limit - base);
    (void)space_.Discard(states_base, record.chunk->PageAddress(kFirstPage) - states_base);
  }
}

void PageHeap::ReleaseChunk(const ChunkRecord& record) {
  const ChunkPages& pages = record.chunk->pages;
  const size_t prepared = size_t{pages.limit()} * kPageBytes;
  const size_t used = pages.limit() - kFirstPage - pages.free_pages();
  const size_t ready = (used + pages.dirty_pages()) * kPageBytes;
  chunk_space_.Release(record.reservation, record.reservation.base, prepared, ready);
}

size_t PageHeap::Release(size_t pages, Spare spare) {
  size_t released = 0;
  while (released < pages) {
    ChunkRecord* record;
    uint32_t first;
    uint32_t count;
    Chunk* chunk;
    size_t chunk_bytes;
    bool had_huge_pages;
    {
      os::MutexLock lock(mutex_);
      const size_t most = pages - released < kReleasePages ? pages - released : kReleasePages;
      count = TakeDirty(static_cast<uint32_t>(most), spare, &record, &first);
      if (count == 0) break;
      chunk = record->chunk;
      chunk_bytes = (chunk->pages.limit() - kFirstPage) * kPageBytes;
      had_huge_pages = record->wants_huge_pages;
      record->wants_huge_pages = false;
    }
    // Without this the kernel's own daemon would fill the hole again to make a huge page of it.
    if (had_huge_pages && huge_page_threshold_ != SIZE_MAX) {
      space_.AdviseHugePages(chunk->PageAddress(kFirstPage), chunk_bytes, false);
    }
    const bool is_released = space_.Unuse(chunk->PageAddress(first), size_t{count} * kPageBytes);
    os::MutexLock lock(mutex_);
    releasing_pages_ -= count;
    if (!is_released) {
      chunk->pages.Free(first, count);
      dirty_pages_.store(dirty_pages_.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
      break;
    }
    chunk->pages.FreeScavenged(first, count);
    released += count;
    released_bytes_ += size_t{count} * kPageBytes;
  }
  return released * kPageBytes;
}

uint32_t PageHeap::TakeDirty(uint32_t most, Spare spare, ChunkRecord** record, uint32_t* first) {
  for (uint32_t i = chunk_count_; i-- > 0;) {
    const uint32_t count = chunks_[i].chunk->pages.TakeDirty(most, spare, first);
    if (count == 0) continue;
    *record = &chunks_[i];
    const size_t dirty = dirty_pages_.load(std::memory_order_relaxed) - count;
    dirty_pages_.store(dirty, std::memory_order_relaxed);
    releasing_pages_ += count;
    return count;
  }
  return 0;
}

}  // namespace acre
