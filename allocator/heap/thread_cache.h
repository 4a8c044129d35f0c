#pragma once

// A thread's own free slots: two magazines for each class.
//
// Allocating pops from the loaded magazine, freeing pushes onto it, whichever thread allocated the slot: a few loads and
// stores, no lock, no atomic operation. When the loaded one is used up (or full) it changes places with the previous
// one; when that does not help, a magazine is traded with the central list. So a thread that goes back and forth around a
// boundary does not trade at every step, and a trade happens at most once in a magazine's length.
//
// A magazine begins with 6 slots and doubles with each trade up to 254 slots or 128 KiB: a thread that allocates little
// holds little. While the depot refuses magazines (a wave of frees) it is halved, because each slot that stays in one when the wave
// is over may keep a page.
//
// The state byte of each slot (span/slot_state.h) is set here: live when it is popped, freed when it is pushed.
//
// Threads: the owner only; the counts may be read by others for statistics.

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "allocator/heap/central_list.h"
#include "allocator/heap/magazine.h"
#include "allocator/span/chunk.h"

namespace acre {

class ThreadCache {
 public:
  // A cache without room: every operation on it takes the slow path. What a thread has before its first allocation and
  // after its end.
  constexpr ThreadCache() = default;
  explicit ThreadCache(CentralList* central) : central_(central) {}
  ThreadCache(const ThreadCache&) = delete;
  ThreadCache& operator=(const ThreadCache&) = delete;

  // A slot of the class, or null when the loaded magazine is empty: then AllocateSlow.
  void* Allocate(SizeClass size_class) {
    Bin& bin = bins_[size_class];
    const uint32_t left = bin.count - 1;
    if (left == UINT32_MAX) [[unlikely]] return nullptr;
    void* slot = bin.slots[left];
    bin.count = left;
    const auto address = reinterpret_cast<uintptr_t>(slot);
    if (address == 0) __builtin_unreachable();  // So that no caller tests it.
    Chunk* chunk = ChunkOf(address);
    StateOf(chunk, chunk->page_refs[PageOf(address)], address).store(LiveState(address), std::memory_order_relaxed);
    return slot;
  }

  // Frees a slot. False if it is not a live slot of this heap or the loaded magazine is full; then nothing has changed.
  bool Free(const ChunkTable& table, void* slot) {
    const auto address = reinterpret_cast<uintptr_t>(slot);
    if (!table.IsChunk(address)) [[unlikely]] return false;
    Chunk* chunk = ChunkOf(address);
    const PageRef ref = chunk->page_refs[PageOf(address)];
    SlotState& state = StateOf(chunk, ref, address);
    if (state.load(std::memory_order_relaxed) != LiveState(address)) [[unlikely]] return false;
    if (address % kSlotAlignment != 0) [[unlikely]] return false;
    // A page without slots has class 0, whose bin is always full.
    Bin& bin = bins_[ref.size_class()];
    const uint32_t count = bin.count;
    if (count == bin.limit) [[unlikely]] return false;
    state.store(kFreed, std::memory_order_relaxed);
    bin.slots[count] = slot;
    bin.count = count + 1;
    return true;
  }

  bool is_open() const { return central_ != nullptr; }

  // Gets slots from elsewhere. Null when there is no memory.
  void* AllocateSlow(SizeClass size_class);

  // Makes room in the class's bin. False when there is no memory for it; then the slot goes to the central list.
  bool MakeRoom(SizeClass size_class);

  // Gives back what is in the magazines that are not loaded.
  void Trim();

  // Gives everything back; the cache is as new.
  void Flush();

  size_t CachedSlots(SizeClass size_class) const;

 private:
  struct Bin {
    void** slots = nullptr;
    uint32_t count = 0;  // Not atomic: compilers then spend five more instructions on it. Statistics read it as it is.
    uint32_t limit = 0;
  };
  void Load(SizeClass size_class, Magazine* magazine);
  Magazine* Unload(SizeClass size_class);
  bool SwapMagazines(SizeClass size_class);

  Bin bins_[kSizeClassCount];
  // By class, in arrays of their own so that a cache fits 2 KiB.
  Magazine* previous_magazines_[kSizeClassCount] = {};
  uint8_t refill_slots_[kSizeClassCount] = {};  // Of the last refill from span bits.
  uint8_t capacities_[kSizeClassCount] = {};    // Of the next magazine.
  CentralList* central_ = nullptr;              // By class.

 public:
  // On the heap's list of caches; guarded by its lock.
  ThreadCache* next = nullptr;
  ThreadCache* previous = nullptr;
};

}  // namespace acre
