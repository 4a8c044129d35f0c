#pragma once

// Address space in four states, with its accounting in one place.
//
//   none ──Reserve──▶ reserved ──Prepare──▶ prepared ──Use──▶ ready
//    ▲                   ▲  ◀──────Fault──────┴───────────────┤
//    └──────Release──────┴────────── (from any state)         │
//                           prepared ◀──────Unuse─────────────┘
//
// none      not ours.
// reserved  ours (if mapped; see below); an access faults; nothing is charged.
// prepared  readable and writable, holds no memory yet: reads see zeros.
// ready     in use: may hold memory.
//
// MapAt is the mapper. (1) It asks for the address as a hint only. (2) If the kernel answers with another address (some
// kernels ignore hints) and every os page of the wanted range is free, the stray mapping is removed and the range is
// mapped again at its address: with MAP_FIXED_NOREPLACE where the kernel has it (4.17; older ones take it for a hint,
// so that the result is compared once more), else with MAP_FIXED. (3) Otherwise the range is in conflict. Nothing that
// someone else mapped is ever replaced. "Free" is asked of mincore(2) one os page at a time: for a range ENOMEM says
// only that some page of it is unmapped. MAP_FIXED is used for at most one chunk (64 MiB) at a time.
//
// Under a finite limit on address space (RLIMIT_AS) a reservation is not mapped, since it would be charged: Reserve
// probes that 64 KiB can be mapped at the address, unmaps them, and leaves the verification to MapAt in Prepare.
//
// Threads: every function may be called by any thread; callers do not overlap on one range. Nothing here locks.
// Failure: a Status; on failure the state of the range is what it was. Counters are in bytes.

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "os/memory_calls.h"
#include "os/status.h"

namespace acre::os {

struct Reservation {
  uintptr_t base = 0;
  uintptr_t limit = 0;
  bool is_mapped = false;  // PROT_NONE mapping in place; else Prepare maps.

  size_t bytes() const { return limit - base; }
};

struct AddressSpaceStats {
  size_t reserved_bytes;  // Includes what is prepared and ready.
  size_t prepared_bytes;  // Includes what is ready.
  size_t ready_bytes;
  size_t metadata_bytes;  // From AllocateMetadata; counted in no other row.
};

class AddressSpace {
 public:
  // `limit_bytes`: RLIMIT_AS or SIZE_MAX where there is none (os/limits.h); decides whether reservations are mapped.
  AddressSpace(const MemoryCalls& calls, size_t limit_bytes);
  AddressSpace(const AddressSpace&) = delete;
  AddressSpace& operator=(const AddressSpace&) = delete;

  // none → reserved, exactly at `base`. kConflict: something is there; kRefused: the kernel takes no such address;
  // kOutOfMemory. base and bytes are multiples of the os page.
  Status Reserve(uintptr_t base, size_t bytes, Reservation* reservation);

  // none → reserved, wherever the kernel likes, aligned (power of two). Always mapped. Reserves bytes + alignment for a
  // moment; when even that is too much, tries aligned addresses near the kernel's own choice.
  Status ReserveAnywhere(size_t bytes, size_t alignment, Reservation* reservation);

  // reserved → prepared, for a part of a reservation. By mprotect if the reservation is mapped, else by MapAt
  // (kConflict possible). `name` appears in /proc/self/maps.
  Status Prepare(const Reservation& reservation, uintptr_t base, size_t bytes, const char* name);

  // prepared → ready. Only accounting on Linux.
  void Use(uintptr_t base, size_t bytes);

  // ready → prepared: gives the memory back to the kernel; reads see zeros again. False if the kernel refused
  // (locked pages), then the range is still ready.
  [[nodiscard]] bool Unuse(uintptr_t base, size_t bytes);

  // prepared, and written without having been counted as ready: as Unuse, but for the counting.
  [[nodiscard]] bool Discard(uintptr_t base, size_t bytes);

  // ready → reserved: accesses fault from now on, the memory goes back. In a reservation that is not mapped the range
  // is unmapped.
  Status Fault(const Reservation& reservation, uintptr_t base, size_t bytes);

  // any state → none. `prepared_bytes` and `ready_bytes` say how much of the range was in these states (ready counted
  // in prepared as well). REQUIRES, where the reservation is not mapped: all of it is prepared or nothing (Fault the
  // parts first), since what lies between the parts may be someone else's. If the kernel cannot unmap (no mappings
  // left for the pieces), the memory goes back and the range stays counted as reserved.
  void Release(const Reservation& reservation, size_t prepared_bytes, size_t ready_bytes);

  // none → ready at any address; for tables of our own. Null when there is no memory. Whole os pages, zeroed.
  [[nodiscard]] void* AllocateMetadata(size_t bytes, const char* name);
  void FreeMetadata(void* base, size_t bytes);

  // See the head of this file. Public for its tests.
  Status MapAt(uintptr_t base, size_t bytes, Access access);

  // Moves the pages of [from, from + bytes) to [to, to + bytes), both ready, not overlapping; the source then reads as
  // zeros (and is prepared). No copying. kNotSupported where the kernel cannot: then the source is as it was, the
  // destination is ready and its contents are undefined. Linux before 6.17 moves only what is one mapping: ranges
  // with one name and one advice on huge pages. mremap(2), MREMAP_DONTUNMAP (5.7).
  Status MovePages(uintptr_t from, uintptr_t to, size_t bytes);

  // Transparent huge pages for a prepared or ready range; a wish that may be ignored.
  void AdviseHugePages(uintptr_t base, size_t bytes, bool wanted);

  AddressSpaceStats stats() const;
  size_t limit_bytes() const { return limit_bytes_; }

 private:
  bool IsFree(uintptr_t base, size_t bytes) const;
  uintptr_t MapAligned(size_t bytes, size_t alignment);
  uintptr_t MapAlignedNear(uintptr_t address, size_t bytes, size_t alignment);

  const MemoryCalls& calls_;
  const size_t limit_bytes_;
  // Statistics: written by any thread, relaxed.
  std::atomic<size_t> reserved_bytes_{0};
  std::atomic<size_t> prepared_bytes_{0};
  std::atomic<size_t> ready_bytes_{0};
  std::atomic<size_t> metadata_bytes_{0};
};

}  // namespace acre::os
