#pragma once

// What the tables of object ends are made of: records in metadata memory, and an index from an object to its records.
//
// RecordPool hands out records of one size. They are cut from blocks of 4 KiB, each with a bitmap of what is in use, so
// that the collector walks all records of a kind by ascending address and not along a list. Blocks stay with the pool.
//
// ObjectIndex finds the records of an object: a hash table of chains through the records. It can always take one more: when
// there is no memory for a larger table, chains grow instead.
//
// Threads: one at a time, the owner's lock. Failure: RecordPool::Allocate only.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <new>

#include "allocator/base/bits.h"
#include "allocator/base/metadata.h"
#include "os/address_space.h"
#include "os/check.h"

namespace acre {

template <class Record>
class RecordPool {
 public:
  explicit constexpr RecordPool(Metadata& metadata) : metadata_(metadata) {}
  RecordPool(const RecordPool&) = delete;
  RecordPool& operator=(const RecordPool&) = delete;

  // A fresh Record. Null: no memory.
  [[nodiscard]] Record* Allocate() {
    if (free_ == nullptr && !AddBlock()) return nullptr;
    Free_* place = free_;
    free_ = place->next;
    Block* block = BlockOf(place);
    SetBits(block->used, NumberOf(block, place), 1);
    ++count_;
    return new (place) Record();
  }

  void Free(Record* record) {
    Block* block = BlockOf(record);
    ASSERT(TestBit(block->used, NumberOf(block, record)));
    ClearBits(block->used, NumberOf(block, record), 1);
    free_ = new (static_cast<void*>(record)) Free_{free_};
    --count_;
  }

  // Calls visit(record) for each one in use; it may free the record that it is given.
  template <class Visit>
  void ForEach(Visit visit) {
    for (Block* block = blocks_; block != nullptr; block = block->next) {
      for (uint32_t word = 0; word < kWords; ++word) {
        for (uint64_t bits = block->used[word]; bits != 0; bits &= bits - 1) {
          visit(block->records()[word * kWordBits + static_cast<uint32_t>(std::countr_zero(bits))]);
        }
      }
    }
  }

  size_t count() const { return count_; }

 private:
  struct Free_ {
    Free_* next;
  };
  static constexpr size_t kBlockBytes = 4 * kKiB;
  static constexpr uint32_t kWords = 4;
  struct alignas(16) Block {
    Block* next;
    uint64_t used[kWords];

    Record* records() { return reinterpret_cast<Record*>(this + 1); }
  };
  static constexpr uint32_t kRecords = (kBlockBytes - sizeof(Block)) / sizeof(Record);
  static_assert(kRecords <= kWords * kWordBits && sizeof(Record) >= sizeof(Free_));

  // A block is aligned to its size.
  static Block* BlockOf(void* record) {
    return reinterpret_cast<Block*>(reinterpret_cast<uintptr_t>(record) & ~(kBlockBytes - 1));
  }
  static uint32_t NumberOf(Block* block, void* record) {
    return static_cast<uint32_t>(static_cast<Record*>(record) - block->records());
  }

  bool AddBlock() {
    void* memory = metadata_.Allocate(kBlockBytes);
    if (memory == nullptr) return false;
    auto* block = new (memory) Block{.next = blocks_, .used = {}};
    blocks_ = block;
    for (uint32_t number = kRecords; number-- > 0;) {
      free_ = new (static_cast<void*>(&block->records()[number])) Free_{free_};
    }
    return true;
  }

  Metadata& metadata_;
  Block* blocks_ = nullptr;
  Free_* free_ = nullptr;
  size_t count_ = 0;
};

// Record has `Record* next_in_index`, for the index alone, and `uintptr_t indexed_object() const`, which does not change
// while the record is in the index.
template <class Record>
class ObjectIndex {
 public:
  explicit constexpr ObjectIndex(os::AddressSpace& space) : space_(space) {}
  ~ObjectIndex() {
    if (chains_ != &first_chain_) space_.FreeMetadata(chains_, BytesFor(chain_bits_));
  }
  ObjectIndex(const ObjectIndex&) = delete;
  ObjectIndex& operator=(const ObjectIndex&) = delete;

  void Add(Record* record) {
    if (count_ >> chain_bits_ != 0) Grow();
    Record*& chain = ChainOf(record->indexed_object());
    record->next_in_index = chain;
    chain = record;
    ++count_;
  }

  // REQUIRES: it is in the index.
  void Remove(Record* record) {
    Record** place = &ChainOf(record->indexed_object());
    while (*place != record) place = &(*place)->next_in_index;
    *place = record->next_in_index;
    --count_;
  }

  // The newest record of the object, and the next older one; null if there is none.
  Record* First(uintptr_t object) const { return Search(ChainOf(object), object); }
  static Record* Next(const Record* record) { return Search(record->next_in_index, record->indexed_object()); }

  size_t count() const { return count_; }

 private:
  static constexpr uint32_t kFirstBits = 9;  // 4 KiB.
  static constexpr size_t BytesFor(uint32_t bits) { return sizeof(Record*) << bits; }

  static Record* Search(Record* record, uintptr_t object) {
    while (record != nullptr && record->indexed_object() != object) record = record->next_in_index;
    return record;
  }

  Record*& ChainOf(uintptr_t object) const {
    constexpr uint64_t kMultiplier = 0x9e37'79b9'7f4a'7c15;  // 2^64 by the golden ratio: high bits depend on all of them.
    if (chain_bits_ == 0) return chains_[0];
    return chains_[(uint64_t{object} * kMultiplier) >> (kWordBits - chain_bits_)];
  }

  // To as many chains as there are records, at twice as many each time. Without memory everything stays as it is.
  void Grow() {
    const uint32_t bits = chain_bits_ == 0 ? kFirstBits : chain_bits_ + 1;
    if (count_ < next_try_) return;
    void* memory = space_.AllocateMetadata(BytesFor(bits), "acre: object index");
    if (memory == nullptr) {
      next_try_ = count_ + count_ / 8;  // Not at every record.
      return;
    }
    Record** const old_chains = chains_;
    const uint32_t old_bits = chain_bits_;
    chains_ = static_cast<Record**>(memory);
    chain_bits_ = bits;
    for (size_t number = 0; number < size_t{1} << old_bits; ++number) {
      for (Record* record = old_chains[number]; record != nullptr;) {
        Record* const next = record->next_in_index;
        Record*& chain = ChainOf(record->indexed_object());
        record->next_in_index = chain;
        chain = record;
        record = next;
      }
    }
    if (old_chains != &first_chain_) space_.FreeMetadata(old_chains, BytesFor(old_bits));
    first_chain_ = nullptr;
  }

  os::AddressSpace& space_;
  Record* first_chain_ = nullptr;
  Record** chains_ = &first_chain_;  // 2^chain_bits_ of them.
  uint32_t chain_bits_ = 0;
  size_t count_ = 0;
  size_t next_try_ = 0;
};

}  // namespace acre
