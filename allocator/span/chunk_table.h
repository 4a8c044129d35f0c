#pragma once

// Which chunks of the address space are a heap's: one byte for each 64 MiB of it, 2 MiB of address space of which one os
// page covers 256 GiB. The byte is read by free for every address and by marking for every word.
//
// Written under the page heap's or the huge list's lock when a chunk comes or goes; read by anyone without a lock. An
// address that a thread may use at all was given to it after the byte was written.

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
};

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

  void Set(uintptr_t base, ChunkUse use) {
    __atomic_store_n(&uses_[base >> kChunkShift], static_cast<uint8_t>(use), __ATOMIC_RELEASE);
  }

 private:
  // No initialiser: a table lies in static or freshly mapped memory, which is zero, and must not be touched to be made.
  uint8_t uses_[kEntries];
};

}  // namespace acre
