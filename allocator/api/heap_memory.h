#pragma once

// Memory for the parts of a heap and its chunk table: one mapping, of which the kernel supplies only what is touched. The
// table is not initialised: fresh memory is what its constructor would make.

#include <new>
#include <utility>

#include "allocator/base/units.h"
#include "allocator/span/chunk_table.h"
#include "os/limits.h"
#include "os/memory_calls.h"

namespace acre {

template <class T>
size_t HeapMemoryBytes() {
  return AlignUp(sizeof(T), os::OsPageBytes()) + AlignUp(sizeof(ChunkTable), os::OsPageBytes());
}

// T(table, arguments…); null when there is no memory.
template <class T, class... Arguments>
T* MakeWithChunkTable(Arguments&&... arguments) {
  const os::MemoryCalls& calls = os::KernelMemoryCalls();
  const os::MapResult map =
      calls.map(calls.context, 0, HeapMemoryBytes<T>(), os::Access::kReadWrite, os::Placement::kHint);
  if (map.error != 0) return nullptr;
  auto* table = reinterpret_cast<ChunkTable*>(map.address + AlignUp(sizeof(T), os::OsPageBytes()));
  return new (reinterpret_cast<void*>(map.address)) T(*table, std::forward<Arguments>(arguments)...);
}

template <class T>
void DestroyWithChunkTable(T* heap) {
  heap->~T();
  const os::MemoryCalls& calls = os::KernelMemoryCalls();
  calls.unmap(calls.context, reinterpret_cast<uintptr_t>(heap), HeapMemoryBytes<T>());
}

}  // namespace acre
