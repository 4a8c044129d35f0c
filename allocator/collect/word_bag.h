#pragma once

// Words that threads leave for the collector while it marks beside them: pointers that were overwritten, objects that were
// freed by hand, stacks that are to be looked at in the stop. In blocks of off-heap memory, in no order.
//
// Words that are added two by two stay together. A word that finds no memory is lost, and the bag says so: what that means is the reader's affair.
//
// Threads: Add by any, in a region if it is a mutator's; the others by the collector. Cost: a lock each; mutators
// collect some hundred words before they come.

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "allocator/base/lock_rank.h"
#include "allocator/base/metadata.h"
#include "os/mutex.h"

namespace acre {

class WordBag {
 public:
  explicit WordBag(Metadata& metadata) : metadata_(metadata) {}
  ~WordBag() { Clear(); }
  WordBag(const WordBag&) = delete;
  WordBag& operator=(const WordBag&) = delete;

  void Add(const uint64_t* words, size_t count);
  void Add(uint64_t word) { Add(&word, 1); }

  // Some word was lost since the last Clear.
  bool has_lost() const { return has_lost_.load(std::memory_order_relaxed); }

  // Takes out what is there, and calls visit(base, limit) for pieces of it. False: there was nothing.
  template <class Visit>
  bool Take(Visit visit) {
    Block* block = TakeAll();
    if (block == nullptr) return false;
    while (block != nullptr) {
      visit(block->words, block->words + block->count);
      Block* const next = block->next;
      metadata_.Free(block, sizeof(Block));
      block = next;
    }
    return true;
  }

  // Empty as in the beginning.
  void Clear();

 private:
  static constexpr size_t kBlockBytes = 4096;
  struct BlockHead {
    void* next;
    size_t count;
  };
  static constexpr size_t kBlockWords = (kBlockBytes - sizeof(BlockHead)) / sizeof(uint64_t);
  struct Block {
    Block* next;
    size_t count;
    uint64_t words[kBlockWords];
  };
  static_assert(sizeof(Block) == kBlockBytes && kBlockWords % 2 == 0);

  Block* TakeAll();

  Metadata& metadata_;
  os::Mutex mutex_{kWordBagRank};
  Block* first_ = nullptr;  // Guarded by mutex_. Only this one has room.
  std::atomic<bool> has_lost_{false};
};

}  // namespace acre
