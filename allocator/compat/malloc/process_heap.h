#pragma once

// The drop-in's one heap: the only global state there is, all of it in process_heap.cc.
//
// It works from the first call on, which may come from the dynamic loader before the C library is initialised, and until
// the process is gone: it is made at the first allocation and never destroyed.

#include <cstddef>

#include "allocator/heap/housekeeper.h"
#include "allocator/heap/span_heap.h"

namespace acre::compat {

// Zeroed static memory, 2 MiB of address space of which one page is ever touched.
extern ChunkTable process_table;

// The calling thread's cache; never null: a closed one before the first allocation and after the thread's end.
// Initial-exec: no call to find it, and 8 bytes of the loader's reserve when the library is loaded late.
extern thread_local constinit ThreadCache* thread_cache __attribute__((tls_model("initial-exec")));

// The heap and the calling thread's cache, made when they do not exist. The heap is null only when the kernel has no
// memory at all.
SpanHeap* ProcessHeap();
ThreadCache& OpenThreadCache(SpanHeap& heap);

// After memory was freed on a slow path, on behalf of the code at `caller`.
void AfterSlowFree(const void* caller);

// An allocation that the fast path could not serve; null with errno ENOMEM when there is no memory.
void* AllocateSlow(size_t bytes);
void FreeSlow(void* object);

}  // namespace acre::compat
