#include "acre/manual_heap.h"

#include "allocator/api/heap_memory.h"
#include "allocator/heap/housekeeper.h"
#include "allocator/heap/span_heap.h"
#include "os/limits.h"
#include "os/memory_calls.h"

namespace acre {

struct ManualHeap::Impl {
  explicit Impl(ChunkTable& table) : heap(os::KernelMemoryCalls(), os::AddressSpaceLimitBytes(), table) {}

  SpanHeap heap;
  Housekeeper housekeeper{heap};
};

ManualHeap::ManualHeap(const ManualHeapOptions& options) : impl_(nullptr) {
  impl_ = MakeWithChunkTable<Impl>();
  if (impl_ == nullptr) return;
  impl_->heap.set_huge_page_threshold(options.huge_page_threshold_bytes);
  impl_->housekeeper.set_may_start_thread(options.may_start_thread);
}

ManualHeap::~ManualHeap() {
  if (impl_ == nullptr) return;
  impl_->housekeeper.Stop();
  DestroyWithChunkTable(impl_);
}

size_t ManualHeap::Release() { return impl_ == nullptr ? 0 : impl_->heap.ReleaseAll(); }

ManualHeapStatistics ManualHeap::statistics() const {
  if (impl_ == nullptr) return {};
  const HeapStats stats = impl_->heap.stats();
  return {.live_bytes = stats.small_bytes + stats.pages.large_bytes + stats.huge.bytes,
          .cached_bytes = stats.cached_bytes,
          .free_bytes = stats.free_bytes + stats.pages.dirty_bytes,
          .metadata_bytes = stats.space.metadata_bytes,
          .reserved_bytes = stats.space.reserved_bytes};
}

ManualMutator::ManualMutator(ManualHeap& heap)
    : heap_(heap), cache_(heap.impl_ == nullptr ? nullptr : heap.impl_->heap.OpenCache()) {}

ManualMutator::~ManualMutator() {
  if (cache_ != nullptr) heap_.impl_->heap.CloseCache(cache_);
}

void* ManualMutator::Allocate(size_t bytes) {
  return cache_ == nullptr ? nullptr : heap_.impl_->heap.Allocate(*cache_, bytes);
}

void* ManualMutator::AllocateZeroed(size_t bytes) {
  return cache_ == nullptr ? nullptr : heap_.impl_->heap.AllocateZeroed(*cache_, bytes);
}

void* ManualMutator::AllocateAligned(size_t bytes, size_t alignment) {
  return cache_ == nullptr ? nullptr : heap_.impl_->heap.AllocateAligned(*cache_, bytes, alignment);
}

void* ManualMutator::Reallocate(void* object, size_t bytes) {
  if (object == nullptr) return Allocate(bytes);
  if (cache_ == nullptr) return nullptr;
  void* moved = heap_.impl_->heap.Reallocate(*cache_, object, bytes);
  heap_.impl_->housekeeper.Poke();
  return moved;
}

void ManualMutator::Free(void* object) {
  if (object == nullptr) return;
  // Without a cache of its own the object still goes back.
  ThreadCache closed;
  heap_.impl_->heap.Free(cache_ == nullptr ? closed : *cache_, object);
  heap_.impl_->housekeeper.Poke();
}

size_t ManualMutator::UsableBytes(const void* object) const {
  return heap_.impl_->heap.UsableBytes(object, "size query");
}

}  // namespace acre
