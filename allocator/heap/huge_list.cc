#include "allocator/heap/huge_list.h"

#include <new>

#include "os/check.h"
#include "os/memory_calls.h"

namespace acre {

void* HugeList::Allocate(size_t bytes, size_t alignment) {
  os::MutexLock lock(mutex_);
  HugeObject* object = Make(bytes, alignment, bytes);
  return object == nullptr ? nullptr : reinterpret_cast<void*>(object->base);
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
  chunk_space_.Release(object->reservation, object->base, object->bytes, object->bytes);
  metadata_.Free(object, sizeof(HugeObject));
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
  Unmake(object);
  return true;
}

void* HugeList::Resize(uintptr_t address, size_t bytes) {
  if (bytes > kMaxBytes) return nullptr;
  const size_t rounded = AlignUp(bytes, os::OsPageBytes());
  os::MutexLock lock(mutex_);
  HugeObject* object = FindLocked(address);
  ASSERT(object != nullptr);
  if (rounded < object->bytes) {
    const size_t surplus = object->bytes - rounded;
    if (space_.Fault(object->reservation, object->base + rounded, surplus) == Status::kOk) {
      object->bytes = rounded;
      stats_.bytes -= surplus;
    }
    return reinterpret_cast<void*>(object->base);
  }
  if (rounded == object->bytes || GrowInPlace(object, rounded)) return reinterpret_cast<void*>(object->base);
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
  const uintptr_t end = object->base + object->bytes;
  const size_t added = bytes - object->bytes;
  if (Prepare(object->reservation, end, added) != Status::kOk) return false;
  if (wants_huge_pages_) space_.AdviseHugePages(end, added, true);  // It is being filled as it grows.
  object->bytes = bytes;
  stats_.bytes += added;
  return true;
}

HugeStats HugeList::stats() {
  os::MutexLock lock(mutex_);
  return stats_;
}

void HugeList::ReleaseAll() {
  os::MutexLock lock(mutex_);
  while (!objects_.is_empty()) Unmake(objects_.first());
}

}  // namespace acre
