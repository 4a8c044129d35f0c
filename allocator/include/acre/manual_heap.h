#pragma once

// A heap that is freed by hand, in C++: Acre's spans, size classes and thread caches, without a collector.
//
//   acre::ManualHeap heap;
//   acre::ManualMutator mutator(heap);     // One for each thread that uses the heap.
//   void* object = mutator.Allocate(64);
//   mutator.Free(object);
//
// Several heaps live side by side. Nothing throws: a failed allocation is a null pointer, and misuse (a second free, a
// pointer into the middle of an object) ends the process with one line that names the address.

#include <cstddef>
#include <cstdint>

#include "acre/internal/export.h"
#include "acre/version.h"

namespace acre {

class SpanHeap;
class ThreadCache;

struct ManualHeapOptions {
  // Whether the heap may run a thread of its own while there is idle memory to give back (at least 16 MiB). Otherwise the
  // calls that free do that work.
  bool may_start_thread = true;

  // Once it holds this many bytes, the heap asks the kernel for huge pages as it grows; SIZE_MAX for never.
  size_t huge_page_threshold_bytes = SIZE_MAX;
};

struct ManualHeapStatistics {
  size_t live_bytes;      // What the program holds, rounded up to slots and pages.
  size_t cached_bytes;    // Free slots in thread caches and depots.
  size_t free_bytes;      // Free memory that the heap keeps.
  size_t metadata_bytes;  // Records outside of chunks.
  size_t reserved_bytes;  // Address space.
};

// A heap. Any thread may use it through a Mutator of its own.
class ACRE_API ManualHeap {
 public:
  // Takes about 64 MiB of address space and 100 KiB of memory at the first allocation.
  explicit ManualHeap(const ManualHeapOptions& options = {});

  // Gives all memory back; every object is gone. All mutators have been destroyed before.
  ~ManualHeap();

  ManualHeap(const ManualHeap&) = delete;
  ManualHeap& operator=(const ManualHeap&) = delete;

  // False if the kernel had no memory for the heap's own records: then no mutator can be made on it.
  bool is_valid() const { return impl_ != nullptr; }

  // Gives all free memory back to the kernel at once; returns the bytes. Any thread; milliseconds per 100 MiB.
  size_t Release();

  // Any thread; walks the size classes and thread caches, some microseconds.
  ManualHeapStatistics statistics() const;

 private:
  friend class ManualMutator;
  struct Impl;
  Impl* impl_;
};

// A thread's handle on a heap, with its caches. Used by one thread at a time.
class ACRE_API ManualMutator {
 public:
  explicit ManualMutator(ManualHeap& heap);

  // Gives the cached memory back to the heap.
  ~ManualMutator();

  ManualMutator(const ManualMutator&) = delete;
  ManualMutator& operator=(const ManualMutator&) = delete;

  // False if there was no memory for the caches; then every allocation fails.
  bool is_valid() const { return cache_ != nullptr; }

  // At least `bytes` (0 counts as 1), aligned to 16 bytes; contents undefined. Null when there is no memory. A few
  // nanoseconds up to 32 KiB, about 100 above, plus what the kernel takes to supply fresh pages.
  [[nodiscard]] void* Allocate(size_t bytes);

  // The same, all zero.
  [[nodiscard]] void* AllocateZeroed(size_t bytes);

  // The same, aligned to `alignment`, a power of two.
  [[nodiscard]] void* AllocateAligned(size_t bytes, size_t alignment);

  // Makes an object larger or smaller, moving it if it must; the contents up to the smaller size stay. Null when there is
  // no memory: the object is unchanged then.
  [[nodiscard]] void* Reallocate(void* object, size_t bytes);

  // Frees an object of this heap, whichever thread allocated it. Null is allowed.
  void Free(void* object);

  // How many bytes of the object may be used: at least what was asked for.
  size_t UsableBytes(const void* object) const;

 private:
  ManualHeap& heap_;
  ThreadCache* cache_;
};

}  // namespace acre
