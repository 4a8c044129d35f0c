#include "allocator/heap/page_heap.h"

#include <cstddef>
#include <cstring>

#include "os/check.h"
#include "os/clock.h"

namespace acre {

Span* PageHeap::AllocateSmall(SizeClass size_class, Kind kind) {
  Span* span;
  {
    os::MutexLock lock(mutex_);
    span = Allocate(kSizeClasses[size_class].span_pages, 1, size_class, kind);
  }
  KeepToLimit();
  return span;
}

Span* PageHeap::AllocateLarge(size_t pages, size_t alignment_pages, Kind kind) {
  if (pages > kUsablePages || alignment_pages > kUsablePages) return nullptr;
  Span* span;
  {
    os::MutexLock lock(mutex_);
    span = Allocate(static_cast<uint32_t>(pages), static_cast<uint32_t>(alignment_pages), kLargeClass, kind);
    if (span != nullptr) {
      large_pages_ += pages;
      ++large_spans_;
    }
  }
  KeepToLimit();
  return span;
}

// Free memory goes back where it would exceed the limit.
void PageHeap::KeepToLimit() {
  const size_t held = used_pages_.load(std::memory_order_relaxed) + huge_pages_.load(std::memory_order_relaxed) +
                      dirty_pages_.load(std::memory_order_relaxed);
  if (held > limit_pages_.load(std::memory_order_relaxed)) [[unlikely]] (void)ReleaseAll();
}

bool PageHeap::ChargeHuge(size_t bytes) {
  {
    os::MutexLock lock(mutex_);
    if (ExceedsLimit(bytes)) return false;
    huge_pages_.store(huge_pages_.load(std::memory_order_relaxed) + PagesFor(bytes), std::memory_order_relaxed);
  }
  KeepToLimit();
  return true;
}

void PageHeap::DischargeHuge(size_t bytes) {
  os::MutexLock lock(mutex_);
  huge_pages_.store(huge_pages_.load(std::memory_order_relaxed) - PagesFor(bytes), std::memory_order_relaxed);
}

Span* PageHeap::Allocate(uint32_t pages, uint32_t alignment, SizeClass size_class, Kind kind) {
  if (ExceedsLimit(size_t{pages} * kPageBytes)) return nullptr;
  const bool tries_dirty = dirty_pages_.load(std::memory_order_relaxed) >= pages;
  for (uint32_t pass = tries_dirty ? 0 : 1; pass < 2; ++pass) {
    for (uint32_t i = 0; i < chunk_count_; ++i) {
      Span* span = AllocateFrom(chunks_[i], pages, alignment, pass == 0, size_class, kind);
      if (span != nullptr) return span;
    }
  }
  if (!Grow(pages, alignment)) return nullptr;
  for (uint32_t i = chunk_count_; i-- > 0;) {
    Span* span = AllocateFrom(chunks_[i], pages, alignment, false, size_class, kind);
    if (span != nullptr) return span;
  }
  return nullptr;
}

Span* PageHeap::AllocateFrom(ChunkRecord& record, uint32_t pages, uint32_t alignment, bool only_dirty,
                             SizeClass size_class, Kind kind) {
  ChunkPages& chunk_pages = record.chunk->pages;
  uint32_t scavenged = 0;
  const uint32_t first = only_dirty ? chunk_pages.AllocateDirty(pages, alignment)
                                    : chunk_pages.Allocate(pages, alignment, &scavenged);
  if (first == ChunkPages::kNone) return nullptr;
  AccountTaken(pages, scavenged);
  Span* span = MakeSpan(record.chunk, first, pages, size_class, kind);
  span->is_zeroed = scavenged == pages;
  return span;
}

void PageHeap::Free(Span* span) {
  Chunk* chunk = ChunkOf(span);
  os::MutexLock lock(mutex_);
  const uint32_t pages = span->pages;
  if (span->size_class == kLargeClass) {
    large_pages_ -= pages;
    --large_spans_;
  }
  UnmakeSpan(span);
  chunk->pages.Free(FirstPageOf(span), pages);
  AccountFreed(pages);
}

bool PageHeap::ResizeLarge(Span* span, size_t pages) {
  Chunk* chunk = ChunkOf(span);
  const uint32_t first = FirstPageOf(span);
  if (pages > kUsablePages || first + pages > kChunkPages) return false;
  const uint32_t wanted = static_cast<uint32_t>(pages);
  os::MutexLock lock(mutex_);
  const uint32_t old = span->pages;
  if (wanted > old) {
    ChunkRecord* record = chunks_;
    while (record->chunk != chunk) ++record;
    const uint32_t limit = chunk->pages.limit();
    if (first + wanted > limit) {
      if (first + old + chunk->pages.FreeTail() < limit) return false;
      const Density density = size_t{old} * kPageBytes >= kFilledBytes ? Density::kFilled : Density::kUnknown;
      if (!ExtendChunk(*record, first + wanted - limit, density)) return false;
    }
    uint32_t scavenged = 0;
    if (!chunk->pages.AllocateAt(first + old, wanted - old, &scavenged)) return false;
    AccountTaken(wanted - old, scavenged);
    span->is_zeroed = false;
    ResizeLargeSpan(span, wanted);
  } else if (wanted < old) {
    ResizeLargeSpan(span, wanted);
    chunk->pages.Free(first + wanted, old - wanted);
    AccountFreed(old - wanted);
  }
  large_pages_ += pages;
  large_pages_ -= old;
  return true;
}

// Makes room for a run of `pages` pages at any multiple of `alignment`: in the highest chunk that has address space
// left for it, else in a new chunk.
bool PageHeap::Grow(uint32_t pages, uint32_t alignment) {
  const uint32_t wanted = pages + alignment - 1 < kUsablePages ? pages + alignment - 1 : kUsablePages;
  for (uint32_t i = chunk_count_; i-- > 0;) {
    if (GrowChunk(chunks_[i], wanted)) return true;
  }
  if (!AddChunk()) return false;
  for (uint32_t i = chunk_count_; i-- > 0;) {
    if (GrowChunk(chunks_[i], wanted)) return true;
  }
  return false;
}

bool PageHeap::GrowChunk(ChunkRecord& record, uint32_t pages) {
  const ChunkPages& chunk_pages = record.chunk->pages;
  const uint32_t tail = chunk_pages.FreeTail();
  if (tail + kChunkPages - chunk_pages.limit() < pages) return false;
  return tail >= pages || ExtendChunk(record, pages - tail, Density::kUnknown);
}

// Makes at least `pages` more pages of a chunk accessible.
bool PageHeap::ExtendChunk(ChunkRecord& record, uint32_t pages, Density density) {
  ChunkPages& chunk_pages = record.chunk->pages;
  const uintptr_t base = record.chunk->PageAddress(chunk_pages.limit());
  const size_t room = record.reservation.limit - base;
  size_t bytes = AlignUp(base + size_t{pages} * kPageBytes, kGrowthBytes) - base;
  if (bytes > room) bytes = room;
  if (bytes < size_t{pages} * kPageBytes) return false;
  if (space_.Prepare(record.reservation, base, bytes, nullptr) != Status::kOk) {
    bytes = size_t{pages} * kPageBytes;
    if (space_.Prepare(record.reservation, base, bytes, nullptr) != Status::kOk) return false;
  }
  const bool is_dense = density == Density::kFilled || used_bytes() >= huge_page_threshold_;
  if (is_dense && record.wants_huge_pages && huge_page_threshold_ != SIZE_MAX) space_.AdviseHugePages(base, bytes, true);
  chunk_pages.Extend(chunk_pages.limit() + static_cast<uint32_t>(bytes / kPageBytes));
  return true;
}

bool PageHeap::AddChunk() {
  if (!MakeRoomForRecord()) return false;
  constexpr size_t kRecordBytes = size_t{kFirstPage} * kPageBytes;
  os::Reservation reservation;
  for (;;) {
    if (chunk_space_.Reserve(1, ChunkUse::kPages, ChunkUse::kPages, &reservation) != Status::kOk) return false;
    const Status status = space_.Prepare(reservation, reservation.base, kRecordBytes, "acre: heap");
    if (status == Status::kOk) break;
    // A reservation that is not mapped (under a limit on address space) is verified only now.
    if (status != Status::kConflict) {
      chunk_space_.ReleaseUnused(reservation);
      return false;
    }
    chunk_space_.Abandon(reservation);
  }
  auto* chunk = reinterpret_cast<Chunk*>(reservation.base);
  // The records that marking reads for each object: in a chunk that gets filled nearly all of it is used anyway.
  constexpr size_t kMarkingRecordBytes = 2 * kMiB;
  static_assert(offsetof(Chunk, state_rows) <= kMarkingRecordBytes);
  if (used_bytes() >= huge_page_threshold_) space_.AdviseHugePages(reservation.base, kMarkingRecordBytes, true);
  chunk->pages.Initialise(kFirstPage, kFirstPage);
  uint32_t place = chunk_count_;
  for (; place > 0 && chunks_[place - 1].chunk > chunk; --place) chunks_[place] = chunks_[place - 1];
  chunks_[place] = {.chunk = chunk, .reservation = reservation, .wants_huge_pages = true};
  ++chunk_count_;
  return true;
}

bool PageHeap::MakeRoomForRecord() {
  if (chunk_count_ < chunk_capacity_) return true;
  const size_t old_bytes = chunk_capacity_ * sizeof(ChunkRecord);
  const size_t new_bytes = old_bytes == 0 ? os::OsPageBytes() : 2 * old_bytes;
  void* records = space_.AllocateMetadata(new_bytes, "acre: chunk list");
  if (records == nullptr) return false;
  if (old_bytes != 0) {
    std::memcpy(records, chunks_, chunk_count_ * sizeof(ChunkRecord));
    space_.FreeMetadata(chunks_, old_bytes);
  }
  chunks_ = static_cast<ChunkRecord*>(records);
  chunk_capacity_ = static_cast<uint32_t>(new_bytes / sizeof(ChunkRecord));
  return true;
}

void PageHeap::AccountTaken(uint32_t pages, uint32_t scavenged) {
  const size_t used = used_pages_.load(std::memory_order_relaxed) + pages;
  used_pages_.store(used, std::memory_order_relaxed);
  fresh_pages_ += scavenged;
  if (fresh_pages_ >= kMinGrowthStepPages && fresh_pages_ >= used / 32) {
    fresh_pages_ = 0;
    growths_.store(growths_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  const size_t dirty = dirty_pages_.load(std::memory_order_relaxed) - (pages - scavenged);
  dirty_pages_.store(dirty, std::memory_order_relaxed);
  dirty_low_water_.Note(dirty);
  if (scavenged != 0) space_.Use(0, size_t{scavenged} * kPageBytes);
}

void PageHeap::AccountFreed(uint32_t pages) {
  used_pages_.store(used_pages_.load(std::memory_order_relaxed) - pages, std::memory_order_relaxed);
  dirty_pages_.store(dirty_pages_.load(std::memory_order_relaxed) + pages, std::memory_order_relaxed);
}

size_t PageHeap::ReleaseIdle(uint64_t now_ns) {
  constexpr uint64_t kQuarterNs = os::kNsPerSecond / 4;
  size_t idle_pages;
  {
    os::MutexLock lock(mutex_);
    idle_pages = dirty_low_water_.Advance(now_ns, kQuarterNs, dirty_pages_.load(std::memory_order_relaxed));
    dirty_low_water_.Subtract(idle_pages);
  }
  if (idle_pages == 0) return 0;
  const size_t released = Release(idle_pages);
  ReleaseEmptyChunks(1);
  return released;
}

size_t PageHeap::ReleaseAll() {
  const size_t released = Release(SIZE_MAX / kPageBytes);
  ReleaseEmptyChunks(1);
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

void PageHeap::ReleaseChunk(const ChunkRecord& record) {
  const ChunkPages& pages = record.chunk->pages;
  const size_t prepared = size_t{pages.limit()} * kPageBytes;
  const size_t used = pages.limit() - kFirstPage - pages.free_pages();
  const size_t ready = (used + pages.dirty_pages()) * kPageBytes;
  chunk_space_.Release(record.reservation, record.reservation.base, prepared, ready);
}

size_t PageHeap::Release(size_t pages) {
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
      count = TakeDirty(static_cast<uint32_t>(most), &record, &first);
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

uint32_t PageHeap::TakeDirty(uint32_t most, ChunkRecord** record, uint32_t* first) {
  for (uint32_t i = chunk_count_; i-- > 0;) {
    const uint32_t count = chunks_[i].chunk->pages.TakeDirty(most, first);
    if (count == 0) continue;
    *record = &chunks_[i];
    const size_t dirty = dirty_pages_.load(std::memory_order_relaxed) - count;
    dirty_pages_.store(dirty, std::memory_order_relaxed);
    return count;
  }
  return 0;
}

PageHeapStats PageHeap::stats() {
  os::MutexLock lock(mutex_);
  return {.chunks = chunk_count_,
          .small_span_bytes = used_bytes() - large_pages_ * kPageBytes,
          .large_bytes = large_pages_ * kPageBytes,
          .large_spans = large_spans_,
          .dirty_bytes = dirty_bytes(),
          .released_bytes = released_bytes_};
}

void PageHeap::CheckInvariants() {
  size_t used_pages = 0;
  ForEachSpan([&used_pages](const Span* span) {
    CheckSpan(span);
    used_pages += span->pages;
  });
  os::MutexLock lock(mutex_);
  size_t dirty_pages = 0;
  size_t taken_pages = 0;
  for (uint32_t i = 0; i < chunk_count_; ++i) {
    const ChunkPages& chunk_pages = chunks_[i].chunk->pages;
    chunk_pages.CheckInvariants();
    CHECK(table_.IsChunk(chunks_[i].chunk->base()));
    CHECK(i == 0 || chunks_[i - 1].chunk < chunks_[i].chunk);
    dirty_pages += chunk_pages.dirty_pages();
    taken_pages += chunk_pages.limit() - kFirstPage - chunk_pages.free_pages();
  }
  CHECK(dirty_pages == dirty_pages_.load(std::memory_order_relaxed));
  CHECK(used_pages == used_pages_.load(std::memory_order_relaxed));
  CHECK(used_pages == taken_pages);
}

void PageHeap::ReleaseChunks() {
  for (uint32_t i = 0; i < chunk_count_; ++i) ReleaseChunk(chunks_[i]);
  if (chunks_ != nullptr) space_.FreeMetadata(chunks_, chunk_capacity_ * sizeof(ChunkRecord));
  chunks_ = nullptr;
  chunk_count_ = 0;
  chunk_capacity_ = 0;
}

}  // namespace acre
