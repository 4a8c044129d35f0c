#pragma once

// A thread's own free slots: two magazines for each class.
//
// Allocating pops from the loaded magazine, freeing pushes onto it, whichever thread allocated the slot: a few loads and
// stores, no lock, no atomic operation. When the loaded one is used up (or full) it changes places with the previous
// one; when that does not help, a magazine is traded with the central list. So a thread that goes back and forth around a
// boundary does not trade at every step, and a trade happens at most once in a magazine's length.
//
// A magazine begins with 5 slots and doubles with each trade up to 253 slots or 128 KiB: a thread that allocates little
// holds little. While the depot refuses magazines (a wave of frees) it is halved, because each slot that stays in one when the wave
// is over may keep a page.
//
// The state byte of each slot (span/slot_state.h) is set here: live when it is popped, freed when it is pushed.
//
// Threads: the owner only; the counts may be read by others for statistics.

#include <bit>
#include <cstddef>
#include <cstdint>

#include "allocator/base/racy.h"
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
  void* Allocate(ClassOffset size_class) {
    Bin& bin = BinAt(size_class);
    const uintptr_t top = bin.top;
    void* slot = EntryBelow(top);
    if (slot == nullptr) [[unlikely]] return nullptr;
    bin.top = top - sizeof(void*);
    const auto address = reinterpret_cast<uintptr_t>(slot);
    RacyStore(PageRefOf(address).State(address), LiveState(address));
    return slot;
  }
  void* Allocate(SizeClass size_class) { return Allocate(OffsetOf(size_class)); }

  // Frees a slot. False if it is not a live slot of this heap or the loaded magazine is full; then nothing has changed.
  bool Free(const ChunkTable& table, void* slot) {
    const auto address = reinterpret_cast<uintptr_t>(slot);
    // Turned so that a misaligned address is as far out of the table as one that no process can have.
    const uintptr_t turned = std::rotr(address, kSlotAlignmentShift);
    if (!table.IsChunkAt(turned >> (kChunkShift - kSlotAlignmentShift))) [[unlikely]] return false;
    const PageRef ref = PageRefOf(address);
    // A page without slots has class 0, whose bin is always full; its states must not be asked for.
    Bin& bin = BinAt(ref.class_offset());
    const uintptr_t top = bin.top;
    if (top == bin.limit) [[unlikely]] return false;
    SlotState& state = ref.State(address);
    if (RacyLoad(state) != LiveStateOf(turned)) [[unlikely]] return false;
    RacyStore(state, kFreed);
    EntryAt(top) = slot;
    bin.top = top + sizeof(void*);
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
  // Addresses in the loaded magazine, less that of bins_: so a cache of zeros is one in which every bin is empty (the word
  // below bins_ is null, like the one below a magazine's slots) and full, and takes no relocations.
  struct Bin {
    uintptr_t top = 0;    // Behind the last slot. Plain: statistics read it as it is.
    uintptr_t limit = 0;  // Behind the last entry that may be used; 0: no magazine is loaded.
  };
  static_assert(sizeof(Bin) == OffsetOf(1).bytes);

  Bin& BinAt(ClassOffset size_class) {
    return *reinterpret_cast<Bin*>(reinterpret_cast<char*>(bins_) + size_class.bytes);
  }
  void*& EntryAt(uintptr_t place) { return *reinterpret_cast<void**>(reinterpret_cast<uintptr_t>(bins_) + place); }
  void* EntryBelow(uintptr_t place) { return EntryAt(place - sizeof(void*)); }
  uintptr_t PlaceOf(void** entry) const {
    return reinterpret_cast<uintptr_t>(entry) - reinterpret_cast<uintptr_t>(bins_);
  }
  void Load(SizeClass size_class, Magazine* magazine);
  Magazine* Unload(SizeClass size_class);
  bool SwapMagazines(SizeClass size_class);

  [[maybe_unused]] void* const end_of_slots_ = nullptr;  // Read as the word below bins_.
  Bin bins_[kSizeClassCount];
  // By class, in arrays of their own so that a cache fits 2 KiB.
  Magazine* previous_magazines_[kSizeClassCount] = {};
  uint8_t refill_slots_[kSizeClassCount] = {};  // Of the last refill from span bits.
  uint8_t capacities_[kSizeClassCount] = {};    // Of the next magazine.
  uint8_t rooms_[kSizeClassCount] = {};         // Entries of the loaded magazine that may be used.
  CentralList* central_ = nullptr;              // By class.

 public:
  // On the heap's list of caches; guarded by its lock.
  ThreadCache* next = nullptr;
  ThreadCache* previous = nullptr;
};

static_assert(sizeof(ThreadCache) <= 2 * kKiB);

}  // namespace acre
