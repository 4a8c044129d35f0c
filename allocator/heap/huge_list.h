#pragma once

// Objects that do not fit a chunk of pages: each has chunks of its own.
//
// Address space is plentiful (47 bits), memory is not: such an object is reserved with room to grow and made accessible
// only as far as it reaches, so that realloc extends it in place, and moves it, when it must, by moving its pages instead
// of copying them (mremap(2)). There are few such objects, each of tens of megabytes, so a list is searched.
//
// Threads: any; one lock, held during the system calls. Cost: system calls, and the kernel's for supplying the memory.

#include <cstddef>
#include <cstdint>

#include "allocator/base/list.h"
#include "allocator/base/lock_rank.h"
#include "allocator/base/metadata.h"
#include "allocator/heap/chunk_space.h"
#include "os/address_space.h"
#include "os/mutex.h"

namespace acre {

struct HugeObject {
  HugeObject* next;
  HugeObject* previous;
  os::Reservation reservation;
  uintptr_t base;  // Of the object: the reservation's, or above it for an alignment.
  size_t bytes;    // Accessible, whole os pages.
};

struct HugeStats {
  size_t objects;
  size_t bytes;
};

class HugeList {
 public:
  constexpr HugeList(os::AddressSpace& space, ChunkSpace& chunk_space, Metadata& metadata)
      : space_(space), chunk_space_(chunk_space), metadata_(metadata) {}
  HugeList(const HugeList&) = delete;
  HugeList& operator=(const HugeList&) = delete;

  // Whether objects that grow ask for huge pages.
  void set_wants_huge_pages(bool wants) { wants_huge_pages_ = wants; }

  // Zeroed memory aligned to `alignment` (a power of two). Null when there is none.
  [[nodiscard]] void* Allocate(size_t bytes, size_t alignment);

  // The object that contains the address; bytes == 0 if there is none.
  HugeObject Find(uintptr_t address);

  // False if no object begins at `address`.
  [[nodiscard]] bool Free(uintptr_t address);

  // Makes the object at `address` reach `bytes`, moving its pages if it must. Returns where it is now, or null (then
  // nothing has changed).
  [[nodiscard]] void* Resize(uintptr_t address, size_t bytes);

  HugeStats stats();
  void ReleaseAll();

  os::Mutex& mutex() { return mutex_; }

 private:
  static constexpr size_t kMaxBytes = size_t{1} << kAddressBits;

  HugeObject* FindLocked(uintptr_t address);
  HugeObject* Make(size_t bytes, size_t alignment, size_t room);
  Status Prepare(const os::Reservation& reservation, uintptr_t base, size_t bytes);
  void Unmake(HugeObject* object);
  bool GrowInPlace(HugeObject* object, size_t bytes);

  os::AddressSpace& space_;
  ChunkSpace& chunk_space_;
  Metadata& metadata_;
  bool wants_huge_pages_ = false;
  os::Mutex mutex_{kHugeListRank};
  List<HugeObject> objects_;  // Guarded by mutex_.
  HugeStats stats_{};         // Guarded by mutex_.
};

}  // namespace acre
