#pragma once

// malloc and free as the exported functions and operators new and delete inline them: a call through the library's own
// exported names would go through its procedure linkage table.

#include <cstddef>

#include "allocator/compat/malloc/process_heap.h"
#include "allocator/heap/thread_cache.h"
#include "allocator/size/size_class.h"

namespace acre::compat {

inline void* Malloc(size_t bytes) {
  if (bytes <= kMaxSmallBytes) [[likely]] {
    if (void* slot = thread_cache->Allocate(ClassOffsetForSize(bytes))) [[likely]] return slot;
  }
  return AllocateSlow(bytes);
}

inline void Free(void* object) {
  if (!thread_cache->Free(process_table, object)) [[unlikely]] FreeSlow(object);
}

}  // namespace acre::compat
