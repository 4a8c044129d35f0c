#include "allocator/heap/page_heap.h"

#include <cstddef>
#include <cstring>

#include "os/check.h"

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

size_t PageHeap::HeldPages() const {
  return used_pages_.load(std::memory_order_relaxed) + huge_pages_.load(std::memory_order_relaxed) +
         dirty_pages_.load(std::memory_order_relaxed);
}

// Free memory goes back where it would exceed the limit. So at the soft one; but where spans alone exceed that only as the heap grows:
// else what is freed is used again.
void PageHeap::KeepToLimit() {
  const size_t held = HeldPages();
  if (held > limit_pages_.load(std::memory_order_relaxed)) [[unlikely]] (void)ReleaseAll();
  const size_t soft_limit = soft_limit_pages_.load(std::memory_order_relaxed);
  if (held <= soft_limit) [[likely]] return;
  const bool has_grown = has_grown_.exchange(false, std::memory_order_relaxed);
  if (has_grown || held - dirty_pages_.load(std::memory_order_relaxed) <= soft_limit) KeepToSoftLimit();
}

void PageHeap::KeepToSoftLimit() {
  const size_t held = HeldPages();
  const size_t limit = soft_limit_pages_.load(std::memory_order_relaxed);
  if (held <= limit || dirty_pages_.load(std::memory_order_relaxed) == 0) return;
  (void)Release(held - limit < kLeastReleasePages ? kLeastReleasePages : held - limit, Spare::kNothing);
  (void)ReleaseEmptyChunks(1);
}

bool PageHeap::ChargeHuge(size_t bytes) {
  {
    os::MutexLock lock(mutex_);
    if (ExceedsLimit(bytes)) return false;
    huge_pages_.store(huge_pages_.load(std::memory_order_relaxed) + PagesFor(bytes), std::memory_order_relaxed);
    has_grown_.store(true, std::memory_order_relaxed);
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
  // What was given back is filled again as in a chunk that is new.
  if (!record.has_records && !record.wants_huge_pages && used_bytes() >= huge_page_threshold_) {
    record.wants_huge_pages = true;
    space_.AdviseHugePages(record.chunk->base(), kMarkingRecordBytes, true);
    space_.AdviseHugePages(record.chunk->PageAddress(kFirstPage), (chunk_pages.limit() - kFirstPage) * kPageBytes, true);
  }
  record.has_records = true;
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
    if (chunk_space_.Reserve(1, ChunkUse::kReserved, ChunkUse::kReserved, &reservation) != Status::kOk) return false;
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
  if (used_bytes() >= huge_page_threshold_) space_.AdviseHugePages(reservation.base, kMarkingRecordBytes, true);
  chunk->pages.Initialise(kFirstPage, kFirstPage);
  chunk_space_.EnterPages(reservation);
  uint32_t place = chunk_count_;
  for (; place > 0 && chunks_[place - 1].chunk > chunk; --place) chunks_[place] = chunks_[place - 1];
  chunks_[place] = {.chunk = chunk, .reservation = reservation, .wants_huge_pages = true, .has_records = true};
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
  if (scavenged == 0) return;
  space_.Use(0, size_t{scavenged} * kPageBytes);
  has_grown_.store(true, std::memory_order_relaxed);
}

void PageHeap::AccountFreed(uint32_t pages) {
  used_pages_.store(used_pages_.load(std::memory_order_relaxed) - pages, std::memory_order_relaxed);
  dirty_pages_.store(dirty_pages_.load(std::memory_order_relaxed) + pages, std::memory_order_relaxed);
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
    const uint32_t first = FirstPageOf(span);
    for (uint32_t page = first; page < first + span->pages; ++page) CHECK(ChunkOf(span)->pages.IsInUse(page));
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
  CHECK(used_pages + releasing_pages_ == taken_pages);
}

void PageHeap::ReleaseChunks() {
  for (uint32_t i = 0; i < chunk_count_; ++i) ReleaseChunk(chunks_[i]);
  if (chunks_ != nullptr) space_.FreeMetadata(chunks_, chunk_capacity_ * sizeof(ChunkRecord));
  chunks_ = nullptr;
  chunk_count_ = 0;
  chunk_capacity_ = 0;
}

}  // namespace acre
