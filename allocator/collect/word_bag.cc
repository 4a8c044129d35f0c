#include "allocator/collect/word_bag.h"

namespace acre {

void WordBag::Add(const uint64_t* words, size_t count) {
  os::MutexLock lock(mutex_);
  for (size_t i = 0; i < count; ++i) {
    if (first_ == nullptr || first_->count == kBlockWords) {
      auto* block = static_cast<Block*>(metadata_.Allocate(sizeof(Block)));
      if (block == nullptr) {
        has_lost_.store(true, std::memory_order_relaxed);
        return;
      }
      block->next = first_;
      block->count = 0;
      first_ = block;
    }
    first_->words[first_->count++] = words[i];
  }
}

WordBag::Block* WordBag::TakeAll() {
  os::MutexLock lock(mutex_);
  Block* const taken = first_;
  first_ = nullptr;
  return taken;
}

void WordBag::Clear() {
  (void)Take([](const uint64_t*, const uint64_t*) {});
  has_lost_.store(false, std::memory_order_relaxed);
}

}  // namespace acre
