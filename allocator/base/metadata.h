#pragma once

// Memory for the heap's own records, outside of its pages.
//
// Blocks are powers of two from 64 bytes to 64 KiB, cut from regions of 256 KiB that are mapped as they are needed and
// stay; a freed block is kept on the list of its size. The records are few (magazines, thread caches), so neither
// coalescing nor return to the kernel is worth its code.
//
// Threads: any. Failure: null. Cost: a lock and a list operation; a system call for each region.

#include <cstddef>
#include <cstdint>

#include "allocator/base/lock_rank.h"
#include "allocator/base/units.h"
#include "os/address_space.h"
#include "os/mutex.h"

namespace acre {

class Metadata {
 public:
  static constexpr size_t kMinBlockBytes = 64;
  static constexpr size_t kMaxBlockBytes = 64 * kKiB;

  explicit constexpr Metadata(os::AddressSpace& space) : space_(space) {}
  Metadata(const Metadata&) = delete;
  Metadata& operator=(const Metadata&) = delete;

  // A block of at least `bytes` (at most kMaxBlockBytes), aligned to its size or to an os page, the smaller of the two.
  // Its contents are undefined.
  [[nodiscard]] void* Allocate(size_t bytes);
  void Free(void* block, size_t bytes);

  // At the end of the heap: all regions go back to the kernel, and every block with them.
  void ReleaseAll();

  os::Mutex& mutex() { return mutex_; }

 private:
  struct FreeBlock {
    FreeBlock* next;
  };
  struct Region {  // At the beginning of each region.
    Region* next;
  };
  static constexpr uint32_t kMinShift = 6;
  static constexpr uint32_t kSizes = 11;  // 64 bytes … 64 KiB.
  static constexpr size_t kRegionBytes = 256 * kKiB;

  static uint32_t SizeIndex(size_t bytes);

  os::AddressSpace& space_;
  os::Mutex mutex_{kMetadataRank};
  FreeBlock* free_[kSizes] = {};  // Guarded by mutex_.
  Region* regions_ = nullptr;     // Guarded by mutex_.
  uintptr_t next_ = 0;            // Guarded by mutex_. Unused part of the newest region: [next_, limit_).
  uintptr_t limit_ = 0;
};

}  // namespace acre
