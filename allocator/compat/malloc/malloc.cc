// The malloc family. The two fast paths are in ThreadCache; everything else is the rules of C, POSIX and glibc about
// sizes, alignments and errno.
//
// A failed allocation returns null with errno ENOMEM; free keeps errno. realloc(p, 0) frees and returns null, as
// glibc's does.

#include <malloc.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "allocator/compat/malloc/fast_path.h"
#include "arch/memory.h"
#include "os/memory_calls.h"

#define ACRE_EXPORT extern "C" __attribute__((visibility("default")))

namespace acre::compat {
namespace {

void* OutOfMemory() {
  errno = ENOMEM;
  return nullptr;
}

void* AllocateAligned(size_t alignment, size_t bytes) {
  SpanHeap& heap = *ProcessHeap();
  void* object = heap.AllocateAligned(OpenThreadCache(heap), bytes, alignment);
  return object != nullptr ? object : OutOfMemory();
}

void* AllocateZeroed(size_t bytes) {
  SpanHeap& heap = *ProcessHeap();
  void* object = heap.AllocateZeroed(OpenThreadCache(heap), bytes);
  return object != nullptr ? object : OutOfMemory();
}

void* Reallocate(void* object, size_t bytes, const void* caller) {
  SpanHeap& heap = *ProcessHeap();
  void* moved = heap.Reallocate(OpenThreadCache(heap), object, bytes);
  if (moved == nullptr) return OutOfMemory();
  AfterSlowFree(caller);
  return moved;
}

}  // namespace
}  // namespace acre::compat

using namespace acre;
using namespace acre::compat;

ACRE_EXPORT void* malloc(size_t bytes) { return Malloc(bytes); }

ACRE_EXPORT void free(void* object) { Free(object); }

ACRE_EXPORT void* calloc(size_t count, size_t bytes) {
  size_t total;
  if (__builtin_mul_overflow(count, bytes, &total)) return OutOfMemory();
  if (total <= kMaxSmallBytes) [[likely]] {
    if (void* slot = thread_cache->Allocate(ClassOffsetForSize(total))) [[likely]] {
      arch::Clear(slot, total);
      return slot;
    }
  }
  return AllocateZeroed(total);
}

ACRE_EXPORT void* realloc(void* object, size_t bytes) {
  if (object == nullptr) return Malloc(bytes);
  if (bytes == 0) {
    Free(object);
    return nullptr;
  }
  return Reallocate(object, bytes, __builtin_return_address(0));
}

ACRE_EXPORT void* reallocarray(void* object, size_t count, size_t bytes) {
  size_t total;
  if (__builtin_mul_overflow(count, bytes, &total)) return OutOfMemory();
  return realloc(object, total);
}

// C23: the size is a hint that is not needed here.
ACRE_EXPORT void free_sized(void* object, size_t) { Free(object); }
ACRE_EXPORT void free_aligned_sized(void* object, size_t, size_t) { Free(object); }

ACRE_EXPORT void* aligned_alloc(size_t alignment, size_t bytes) {
  if (!IsPowerOfTwo(alignment)) {
    errno = EINVAL;
    return nullptr;
  }
  return AllocateAligned(alignment, bytes);
}

// The alignment is rounded up to a power of two, as glibc's is.
ACRE_EXPORT void* memalign(size_t alignment, size_t bytes) {
  if (alignment > SIZE_MAX / 2 + 1) {
    errno = EINVAL;
    return nullptr;
  }
  size_t power = kSlotAlignment;
  while (power < alignment) power *= 2;
  return AllocateAligned(power, bytes);
}

// Returns the error and leaves errno alone.
ACRE_EXPORT int posix_memalign(void** result, size_t alignment, size_t bytes) {
  if (!IsPowerOfTwo(alignment) || alignment % sizeof(void*) != 0) return EINVAL;
  const int saved_errno = errno;
  void* object = AllocateAligned(alignment, bytes);
  errno = saved_errno;
  if (object == nullptr) return ENOMEM;
  *result = object;
  return 0;
}

ACRE_EXPORT void* valloc(size_t bytes) { return AllocateAligned(os::OsPageBytes(), bytes); }

ACRE_EXPORT void* pvalloc(size_t bytes) {
  const size_t page = os::OsPageBytes();
  if (bytes > SIZE_MAX - page) return OutOfMemory();
  return AllocateAligned(page, AlignUp(bytes, page));
}

ACRE_EXPORT size_t malloc_usable_size(void* object) {
  return object == nullptr ? 0 : ProcessHeap()->UsableBytes(object, "malloc_usable_size");
}
