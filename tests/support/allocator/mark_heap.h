#pragma once

// Objects of any kind and size in real spans, without mutators and caches: what marking is tested and measured on.

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "allocator/base/bits.h"
#include "allocator/collect/kind.h"
#include "allocator/heap/chunk_space.h"
#include "allocator/heap/page_heap.h"
#include "os/address_space.h"
#include "os/memory_calls.h"

namespace acre::testing {

class MarkHeap {
 public:
  explicit MarkHeap(const os::MemoryCalls& calls = os::KernelMemoryCalls())
      : space_(calls, std::numeric_limits<size_t>::max()) {}
  ~MarkHeap() { page_heap_.ReleaseChunks(); }
  MarkHeap(const MarkHeap&) = delete;
  MarkHeap& operator=(const MarkHeap&) = delete;

  // An object, zeroed where its memory is fresh; slots of one class and kind follow each other. 0: no memory.
  uintptr_t Allocate(Kind kind, size_t bytes) {
    if (bytes > kMaxSmallBytes) {
      Span* span = page_heap_.AllocateLarge(PagesFor(bytes), 1, kind);
      return span == nullptr ? 0 : BaseOf(span);
    }
    const SizeClass size_class = ClassForSize(bytes);
    Cursor& cursor = cursors_[std::pair(size_class, kind)];
    if (cursor.span == nullptr || cursor.slot == kSizeClasses[size_class].slots) {
      cursor = {page_heap_.AllocateSmall(size_class, kind), 0};
      if (cursor.span == nullptr) return 0;
      cursor.span->free_slots = 0;
    }
    SetBits(AllocBitsOf(cursor.span), cursor.slot, 1);
    return BaseOf(cursor.span) + size_t{cursor.slot++} * kSizeClasses[size_class].slot_bytes;
  }

  // The slot is free then; its memory stays as it is.
  void Free(uintptr_t object) {
    const Slot slot = FindSlot(*table_, object);
    ClearBits(AllocBitsOf(slot.span), slot.index, 1);
  }

  bool IsMarked(uintptr_t object) const {
    const Slot slot = FindSlot(*table_, object);
    return TestBit(AllocBitsOf(slot.span), slot.index) && !TestBit(WhiteBitsOf(slot.span), slot.index);
  }

  os::AddressSpace& space() { return space_; }
  ChunkTable& table() { return *table_; }
  PageHeap& page_heap() { return page_heap_; }

 private:
  struct Cursor {
    Span* span = nullptr;
    uint32_t slot = 0;
  };

  os::AddressSpace space_;
  std::unique_ptr<ChunkTable> table_ = std::make_unique<ChunkTable>();
  ChunkSpace chunk_space_{space_, *table_};
  PageHeap page_heap_{space_, chunk_space_, *table_};
  std::map<std::pair<SizeClass, Kind>, Cursor> cursors_;
};

inline uint64_t* WordsOf(uintptr_t object) { return reinterpret_cast<uint64_t*>(object); }

}  // namespace acre::testing
