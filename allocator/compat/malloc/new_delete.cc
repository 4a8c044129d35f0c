// Every form of operator new and delete, on the drop-in malloc.
//
// The library has no exceptions and needs no C++ run-time library: get_new_handler and the function that throws bad_alloc
// are taken from the program's, which is there whenever a C++ program is; they are weak references.

#include <cstddef>
#include <cstdlib>
#include <new>

#include "allocator/base/units.h"
#include "allocator/compat/malloc/fast_path.h"
#include "allocator/compat/malloc/new_retry.h"
#include "os/check.h"

#define ACRE_EXPORT __attribute__((visibility("default")))

extern "C" {
__attribute__((weak, visibility("default"))) std::new_handler acre_get_new_handler() __asm__("_ZSt15get_new_handlerv");
[[noreturn]] __attribute__((weak, visibility("default"))) void acre_throw_bad_alloc() __asm__("_ZSt17__throw_bad_allocv");
}

using namespace acre;
using namespace acre::compat;

namespace {

void* Allocate(size_t bytes, size_t alignment) {
  return alignment <= kSlotAlignment ? Malloc(bytes) : std::aligned_alloc(alignment, bytes);
}

[[gnu::cold]] [[gnu::noinline]] void* RetryOrThrow(size_t bytes, size_t alignment) {
  if (void* object = RetryNew(bytes, alignment)) return object;
  if (acre_throw_bad_alloc != nullptr) acre_throw_bad_alloc();
  os::Fatal("operator new: no memory for ", bytes, " bytes");
}

[[gnu::noinline]] void* NewSlow(size_t bytes) {
  void* object = AllocateSlow(bytes);
  return object != nullptr ? object : RetryOrThrow(bytes, kSlotAlignment);
}

// The fast path of Malloc, with a slow path that does not return null.
inline void* New(size_t bytes) {
  if (bytes <= kMaxSmallBytes) [[likely]] {
    if (void* slot = thread_cache->Allocate(ClassOffsetForSize(bytes))) [[likely]] return slot;
  }
  return NewSlow(bytes);
}

inline void* NewOrNull(size_t bytes) {
  void* object = Malloc(bytes);
  return object != nullptr ? object : RetryNewNoThrow(bytes, kSlotAlignment);
}

inline void* NewAligned(size_t bytes, std::align_val_t alignment) {
  void* object = Allocate(bytes, static_cast<size_t>(alignment));
  return object != nullptr ? object : RetryOrThrow(bytes, static_cast<size_t>(alignment));
}

inline void* NewAlignedOrNull(size_t bytes, std::align_val_t alignment) {
  void* object = Allocate(bytes, static_cast<size_t>(alignment));
  return object != nullptr ? object : RetryNewNoThrow(bytes, static_cast<size_t>(alignment));
}

}  // namespace

void* acre::compat::RetryNew(size_t bytes, size_t alignment) {
  for (;;) {
    const std::new_handler handler = acre_get_new_handler != nullptr ? acre_get_new_handler() : nullptr;
    if (handler == nullptr) return nullptr;
    handler();
    if (void* object = Allocate(bytes, alignment)) return object;
  }
}

ACRE_EXPORT void* operator new(size_t bytes) { return New(bytes); }
ACRE_EXPORT void* operator new[](size_t bytes) { return New(bytes); }
ACRE_EXPORT void* operator new(size_t bytes, const std::nothrow_t&) noexcept { return NewOrNull(bytes); }
ACRE_EXPORT void* operator new[](size_t bytes, const std::nothrow_t&) noexcept { return NewOrNull(bytes); }
ACRE_EXPORT void* operator new(size_t bytes, std::align_val_t alignment) { return NewAligned(bytes, alignment); }
ACRE_EXPORT void* operator new[](size_t bytes, std::align_val_t alignment) { return NewAligned(bytes, alignment); }
ACRE_EXPORT void* operator new(size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return NewAlignedOrNull(bytes, alignment);
}
ACRE_EXPORT void* operator new[](size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return NewAlignedOrNull(bytes, alignment);
}

ACRE_EXPORT void operator delete(void* object) noexcept { Free(object); }
ACRE_EXPORT void operator delete[](void* object) noexcept { Free(object); }
ACRE_EXPORT void operator delete(void* object, const std::nothrow_t&) noexcept { Free(object); }
ACRE_EXPORT void operator delete[](void* object, const std::nothrow_t&) noexcept { Free(object); }
ACRE_EXPORT void operator delete(void* object, size_t) noexcept { Free(object); }
ACRE_EXPORT void operator delete[](void* object, size_t) noexcept { Free(object); }
ACRE_EXPORT void operator delete(void* object, std::align_val_t) noexcept { Free(object); }
ACRE_EXPORT void operator delete[](void* object, std::align_val_t) noexcept { Free(object); }
ACRE_EXPORT void operator delete(void* object, size_t, std::align_val_t) noexcept { Free(object); }
ACRE_EXPORT void operator delete[](void* object, size_t, std::align_val_t) noexcept { Free(object); }
ACRE_EXPORT void operator delete(void* object, std::align_val_t, const std::nothrow_t&) noexcept { Free(object); }
ACRE_EXPORT void operator delete[](void* object, std::align_val_t, const std::nothrow_t&) noexcept { Free(object); }
