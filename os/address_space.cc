// See the header for the states and for how MapAt works.
//
// What a failed call leaves behind is undone before a Status is returned. Undoing may itself be refused (unmapping a
// piece of a mapping needs a further record in the kernel, and their number is limited): a mapping of ours that cannot
// be removed is then left alone, untouched: it costs address space and nothing else.

#include "os/address_space.h"

#include <errno.h>

#include <bit>
#include <limits>

#include "os/check.h"

namespace acre::os {
namespace {

// MAP_FIXED after a check leaves a moment in which another thread could map there. One chunk at a time keeps it short,
// and keeps the check short as well: 16384 questions to the kernel, some milliseconds.
constexpr size_t kMostForcedBytes = size_t{64} * 1024 * 1024;

// What Reserve maps, and unmaps, to see whether an address is accepted.
constexpr size_t kProbeBytes = size_t{64} * 1024;

// How many aligned addresses near the kernel's own choice are tried, in each direction.
constexpr uintptr_t kNearbyTries = 8;

Status StatusOf(int error) {
  switch (error) {
    case 0: return Status::kOk;
    case EAGAIN:  // Would be locked, and too much is (RLIMIT_MEMLOCK under mlockall).
    case ENOMEM: return Status::kOutOfMemory;
    case EEXIST: return Status::kConflict;
    case ENOSYS: return Status::kNotSupported;
    default: return Status::kRefused;
  }
}

// The counters take release and acquire so that a race detector sees a range given up by one thread and taken again by
// another as handed over.
void Add(std::atomic<size_t>& counter, size_t bytes) { counter.fetch_add(bytes, std::memory_order_acq_rel); }

void Subtract(std::atomic<size_t>& counter, size_t bytes) {
  [[maybe_unused]] const size_t before = counter.fetch_sub(bytes, std::memory_order_acq_rel);
  ASSERT(before >= bytes);
}

[[maybe_unused]] bool IsOsPageMultiple(uintptr_t number) { return number % OsPageBytes() == 0; }

[[maybe_unused]] bool IsInside(const Reservation& reservation, uintptr_t base, size_t bytes) {
  return base >= reservation.base && base <= reservation.limit && bytes <= reservation.limit - base;
}

// SIZE_MAX rounded down if the sum would not fit: no kernel maps that.
size_t RoundUpToOsPages(size_t bytes) {
  const size_t mask = OsPageBytes() - 1;
  return bytes > std::numeric_limits<size_t>::max() - mask ? ~mask : (bytes + mask) & ~mask;
}

}  // namespace

AddressSpace::AddressSpace(const MemoryCalls& calls, size_t limit_bytes) : calls_(calls), limit_bytes_(limit_bytes) {}

bool AddressSpace::IsFree(uintptr_t base, size_t bytes) const {
  const size_t step = OsPageBytes();
  for (uintptr_t page = base; page < base + bytes; page += step) {
    // Anything but ENOMEM is not an answer to the question, so that the page counts as taken.
    if (calls_.query(calls_.context, page) != ENOMEM) return false;
  }
  return true;
}

Status AddressSpace::MapAt(uintptr_t base, size_t bytes, Access access) {
  ASSERT(IsOsPageMultiple(base));
  ASSERT(IsOsPageMultiple(bytes));
  ASSERT(bytes <= std::numeric_limits<uintptr_t>::max() - base);
  // (1) As a hint.
  const MapResult hinted = calls_.map(calls_.context, base, bytes, access, Placement::kHint);
  if (hinted.error != 0) return StatusOf(hinted.error);
  if (hinted.address == base) return Status::kOk;
  // (2) The stray mapping goes first, as it may overlap the wanted range.
  (void)calls_.unmap(calls_.context, hinted.address, bytes);
  const bool may_force = bytes <= kMostForcedBytes;
  if (may_force && !IsFree(base, bytes)) return Status::kConflict;
  const MapResult asked = calls_.map(calls_.context, base, bytes, access, Placement::kFixedNoReplace);
  if (asked.error == 0 && asked.address == base) return Status::kOk;
  if (asked.error == EEXIST) return Status::kConflict;
  // As many bytes were mapped elsewhere a moment ago: it is the address that is refused.
  if (asked.error == ENOMEM) return Status::kRefused;
  if (asked.error == 0) (void)calls_.unmap(calls_.context, asked.address, bytes);
  // The kernel does not know the flag, or something between it and us takes addresses away. What is free may have
  // changed meanwhile.
  if (!may_force) return Status::kRefused;
  if (!IsFree(base, bytes)) return Status::kConflict;
  const MapResult forced = calls_.map(calls_.context, base, bytes, access, Placement::kFixed);
  if (forced.error != 0) return Status::kRefused;
  CHECK(forced.address == base);
  return Status::kOk;
}

Status AddressSpace::Reserve(uintptr_t base, size_t bytes, Reservation* reservation) {
  const bool is_mapped = limit_bytes_ == std::numeric_limits<size_t>::max();
  if (is_mapped) {
    if (const Status status = MapAt(base, bytes, Access::kNone); status != Status::kOk) return status;
  } else {
    const size_t probe_bytes = bytes < kProbeBytes ? bytes : kProbeBytes;
    if (const Status status = MapAt(base, probe_bytes, Access::kNone); status != Status::kOk) return status;
    // A probe that cannot be removed would count against the limit and make a later Prepare fail: better to refuse.
    if (calls_.unmap(calls_.context, base, probe_bytes) != 0) return Status::kOutOfMemory;
  }
  *reservation = {base, base + bytes, is_mapped};
  Add(reserved_bytes_, bytes);
  return Status::kOk;
}

Status AddressSpace::ReserveAnywhere(size_t bytes, size_t alignment, Reservation* reservation) {
  ASSERT(IsOsPageMultiple(bytes));
  ASSERT(std::has_single_bit(alignment));
  // The kernel often puts one reservation right below the last: then its own choice is aligned already.
  const MapResult plain = calls_.map(calls_.context, 0, bytes, Access::kNone, Placement::kHint);
  if (plain.error != 0) return StatusOf(plain.error);
  uintptr_t base = plain.address;
  if ((base & (alignment - 1)) != 0) {
    (void)calls_.unmap(calls_.context, base, bytes);
    base = MapAligned(bytes, alignment);
    if (base == 0) base = MapAlignedNear(plain.address, bytes, alignment);
    if (base == 0) return Status::kOutOfMemory;
  }
  *reservation = {base, base + bytes, true};
  Add(reserved_bytes_, bytes);
  return Status::kOk;
}

// Maps more than is wanted and cuts off what is not aligned. 0 if the system refuses.
uintptr_t AddressSpace::MapAligned(size_t bytes, size_t alignment) {
  if (bytes > std::numeric_limits<size_t>::max() - alignment) return 0;
  const MapResult whole = calls_.map(calls_.context, 0, bytes + alignment, Access::kNone, Placement::kHint);
  if (whole.error != 0) return 0;
  const uintptr_t limit = whole.address + bytes + alignment;
  const uintptr_t base = (whole.address + alignment - 1) & ~(alignment - 1);
  const size_t head_bytes = base - whole.address;
  const size_t tail_bytes = limit - (base + bytes);
  bool is_cut = true;
  if (head_bytes != 0) is_cut = calls_.unmap(calls_.context, whole.address, head_bytes) == 0;
  if (is_cut && tail_bytes != 0) is_cut = calls_.unmap(calls_.context, base + bytes, tail_bytes) == 0;
  if (is_cut) return base;
  // The limit of mappings is reached; a whole mapping can still be removed, holes in it do not matter.
  (void)calls_.unmap(calls_.context, whole.address, bytes + alignment);
  return 0;
}

// Where twice the space is not to be had: aligned addresses around one that the kernel chose itself. 0 if all are taken.
uintptr_t AddressSpace::MapAlignedNear(uintptr_t address, size_t bytes, size_t alignment) {
  const uintptr_t below = address & ~(alignment - 1);
  for (uintptr_t step = 0; step < kNearbyTries; ++step) {
    // Downwards first: Linux fills its mapping area from the top, so that there is room below its choice.
    const uintptr_t distance = step * alignment;
    if (below > distance && MapAt(below - distance, bytes, Access::kNone) == Status::kOk) return below - distance;
    const uintptr_t above = below + distance + alignment;
    if (above < below || bytes > std::numeric_limits<uintptr_t>::max() - above) continue;
    if (MapAt(above, bytes, Access::kNone) == Status::kOk) return above;
  }
  return 0;
}

Status AddressSpace::Prepare(const Reservation& reservation, uintptr_t base, size_t bytes, const char* name) {
  ASSERT(IsInside(reservation, base, bytes));
  if (reservation.is_mapped) {
    // Never a new mapping over the reservation: it would drop out of what the collector watches.
    if (const int error = calls_.protect(calls_.context, base, bytes, Access::kReadWrite); error != 0) {
      // The call may have come halfway.
      (void)calls_.protect(calls_.context, base, bytes, Access::kNone);
      return StatusOf(error);
    }
  } else if (const Status status = MapAt(base, bytes, Access::kReadWrite); status != Status::kOk) {
    return status;
  }
  calls_.name(calls_.context, base, bytes, name);
  Add(prepared_bytes_, bytes);
  return Status::kOk;
}

void AddressSpace::Use([[maybe_unused]] uintptr_t base, size_t bytes) {
  ASSERT(IsOsPageMultiple(base));
  ASSERT(IsOsPageMultiple(bytes));
  Add(ready_bytes_, bytes);
}

bool AddressSpace::Unuse(uintptr_t base, size_t bytes) {
  if (!Discard(base, bytes)) return false;
  Subtract(ready_bytes_, bytes);
  return true;
}

bool AddressSpace::Discard(uintptr_t base, size_t bytes) {
  ASSERT(IsOsPageMultiple(base));
  return calls_.advise(calls_.context, base, bytes, Advice::kDiscard) == 0;
}

Status AddressSpace::Fault(const Reservation& reservation, uintptr_t base, size_t bytes) {
  ASSERT(IsInside(reservation, base, bytes));
  if (reservation.is_mapped) {
    // Access goes first: a stray write after the contents have gone would leave memory that does not read as zeros
    // when it is prepared again.
    if (const int error = calls_.protect(calls_.context, base, bytes, Access::kNone); error != 0) {
      (void)calls_.protect(calls_.context, base, bytes, Access::kReadWrite);
      return StatusOf(error);
    }
    if (const int error = calls_.advise(calls_.context, base, bytes, Advice::kDiscard); error != 0) {
      // Neither ready nor given back is no state that a caller could go on with.
      if (calls_.protect(calls_.context, base, bytes, Access::kReadWrite) != 0) {
        Fatal("memory at ", Hex{base}, " could be neither given back nor made accessible again, error ", error);
      }
      return StatusOf(error);
    }
  } else if (const int error = calls_.unmap(calls_.context, base, bytes); error != 0) {
    return StatusOf(error);
  }
  Subtract(ready_bytes_, bytes);
  Subtract(prepared_bytes_, bytes);
  return Status::kOk;
}

void AddressSpace::Release(const Reservation& reservation, size_t prepared_bytes, size_t ready_bytes) {
  const size_t bytes = reservation.bytes();
  ASSERT(ready_bytes <= prepared_bytes);
  ASSERT(prepared_bytes <= bytes);
  // Of an unmapped reservation only the prepared part is ours; others may have mapped in the rest.
  if (!reservation.is_mapped) CHECK(prepared_bytes == 0 || prepared_bytes == bytes);
  Subtract(ready_bytes_, ready_bytes);
  Subtract(prepared_bytes_, prepared_bytes);
  if (reservation.is_mapped || prepared_bytes != 0) {
    if (calls_.unmap(calls_.context, reservation.base, bytes) != 0) {
      // No mappings are left for the pieces. The memory goes back; the range stays ours, and counted.
      (void)calls_.advise(calls_.context, reservation.base, bytes, Advice::kDiscard);
      return;
    }
  }
  Subtract(reserved_bytes_, bytes);
}

void* AddressSpace::AllocateMetadata(size_t bytes, const char* name) {
  bytes = RoundUpToOsPages(bytes);
  const MapResult result = calls_.map(calls_.context, 0, bytes, Access::kReadWrite, Placement::kHint);
  if (result.error != 0) return nullptr;
  calls_.name(calls_.context, result.address, bytes, name);
  Add(metadata_bytes_, bytes);
  return reinterpret_cast<void*>(result.address);
}

void AddressSpace::FreeMetadata(void* base, size_t bytes) {
  bytes = RoundUpToOsPages(bytes);
  const uintptr_t address = reinterpret_cast<uintptr_t>(base);
  if (calls_.unmap(calls_.context, address, bytes) != 0) {
    (void)calls_.advise(calls_.context, address, bytes, Advice::kDiscard);
    return;  // Still ours, and counted; see Release.
  }
  Subtract(metadata_bytes_, bytes);
}

Status AddressSpace::MovePages(uintptr_t from, uintptr_t to, size_t bytes) {
  ASSERT(from + bytes <= to || to + bytes <= from);
  const MapResult moved = calls_.remap(calls_.context, from, bytes, bytes, to);
  if (moved.error == 0) {
    CHECK(moved.address == to);
    Subtract(ready_bytes_, bytes);
    return Status::kOk;
  }
  // Linux unmaps the destination before it finds some of its reasons to refuse (the source consists of several
  // mappings, the limit on address space is reached). The hole must be closed again, and it must be ours: if someone
  // has mapped there in this moment, memory in use by the heap is lost.
  if (!IsFree(to, OsPageBytes())) return Status::kNotSupported;
  const MapResult closed = calls_.map(calls_.context, to, bytes, Access::kReadWrite, Placement::kFixedNoReplace);
  if (closed.error != 0 || closed.address != to) Fatal("memory at ", Hex{to}, " was lost in mremap, error ", moved.error);
  return Status::kNotSupported;
}

void AddressSpace::AdviseHugePages(uintptr_t base, size_t bytes, bool wanted) {
  (void)calls_.advise(calls_.context, base, bytes, wanted ? Advice::kHugePages : Advice::kNoHugePages);
}

AddressSpaceStats AddressSpace::stats() const {
  return {reserved_bytes_.load(std::memory_order_relaxed), prepared_bytes_.load(std::memory_order_relaxed),
          ready_bytes_.load(std::memory_order_relaxed), metadata_bytes_.load(std::memory_order_relaxed)};
}

}  // namespace acre::os
