#include "allocator/base/metadata.h"

#include <bit>

#include "os/check.h"

namespace acre {

uint32_t Metadata::SizeIndex(size_t bytes) {
  CHECK(bytes <= kMaxBlockBytes);
  if (bytes <= kMinBlockBytes) return 0;
  return static_cast<uint32_t>(std::bit_width(bytes - 1)) - kMinShift;
}

void* Metadata::Allocate(size_t bytes) {
  const uint32_t index = SizeIndex(bytes);
  const size_t block_bytes = kMinBlockBytes << index;
  os::MutexLock lock(mutex_);
  if (FreeBlock* block = free_[index]) {
    free_[index] = block->next;
    return block;
  }
  uintptr_t block = AlignUp(next_, block_bytes);
  if (next_ == 0 || block + block_bytes > limit_) {
    // What is left of the old region is lost: less than one block.
    void* region = space_.AllocateMetadata(kRegionBytes, "acre: metadata");
    if (region == nullptr) return nullptr;
    auto* head = static_cast<Region*>(region);
    head->next = regions_;
    regions_ = head;
    next_ = reinterpret_cast<uintptr_t>(region) + kMinBlockBytes;
    limit_ = next_ - kMinBlockBytes + kRegionBytes;
    block = AlignUp(next_, block_bytes);
  }
  next_ = block + block_bytes;
  return reinterpret_cast<void*>(block);
}

void Metadata::Free(void* block, size_t bytes) {
  const uint32_t index = SizeIndex(bytes);
  auto* freed = static_cast<FreeBlock*>(block);
  os::MutexLock lock(mutex_);
  freed->next = free_[index];
  free_[index] = freed;
}

void Metadata::ReleaseAll() {
  while (Region* region = regions_) {
    regions_ = region->next;
    space_.FreeMetadata(region, kRegionBytes);
  }
  for (FreeBlock*& list : free_) list = nullptr;
  next_ = 0;
  limit_ = 0;
}

}  // namespace acre
