#include "allocator/collect/large_pool.h"

#include <new>

#include "allocator/base/bits.h"
#include "allocator/base/racy.h"
#include "allocator/collect/mark_bits.h"
#include "allocator/heap/span_heap.h"
#include "arch/memory.h"
#include "os/check.h"

namespace acre {

void* LargePool::Allocate(Kind kind, size_t bytes, Birth birth, bool* is_zeroed, size_t* taken_bytes) {
  if (bytes > SpanHeap::kMaxLargeBytes) return AllocateHuge(kind, bytes, birth, is_zeroed, taken_bytes);
  // A marker that watches pages may look at once: what it traces by a function is cleared before it has its kind.
  const bool clears = birth == Birth::kWhite && FormOf(kind) == TraceForm::kFunction;
  Span* span;
  {
    // From the first on: a process that is forked off in between would have an object that is neither white nor on a list.
    os::MutexLock lock(mutex_);
    span = page_heap_.AllocateLarge(PagesFor(bytes), 1, clears ? kPlain : kind);
    if (span == nullptr) return nullptr;
    span->bucket = epoch_;
    if (birth == Birth::kWhite) RacyStore(*WhiteBitsOf(span), uint64_t{1});
    large_.Push(span);
  }
  *is_zeroed = clears || span->is_zeroed;
  *taken_bytes = BytesOf(span);
  if (clears) {
    if (!span->is_zeroed) arch::Clear(reinterpret_cast<void*>(BaseOf(span)), BytesOf(span));
    ChangeKind(span, kind);
  }
  return reinterpret_cast<void*>(BaseOf(span));
}

void* LargePool::AllocateHuge(Kind kind, size_t bytes, Birth birth, bool* is_zeroed, size_t* taken_bytes) {
  if (!page_heap_.ChargeHuge(bytes)) return nullptr;
  auto* huge = static_cast<Huge*>(metadata_.Allocate(sizeof(Huge)));
  void* object = huge == nullptr ? nullptr : huge_list_.Allocate(bytes, kChunkBytes);
  *is_zeroed = true;  // It is fresh from the OS.
  if (object == nullptr) {
    if (huge != nullptr) metadata_.Free(huge, sizeof(Huge));
    page_heap_.DischargeHuge(bytes);
    return nullptr;
  }
  const auto base = reinterpret_cast<uintptr_t>(object);
  *taken_bytes = huge_list_.Find(base).bytes;
  new (huge) Huge{.next = nullptr, .previous = nullptr, .base = base, .bytes = *taken_bytes, .kind = kind,
                  .is_marked = birth == Birth::kMarked, .is_reached = false, .next_grey = nullptr,
                  .is_watched = false};
  os::MutexLock lock(mutex_);
  if (huge->is_marked) {
    marked_huge_bytes_ += huge->bytes;
    ++marked_huge_objects_;
  }
  huge_.Push(huge);
  return object;
}

HugeObjects LargePool::huge_objects() { return {.context = this, .mark = &LargePool::Mark, .take = &LargePool::Take}; }

bool LargePool::Mark(void* self, uintptr_t word) {
  auto* pool = static_cast<LargePool*>(self);
  os::MutexLock lock(pool->mutex_);
  for (Huge* huge = pool->huge_.first(); huge != nullptr; huge = huge->next) {
    if (word - huge->base >= huge->bytes) continue;
    if (huge->is_marked) return false;
    huge->is_marked = true;
    pool->marked_huge_bytes_ += huge->bytes;
    ++pool->marked_huge_objects_;
    if (FormOf(huge->kind) == TraceForm::kNone) return false;
    huge->next_grey = pool->grey_;
    pool->grey_ = huge;
    return true;
  }
  return false;
}

bool LargePool::Take(void* self, uintptr_t* base, size_t* bytes, Kind* kind) {
  auto* pool = static_cast<LargePool*>(self);
  os::MutexLock lock(pool->mutex_);
  Huge* huge = pool->grey_;
  if (huge == nullptr) return false;
  pool->grey_ = huge->next_grey;
  *base = huge->base;
  *bytes = huge->bytes;
  *kind = huge->kind;
  return true;
}

LargePool::HugeView LargePool::FindHuge(uintptr_t word) {
  os::MutexLock lock(mutex_);
  for (const List<Huge>* list : {&huge_, &unswept_huge_}) {
    for (const Huge* huge = list->first(); huge != nullptr; huge = huge->next) {
      if (word - huge->base >= huge->bytes) continue;
      return {.base = huge->base,
              .bytes = huge->bytes,
              .kind = huge->kind,
              .is_dead = list == &unswept_huge_ && !huge->is_marked,
              .is_marked = huge->is_marked};
    }
  }
  return {};
}

bool LargePool::NextHuge(uintptr_t after, Huge* next) {
  os::MutexLock lock(mutex_);
  const Huge* nearest = nullptr;
  for (const Huge* huge = huge_.first(); huge != nullptr; huge = huge->next) {
    if (huge->base > after && (nearest == nullptr || huge->base < nearest->base)) nearest = huge;
  }
  if (nearest != nullptr) *next = *nearest;
  return nearest != nullptr;
}

void LargePool::SetWatched(uintptr_t base, bool is_watched) {
  os::MutexLock lock(mutex_);
  for (Huge* huge = huge_.first(); huge != nullptr; huge = huge->next) {
    if (huge->base == base) huge->is_watched = is_watched;
  }
}

void LargePool::ClearMarks() {
  os::MutexLock lock(mutex_);
  for (Huge* huge = huge_.first(); huge != nullptr; huge = huge->next) huge->is_marked = false;
  grey_ = nullptr;
  marked_huge_bytes_ = 0;
  marked_huge_objects_ = 0;
}

void LargePool::Whiten() {
  os::MutexLock lock(mutex_);
  for (const Span* span = large_.first(); span != nullptr; span = span->next) *WhiteBitsOf(span) = *AllocBitsOf(span);
}

void LargePool::BeginSweep() {
  os::MutexLock lock(mutex_);
  ASSERT(unswept_large_.is_empty() && unswept_huge_.is_empty() && unswept_dead_large_.is_empty());
  unswept_large_ = large_;
  unswept_huge_ = huge_;
  unswept_dead_large_ = dead_large_;
  dead_large_ = {};
  large_ = {};
  huge_ = {};
  ++epoch_;
}

void LargePool::FreeLarge(Span* span) {
  if (freed_ == Freed::kLeft) return page_heap_.Free(span);
  Clobber(BaseOf(span), BytesOf(span));
  ClearBits(AllocBitsOf(span), 0, 1);  // A word that points to it does not revive it.
  dead_large_.Push(span);
}

size_t LargePool::SweepSome(size_t most, size_t* freed_bytes) {
  size_t swept = 0;
  os::MutexLock lock(mutex_);
  for (Span* span; swept < most && (span = unswept_large_.Pop()) != nullptr; ++swept) {
    if ((*WhiteBitsOf(span) & 1) == 0) {
      span->bucket = epoch_;
      if (!keeps_marks_) {
        SetBits(WhiteBitsOf(span), 0, 1);
      } else if (!IsOld(span)) {
        SetOld(span, true);
      }
      large_.Push(span);
    } else {
      ClearBits(WhiteBitsOf(span), 0, 1);
      *freed_bytes += BytesOf(span);
      FreeLarge(span);
    }
  }
  for (Span* span; swept < most && (span = unswept_dead_large_.Pop()) != nullptr; ++swept) {
    CheckClobbered(BaseOf(span), BytesOf(span), BytesOf(span));
    page_heap_.Free(span);
  }
  for (Huge* huge; swept < most && (huge = unswept_huge_.Pop()) != nullptr; ++swept) {
    if (huge->is_marked) {
      huge_.Push(huge);
      continue;
    }
    *freed_bytes += huge->bytes;
    FreeHuge(huge);
  }
  return swept;
}

MarkCount LargePool::CountMarkedLarge() {
  os::MutexLock lock(mutex_);
  MarkCount count;
  for (const Span* span = large_.first(); span != nullptr; span = span->next) {
    if ((__atomic_load_n(WhiteBitsOf(span), __ATOMIC_RELAXED) & 1) != 0) continue;
    ++count.objects;
    count.bytes += BytesOf(span);
  }
  return count;
}

void LargePool::CheckInvariants() {
  os::MutexLock lock(mutex_);
  for (const Span* span = large_.first(); span != nullptr; span = span->next) {
    CHECK(span->bucket == epoch_ && *AllocBitsOf(span) == 1);
    CHECK(*WhiteBitsOf(span) == 1 || (*WhiteBitsOf(span) == 0 && keeps_marks_ && IsOld(span)));
  }
  for (const Span* span = dead_large_.first(); span != nullptr; span = span->next) {
    CHECK((*AllocBitsOf(span) & 1) == 0 && *WhiteBitsOf(span) == 0);
  }
}

void LargePool::FreeHuge(Huge* huge) {
  CHECK(huge_list_.Free(huge->base));
  page_heap_.DischargeHuge(huge->bytes);
  metadata_.Free(huge, sizeof(Huge));
}

FreeResult LargePool::LookAtLarge(uintptr_t object, Span** span) const {
  Span* found = SpanOfPage(ChunkOf(object), PageOf(object));
  if (found == nullptr || found->size_class != kLargeClass || BaseOf(found) != object) return FreeResult::kNotLive;
  if ((*AllocBitsOf(found) & 1) == 0) return FreeResult::kNotLive;
  *span = found;
  const bool is_swept = found->bucket == epoch_;
  return is_swept || (*WhiteBitsOf(found) & 1) == 0 ? FreeResult::kDone : FreeResult::kUnreachable;
}

FreeResult LargePool::Look(uintptr_t object, size_t* bytes) {
  os::MutexLock lock(mutex_);
  Span* span;
  const FreeResult result = LookAtLarge(object, &span);
  if (result == FreeResult::kDone) *bytes = BytesOf(span);
  return result;
}

FreeResult LargePool::Free(uintptr_t object, size_t* bytes) {
  os::MutexLock lock(mutex_);
  for (List<Huge>* list : {&huge_, &unswept_huge_}) {
    for (Huge* huge = list->first(); huge != nullptr; huge = huge->next) {
      if (huge->base != object) continue;
      if (list == &unswept_huge_ && !huge->is_marked) return FreeResult::kUnreachable;
      *bytes = huge->bytes;
      if (huge->is_marked && marked_huge_objects_ != 0) {
        marked_huge_bytes_ -= huge->bytes;
        --marked_huge_objects_;
      }
      list->Remove(huge);
      FreeHuge(huge);
      return FreeResult::kDone;
    }
  }
  if (!page_heap_.table().IsChunk(object)) return FreeResult::kNotLive;
  Span* span;
  if (const FreeResult result = LookAtLarge(object, &span); result != FreeResult::kDone) return result;
  *bytes = BytesOf(span);
  (span->bucket == epoch_ ? large_ : unswept_large_).Remove(span);
  ClearBits(WhiteBitsOf(span), 0, 1);
  FreeLarge(span);
  return FreeResult::kDone;
}

}  // namespace acre
