#pragma once

// A span heap on recorded memory calls, with one open cache; and the account that every test may ask for at any time.

#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <memory>
#include <optional>

#include "allocator/heap/span_heap.h"
#include "os/fake/fake_memory.h"

namespace acre::testing {

inline constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();

class HeapUnderTest {
 public:
  explicit HeapUnderTest(size_t limit_bytes = kNoLimit) { Begin(limit_bytes); }

  // Without a heap yet, so that the fake's switches can be set first: then Begin.
  struct Later {};
  explicit HeapUnderTest(Later) {}

  void Begin(size_t limit_bytes = kNoLimit) {
    heap_.emplace(fake_.calls(), limit_bytes, *table_);
    cache_ = heap_->OpenCache();
  }

  // Everything went back to the kernel. Expected of every heap unless the kernel refused to unmap.
  void End() {
    if (!heap_.has_value()) return;
    CloseCache();
    heap_.reset();
    EXPECT_EQ(fake_.mapped_bytes(), 0u) << "the heap has left something mapped";
    for (uintptr_t index = 0; index < ChunkTable::kEntries; ++index) {
      if (table_->Use(index << kChunkShift) != ChunkUse::kNone) {
        ADD_FAILURE() << "the table still names a chunk: " << std::hex << (index << kChunkShift);
        break;
      }
    }
  }

  // The same, where the kernel refused to unmap something.
  void EndWithLeftovers() {
    CloseCache();
    heap_.reset();
    fake_.UnmapAll();
  }

  ~HeapUnderTest() { End(); }
  HeapUnderTest(const HeapUnderTest&) = delete;
  HeapUnderTest& operator=(const HeapUnderTest&) = delete;

  void CloseCache() {
    if (cache_ != nullptr) heap_->CloseCache(cache_);
    cache_ = nullptr;
  }

  SpanHeap& heap() { return *heap_; }
  ThreadCache& cache() { return *cache_; }
  bool has_cache() const { return cache_ != nullptr; }
  os::FakeMemory& fake() { return fake_; }
  ChunkTable& table() { return *table_; }

  void* Allocate(size_t bytes) { return heap_->Allocate(*cache_, bytes); }
  void* AllocateAligned(size_t bytes, size_t alignment) { return heap_->AllocateAligned(*cache_, bytes, alignment); }
  void* AllocateZeroed(size_t bytes) { return heap_->AllocateZeroed(*cache_, bytes); }
  void* Reallocate(void* object, size_t bytes) { return heap_->Reallocate(*cache_, object, bytes); }
  void Free(void* object) { heap_->Free(*cache_, object); }
  size_t UsableBytes(const void* object) { return heap_->UsableBytes(object, "size query"); }

  // What is counted is what is mapped and in use: the address space's account against the fake's list of mappings and
  // the page heap's own counters. REQUIRES: reservations are mapped (no limit), nothing failed, no other thread.
  void CheckAccount() {
    const HeapStats stats = heap_->stats();
    EXPECT_EQ(stats.space.reserved_bytes + stats.space.metadata_bytes, fake_.mapped_bytes());
    CheckReadyBytes();
  }

  void CheckReadyBytes() {
    const HeapStats stats = heap_->stats();
    EXPECT_EQ(stats.space.ready_bytes, heap_->page_heap().used_bytes() + stats.pages.dirty_bytes + stats.huge.bytes);
    EXPECT_LE(stats.space.ready_bytes, stats.space.prepared_bytes);
    EXPECT_LE(stats.space.prepared_bytes, stats.space.reserved_bytes);
    EXPECT_EQ(stats.pages.small_span_bytes + stats.pages.large_bytes, heap_->page_heap().used_bytes());
  }

  // Nothing is allocated any more: all memory can go back.
  void ExpectEmptyAfterRelease() {
    cache_->Flush();
    heap_->ReleaseAll();
    heap_->CheckInvariants();
    const HeapStats stats = heap_->stats();
    EXPECT_EQ(heap_->page_heap().used_bytes(), 0u);
    EXPECT_EQ(stats.pages.dirty_bytes, 0u);
    EXPECT_EQ(stats.huge.bytes, 0u);
    EXPECT_EQ(stats.small_bytes, 0u);
    EXPECT_EQ(stats.space.ready_bytes, 0u);
  }

 private:
  os::FakeMemory fake_;
  std::unique_ptr<ChunkTable> table_ = std::make_unique<ChunkTable>();
  std::optional<SpanHeap> heap_;
  ThreadCache* cache_ = nullptr;
};

inline void Fill(void* object, size_t bytes, int value) { std::memset(object, value, bytes); }

inline bool IsFilledWith(const void* object, size_t bytes, int value) {
  const auto* memory = static_cast<const unsigned char*>(object);
  if (bytes == 0) return true;
  return memory[0] == static_cast<unsigned char>(value) && std::memcmp(memory, memory + 1, bytes - 1) == 0;
}

inline uintptr_t AddressOf(const void* object) { return reinterpret_cast<uintptr_t>(object); }

}  // namespace acre::testing
