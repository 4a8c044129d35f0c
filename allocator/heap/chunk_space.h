#pragma once

// Where chunks come from: ranges of address space at multiples of 64 MiB.
//
// Hints begin at 0x00c0 << 32 and go up, as Go's do: heap addresses are recognisable, stay together, and their bytes
// rarely look like other data. A range that is occupied is skipped. Where the kernel refuses such addresses (user-mode
// Linux, sanitizers), after four refusals the kernel chooses.
//
// Threads: the caller holds the page heap's or the huge list's lock; one at a time through mutex_. Cost: system calls.

#include <cstddef>
#include <cstdint>

#include "allocator/base/lock_rank.h"
#include "allocator/base/units.h"
#include "allocator/span/chunk_table.h"
#include "os/address_space.h"
#include "os/mutex.h"

// Under a sanitizer with shadow memory: GCC's names for it, and clang's.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ACRE_HAS_SHADOW 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define ACRE_HAS_SHADOW 1
#endif
#endif

namespace acre {

class ChunkSpace {
 public:
  constexpr ChunkSpace(os::AddressSpace& space, ChunkTable& table) : space_(space), table_(table) {}
  ChunkSpace(const ChunkSpace&) = delete;
  ChunkSpace& operator=(const ChunkSpace&) = delete;

  // Reserves `chunks` chunks side by side and enters them in the table.
  Status Reserve(size_t chunks, ChunkUse first, ChunkUse rest, os::Reservation* reservation);

  // A reservation that was entered as kReserved has become chunks of pages.
  void EnterPages(const os::Reservation& reservation);

  // Reserves the chunk right behind a reservation, which grows by it. kConflict if it is taken.
  Status Extend(os::Reservation* reservation, ChunkUse use);

  // The bytes from `prepared_base` on were prepared, `ready_bytes` of them ready.
  void Release(const os::Reservation& reservation, uintptr_t prepared_base, size_t prepared_bytes, size_t ready_bytes);
  void ReleaseUnused(const os::Reservation& reservation) { Release(reservation, reservation.base, 0, 0); }

  // Gives up a reservation that turned out to be someone else's; it is not tried again.
  void Abandon(const os::Reservation& reservation);

  os::Mutex& mutex() { return mutex_; }

 private:
  static constexpr uintptr_t kFirstHint = uintptr_t{0x00c0} << 32;
  static constexpr uintptr_t kHintLimit = uintptr_t{0x7e00} << 32;
  static constexpr uint32_t kMaxRefusals = 4;
  static constexpr uint32_t kMaxConflicts = 128;

  Status ReserveAtHints(size_t bytes, os::Reservation* reservation);
  bool IsTaken(uintptr_t base, size_t bytes) const;
  void Enter(const os::Reservation& reservation, ChunkUse first, ChunkUse rest);

  os::AddressSpace& space_;
  ChunkTable& table_;
  os::Mutex mutex_{kChunkSpaceRank};
  uintptr_t hint_ = kFirstHint;  // Guarded by mutex_. Chunks below are ours, or were in conflict.
#if defined(ACRE_HAS_SHADOW)
  uint32_t refusals_ = kMaxRefusals;  // Their shadow memory lies there.
#else
  uint32_t refusals_ = 0;  // Guarded by mutex_.
#endif
};

}  // namespace acre
