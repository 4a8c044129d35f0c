#pragma once

// Which chunks of the address space are a heap's: one byte for each 64 MiB of it, 2 MiB of address space of which one os
// page covers 256 GiB. The byte is read by free for every address and by marking for every word.
//
// Written under the page heap's or the huge list's lock when a chunk comes or goes; read by anyone without a lock. An
// address that a thread may use at all was given to it after the byte was written. Marking looks up words that nobody
// gave to it: so a chunk is called one of pages only when its records can be read.

#include <cstddef>
#include <cstdint>

#include "allocator/base/racy.h"
#include "allocator/base/units.h"

namespace acre {

enum class ChunkUse : uint8_t {
  kNone,      // Not ours.
  kPages,     // A chunk of pages: span/chunk.h.
  kHuge,      // The first chunk of a huge object: heap/huge_list.h.
  kHugeTail,  // A further chunk of one.
  kReserved,  // To be a chunk of pages, whose records cannot be read yet.
};

constexpr bool IsHuge(ChunkUse use) { return use == ChunkUse::kHuge || use == ChunkUse::kHugeTail; }

class ChunkTable {
 public:
  static constexpr size_t kEntries = size_t{1} << (kAddressBits - kChunkShift);

  ChunkUse Use(uintptr_t address) const { return UseAt(address >> kChunkShift); }
  bool IsChunk(uintptr_t address) const { return IsChunkAt(address >> kChunkShift); }

  // The same for the chunk of this number, which may be anything.
  ChunkUse UseAt(uintptr_t number) const {
    if (number >= kEntries) [[unlikely]] return ChunkUse::kNone;
    return static_cast<ChunkUse>(RacyLoad(uses_[number]));
  }
  bool IsChunkAt(uintptr_t number) const { return UseAt(number) == ChunkUse::kPages; }

  // The same for an address that is known to lie in [base(), limit()).
  ChunkUse UseWithin(uintptr_t address) const { return static_cast<ChunkUse>(RacyLoad(uses_[address >> kChunkShift])); }

  // One at a time: the chunk space's lock.
  void Set(uintptr_t base, ChunkUse use) {
    if (use != ChunkUse::kNone) {
      if (~base > from_top_) __atomic_store_n(&from_top_, ~base, __ATOMIC_RELAXED);
      if (base + kChunkBytes > limit_) __atomic_store_n(&limit_, base + kChunkBytes, __ATOMIC_RELAXED);
    }
    __atomic_store_n(&uses_[base >> kChunkShift], static_cast<uint8_t>(use), __ATOMIC_RELEASE);
  }

  // Every chunk that ever was a heap's lies in [base, limit); both are 0 where there was none.
  uintptr_t base() const { return limit() == 0 ? 0 : ~__atomic_load_n(&from_top_, __ATOMIC_RELAXED); }
  uintptr_t limit() const { return __atomic_load_n(&limit_, __ATOMIC_RELAXED); }

  // Whether all of [base, limit) is chunks of pages. It stays so until a chunk is released.
  bool HasOnlyPages(uintptr_t base, uintptr_t limit) const {
    for (uintptr_t chunk = base; chunk < limit; chunk += kChunkBytes) {
      if (!IsChunk(chunk)) return false;
    }
    return true;
  }

  // Calls visit(base, use) for each chunk, by ascending address.
  template <class Visit>
  void ForEach(Visit visit) const {
    for (uintptr_t chunk = base(); chunk < limit(); chunk += kChunkBytes) {
      if (const ChunkUse use = Use(chunk); use != ChunkUse::kNone) visit(chunk, use);
    }
  }

 private:
  // No initialiser: a table lies in static or freshly mapped memory, which is zero, and must not be touched to be made.
  uint8_t uses_[kEntries];
  uintptr_t from_top_;  // ~base of the lowest chunk there ever was, so that zero is right at the beginning.
  uintptr_t limit_;
};

}  // namespace acre
