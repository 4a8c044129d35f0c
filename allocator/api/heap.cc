#include "acre/heap.h"

#include <new>

#include "allocator/heap/housekeeper.h"
#include "allocator/heap/span_heap.h"
#include "os/limits.h"
#include "os/memory_calls.h"

namespace acre {

struct Heap::Impl {
  explicit Impl(ChunkTable& table) : heap(os::KernelMemoryCalls(), os::AddressSpaceLimitBytes(), table) {}

  SpanHeap heap;
  Housekeeper housekeeper{heap};
};

Heap::Heap(const HeapOptions& options) : impl_(nullptr) {
  // One mapping for the parts and the chunk table, of which the kernel supplies only what is touched. The table is not
  // initialised: fresh memory is what its constructor would make.
  const os::MemoryCalls& calls = os::KernelMemoryCalls();
  const size_t impl_bytes = AlignUp(sizeof(Impl), os::OsPageBytes());
  const os::MapResult map = calls.map(calls.context, 0, impl_bytes + AlignUp(sizeof(ChunkTable), os::OsPageBytes()),
                                      os::Access::kReadWrite, os::Placement::kHint);
  if (map.error != 0) return;
  auto* table = reinterpret_cast<ChunkTable*>(map.address + impl_bytes);
  impl_ = new (reinterpret_cast<void*>(map.address)) Impl(*table);
  impl_->heap.set_huge_page_threshold(options.huge_page_threshold_bytes);
  impl_->housekeeper.set_may_start_thread(options.may_start_thread);
}

Heap::~Heap() {
  if (impl_ == nullptr) return;
  impl_->housekeeper.Stop();
  const size_t impl_bytes = AlignUp(sizeof(Impl), os::OsPageBytes());
  const auto base = reinterpret_cast<uintptr_t>(impl_);
  impl_->~Impl();
  const os::MemoryCalls& calls = os::KernelMemoryCalls();
  calls.unmap(calls.context, base, impl_bytes + AlignUp(sizeof(ChunkTable), os::OsPageBytes()));
}

size_t Heap::Release() { return impl_ == nullptr ? 0 : impl_->heap.ReleaseAll(); }

HeapStatistics Heap::statistics() const {
  if (impl_ == nullptr) return {};
  const HeapStats stats = impl_->heap.stats();
  return {.live_bytes = stats.small_bytes + stats.pages.large_bytes + stats.huge.bytes,
          .cached_bytes = stats.cached_bytes,
          .free_bytes = stats.free_bytes + stats.pages.dirty_bytes,
          .metadata_bytes = stats.space.metadata_bytes,
          .reserved_bytes = stats.space.reserved_bytes};
}

Mutator::Mutator(Heap& heap)
    : heap_(heap), cache_(heap.impl_ == nullptr ? nullptr : heap.impl_->heap.OpenCache()) {}

Mutator::~Mutator() {
  if (cache_ != nullptr) heap_.impl_->heap.CloseCache(cache_);
}

void* Mutator::Allocate(size_t bytes) {
  return cache_ == nullptr ? nullptr : heap_.impl_->heap.Allocate(*cache_, bytes);
}

void* Mutator::AllocateZeroed(size_t bytes) {
  return cache_ == nullptr ? nullptr : heap_.impl_->heap.AllocateZeroed(*cache_, bytes);
}

void* Mutator::AllocateAligned(size_t bytes, size_t alignment) {
  return cache_ == nullptr ? nullptr : heap_.impl_->heap.AllocateAligned(*cache_, bytes, alignment);
}

void* Mutator::Reallocate(void* object, size_t bytes) {
  if (object == nullptr) return Allocate(bytes);
  if (cache_ == nullptr) return nullptr;
  void* moved = heap_.impl_->heap.Reallocate(*cache_, object, bytes);
  heap_.impl_->housekeeper.Poke();
  return moved;
}

void Mutator::Free(void* object) {
  if (object == nullptr) return;
  // Without a cache of its own the object still goes back.
  ThreadCache closed;
  heap_.impl_->heap.Free(cache_ == nullptr ? closed : *cache_, object);
  heap_.impl_->housekeeper.Poke();
}

size_t Mutator::UsableBytes(const void* object) const {
  return heap_.impl_->heap.UsableBytes(object, "size query");
}

}  // namespace acre
