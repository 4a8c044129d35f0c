#include "allocator/heap/chunk_space.h"

#include "os/check.h"

namespace acre {

Status ChunkSpace::Reserve(size_t chunks, ChunkUse first, ChunkUse rest, os::Reservation* reservation) {
  const size_t bytes = chunks * kChunkBytes;
  os::MutexLock lock(mutex_);
  Status status = Status::kRefused;
  if (refusals_ < kMaxRefusals) status = ReserveAtHints(bytes, reservation);
  if (status == Status::kRefused || status == Status::kConflict) {
    status = space_.ReserveAnywhere(bytes, kChunkBytes, reservation);
    if (status == Status::kOk && (reservation->limit - 1) >> kAddressBits != 0) {
      space_.Release(*reservation, 0, 0);
      status = Status::kRefused;
    }
  }
  if (status == Status::kOk) Enter(*reservation, first, rest);
  return status;
}

Status ChunkSpace::ReserveAtHints(size_t bytes, os::Reservation* reservation) {
  uint32_t conflicts = 0;
  uintptr_t base = hint_;
  while (refusals_ < kMaxRefusals && conflicts < kMaxConflicts) {
    if (base + bytes > kHintLimit) return Status::kConflict;
    if (IsTaken(base, bytes)) {
      base += kChunkBytes;
      continue;
    }
    const Status status = space_.Reserve(base, bytes, reservation);
    if (status == Status::kOk) {
      if (base == hint_) hint_ = base + bytes;
      return status;
    }
    if (status == Status::kConflict) {
      // Not asked again; a single chunk's place says nothing of what a longer range needs further on.
      if (base == hint_) hint_ = base + kChunkBytes;
      ++conflicts;
      base += kChunkBytes;
    } else if (status == Status::kRefused) {
      ++refusals_;
      base += uintptr_t{1} << 40;
    } else {
      return status;
    }
  }
  return Status::kRefused;
}

Status ChunkSpace::Extend(os::Reservation* reservation, ChunkUse use) {
  os::MutexLock lock(mutex_);
  if (reservation->limit + kChunkBytes > kHintLimit) return Status::kRefused;
  if (IsTaken(reservation->limit, kChunkBytes)) return Status::kConflict;
  os::Reservation next;
  if (Status status = space_.Reserve(reservation->limit, kChunkBytes, &next); status != Status::kOk) return status;
  if (next.is_mapped != reservation->is_mapped) {
    space_.Release(next, 0, 0);
    return Status::kConflict;
  }
  Enter(next, use, use);
  reservation->limit = next.limit;
  return Status::kOk;
}

void ChunkSpace::EnterPages(const os::Reservation& reservation) {
  os::MutexLock lock(mutex_);
  Enter(reservation, ChunkUse::kPages, ChunkUse::kPages);
}

void ChunkSpace::Release(const os::Reservation& reservation, uintptr_t prepared_base, size_t prepared_bytes,
                         size_t ready_bytes) {
  os::MutexLock lock(mutex_);
  Enter(reservation, ChunkUse::kNone, ChunkUse::kNone);
  if (!reservation.is_mapped && prepared_bytes != 0) {
    // What lies around the prepared part may be someone else's: that part goes first, counted as if all were ready.
    space_.Use(prepared_base, prepared_bytes - ready_bytes);
    ready_bytes = prepared_bytes;
    if (space_.Fault(reservation, prepared_base, prepared_bytes) == Status::kOk) {
      prepared_bytes = 0;
      ready_bytes = 0;
    } else {
      return;  // No mappings left to split it with: the memory is lost, which is all that can be done.
    }
  }
  space_.Release(reservation, prepared_bytes, ready_bytes);
  if (reservation.base >= kFirstHint && reservation.base < hint_) hint_ = reservation.base;
}

void ChunkSpace::Abandon(const os::Reservation& reservation) {
  ReleaseUnused(reservation);
  os::MutexLock lock(mutex_);
  if (hint_ < reservation.limit) hint_ = reservation.limit;
}

bool ChunkSpace::IsTaken(uintptr_t base, size_t bytes) const {
  for (uintptr_t chunk = base; chunk < base + bytes; chunk += kChunkBytes) {
    if (table_.Use(chunk) != ChunkUse::kNone) return true;
  }
  return false;
}

void ChunkSpace::Enter(const os::Reservation& reservation, ChunkUse first, ChunkUse rest) {
  for (uintptr_t chunk = reservation.base; chunk < reservation.limit; chunk += kChunkBytes) {
    table_.Set(chunk, chunk == reservation.base ? first : rest);
  }
}

}  // namespace acre
