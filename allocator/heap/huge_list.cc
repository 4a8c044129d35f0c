#include "allocator/heap/huge_list.h"

#include <new>

#include "os/check.h"
#include "os/clock.h"
#include "os/memory_calls.h"

namespace acre {

void* HugeList::Allocate(size_t bytes, size_t alignment, bool* is_zeroed) {
  os::MutexLock lock(mutex_);
  HugeObject* object = TakeKept(bytes, alignment);
  *is_zeroed = object == nullptr;
  if (object == nullptr) object = Make(bytes, alignment, bytes);
  return object == nullptr ? nullptr : reinterpret_cast<void*>(object->base);
}

// The kept object as one of `bytes`, if it is large enough and not several times too large; else null.
HugeObject* HugeList::TakeKept(size_t bytes, size_t alignment) {
  HugeObject* object = kept_;
  if (object == nullptr || bytes > object->held_bytes || bytes < object->held_bytes / 4) return nullptr;
  if (object->base % alignment != 0) return nullptr;
  kept_ = nullptr;
  object->bytes = AlignUp(bytes, os::OsPageBytes());
  object->since_ns = os::CoarseMonotonicNs();
  SubtractSurplus(object->bytes);
  objects_.Push(object);
  ++stats_.objects;
  stats_.bytes += object->bytes;
  return object;
}

// A new object of `bytes`, in a reservation that has room for `room` bytes.
HugeObject* HugeList::Make(size_t bytes, size_t alignment, size_t room) {
  if (room > kMaxBytes || alignment > kMaxBytes) return nullptr;
  auto* object = static_cast<HugeObject*>(metadata_.Allocate(sizeof(HugeObject)));
  if (object == nullptr) return nullptr;
  new (object) HugeObject{};
  const size_t slack = alignment > kChunkBytes ? alignment : 0;
  const size_t chunks = (AlignUp(room, kChunkBytes) + slack) / kChunkBytes;
  const size_t rounded = AlignUp(bytes, os::OsPageBytes());
  for (;;) {
    if (chunk_space_.Reserve(chunks, ChunkUse::kHuge, ChunkUse::kHugeTail, &object->reservation) != Status::kOk) break;
    object->base = AlignUp(object->reservation.base, alignment);
    const Status status = Prepare(object->reservation, object->base, rounded);
    if (status == Status::kOk) {
      object->bytes = rounded;
      object->held_bytes = rounded;
      objects_.Push(object);
      ++stats_.objects;
      stats_.bytes += rounded;
      return object;
    }
    if (status != Status::kConflict) {
      chunk_space_.ReleaseUnused(object->reservation);
      break;
    }
    chunk_space_.Abandon(object->reservation);
  }
  metadata_.Free(object, sizeof(HugeObject));
  return nullptr;
}

// Makes a range ready, or leaves it as it was. Where a reservation is not mapped this goes chunk by chunk: on a kernel
// that ignores hints no more can be placed at a time; see MapAt.
Status HugeList::Prepare(const os::Reservation& reservation, uintptr_t base, size_t bytes) {
  const size_t step = reservation.is_mapped ? bytes : kChunkBytes;
  for (size_t done = 0; done < bytes;) {
    const size_t piece = bytes - done < step ? bytes - done : step;
    if (const Status status = space_.Prepare(reservation, base + done, piece, "acre: huge object"); status != Status::kOk) {
      // What cannot be undone stays mapped: address space that nobody will use.
      if (done != 0) static_cast<void>(space_.Fault(reservation, base, done));
      return status;
    }
    space_.Use(base + done, piece);
    done += piece;
  }
  return Status::kOk;
}

void HugeList::Unmake(HugeObject* object) {
  objects_.Remove(object);
  --stats_.objects;
  stats_.bytes -= object->bytes;
  SubtractSurplus(object->held_bytes - object->bytes);
  Destroy(object);
}

void HugeList::Destroy(HugeObject* object) {
  chunk_space_.Release(object->reservation, object->base, object->held_bytes, object->held_bytes);
  metadata_.Free(object, sizeof(HugeObject));
}

// The object has been freed; it stays if it is of the right size, unless a larger one does.
void HugeList::Keep(HugeObject* object) {
  const size_t bytes = object->held_bytes;
  if (bytes < kMinKeptBytes || bytes > kMaxKeptBytes || (kept_ != nullptr && kept_->held_bytes > bytes)) {
    Unmake(object);
    return;
  }
  DropKept();
  objects_.Remove(object);
  --stats_.objects;
  stats_.bytes -= object->bytes;
  AddSurplus(object->bytes);
  object->bytes = 0;
  object->since_ns = os::CoarseMonotonicNs();
  kept_ = object;
}

size_t HugeList::DropKept() {
  if (kept_ == nullptr) return 0;
  const size_t bytes = kept_->held_bytes;
  SubtractSurplus(bytes);
  Destroy(kept_);
  kept_ = nullptr;
  return bytes;
}

// False if the kernel has no mapping left to split with.
bool HugeList::DropSurplus(HugeObject* object) {
  const size_t surplus = object->held_bytes - object->bytes;
  if (surplus == 0) return true;
  if (space_.Fault(object->reservation, object->base + object->bytes, surplus) != Status::kOk) return false;
  object->held_bytes = object->bytes;
  SubtractSurplus(surplus);
  return true;
}

size_t HugeList::ReleaseIdle(uint64_t now_ns) {
  if (surplus_bytes() == 0) return 0;
  os::MutexLock lock(mutex_);
  const auto is_idle = [now_ns](const HugeObject* object) {
    // Callers read different clocks: time may seem to go back.
    return now_ns > object->since_ns && now_ns - object->since_ns >= os::kNsPerSecond;
  };
  size_t released = 0;
  if (kept_ != nullptr && is_idle(kept_)) released += DropKept();
  for (HugeObject* object = objects_.first(); object != nullptr; object = object->next) {
    const size_t surplus = object->held_bytes - object->bytes;
    if (surplus != 0 && is_idle(object) && DropSurplus(object)) released += surplus;
  }
  return released;
}

HugeObject* HugeList::FindLocked(uintptr_t address) {
  for (HugeObject* object = objects_.first(); object != nullptr; object = object->next) {
    if (address - object->base < object->bytes) return object;
  }
  return nullptr;
}

HugeObject HugeList::Find(uintptr_t address) {
  os::MutexLock lock(mutex_);
  const HugeObject* object = FindLocked(address);
  return object == nullptr ? HugeObject{} : *object;
}

bool HugeList::Free(uintptr_t address) {
  os::MutexLock lock(mutex_);
  HugeObject* object = FindLocked(address);
  if (object == nullptr || object->base != address) return false;
  Keep(object);
  return true;
}

void* HugeList::Resize(uintptr_t address, size_t bytes) {
  if (bytes > kMaxBytes) return nullptr;
  const size_t rounded = AlignUp(bytes, os::OsPageBytes());
  os::MutexLock lock(mutex_);
  HugeObject* object = FindLocked(address);
  ASSERT(object != nullptr);
  if (rounded <= object->held_bytes) {
    const bool shrinks = rounded < object->bytes;
    stats_.bytes = stats_.bytes - object->bytes + rounded;
    surplus_bytes_.store(surplus_bytes() + object->bytes - rounded, std::memory_order_relaxed);
    object->bytes = rounded;
    // What the program gives up goes back at once; where the kernel refuses that, it is surplus until it does not.
    if (shrinks) static_cast<void>(DropSurplus(object));
    return reinterpret_cast<void*>(object->base);
  }
  if (GrowInPlace(object, rounded)) return reinterpret_cast<void*>(object->base);
  // Twice the room, so that the next growth is in place.
  HugeObject* moved = Make(rounded, kChunkBytes, 2 * rounded);
  if (moved == nullptr) return nullptr;
  if (space_.MovePages(object->base, moved->base, object->bytes) != Status::kOk) {
    Unmake(moved);
    return nullptr;
  }
  space_.Use(object->base, object->bytes);  // It holds nothing now, but is released as what it was.
  Unmake(object);
  return reinterpret_cast<void*>(moved->base);
}

bool HugeList::GrowInPlace(HugeObject* object, size_t bytes) {
  // Each further chunk is a system call: what becomes much larger gets a new reservation at once.
  const size_t room = object->reservation.limit - object->base;
  if (bytes > room && bytes - room > object->reservation.bytes()) return false;
  while (object->reservation.limit - object->base < bytes) {
    if (chunk_space_.Extend(&object->reservation, ChunkUse::kHugeTail) != Status::kOk) return false;
  }
  const uintptr_t end = object->base + object->held_bytes;
  const size_t added = bytes - object->held_bytes;
  if (Prepare(object->reservation, end, added) != Status::kOk) return false;
  if (wants_huge_pages_) space_.AdviseHugePages(end, added, true);  // It is being filled as it grows.
  stats_.bytes += bytes - object->bytes;
  SubtractSurplus(object->held_bytes - object->bytes);
  object->bytes = bytes;
  object->held_bytes = bytes;
  return true;
}

size_t HugeList::ReleaseKept() {
  if (surplus_bytes() == 0) return 0;
  os::MutexLock lock(mutex_);
  return DropKept();
}

HugeStats HugeList::stats() {
  os::MutexLock lock(mutex_);
  HugeStats stats = stats_;
  stats.surplus_bytes = surplus_bytes();
  return stats;
}

void HugeList::ReleaseAll() {
  os::MutexLock lock(mutex_);
  while (!objects_.is_empty()) Unmake(objects_.first());
  DropKept();
}

}  // namespace acre
