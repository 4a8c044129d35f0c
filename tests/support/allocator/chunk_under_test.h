#pragma once

// A chunk in memory of the test's own, entered in a table: what spans are made in when no heap is wanted around them.

#include <gtest/gtest.h>

#include <limits>
#include <memory>

#include "allocator/base/units.h"
#include "allocator/span/chunk.h"
#include "allocator/span/chunk_table.h"
#include "os/address_space.h"
#include "os/memory_calls.h"

namespace acre::testing {

class ChunkUnderTest {
 public:
  ChunkUnderTest() {
    EXPECT_EQ(space_.ReserveAnywhere(kChunkBytes, kChunkBytes, &reservation_), Status::kOk);
    EXPECT_EQ(space_.Prepare(reservation_, reservation_.base, size_t{kFirstPage} * kPageBytes, "acre: test"),
              Status::kOk);
    chunk().pages.Initialise(kFirstPage, kChunkPages);
    table_->Set(reservation_.base, ChunkUse::kPages);
  }
  ~ChunkUnderTest() { space_.Release(reservation_, size_t{kFirstPage} * kPageBytes, 0); }
  ChunkUnderTest(const ChunkUnderTest&) = delete;
  ChunkUnderTest& operator=(const ChunkUnderTest&) = delete;

  Chunk& chunk() { return *reinterpret_cast<Chunk*>(reservation_.base); }
  ChunkTable& table() { return *table_; }

  // A span of the class at the lowest free place; a large one of `pages`.
  Span* Make(SizeClass size_class, uint32_t pages = 0) {
    if (size_class != kLargeClass) pages = kSizeClasses[size_class].span_pages;
    uint32_t scavenged = 0;
    const uint32_t first = chunk().pages.Allocate(pages, 1, &scavenged);
    EXPECT_NE(first, ChunkPages::kNone);
    return MakeSpan(&chunk(), first, pages, size_class, kNoPointers);
  }

  void Unmake(Span* span) {
    const uint32_t first = FirstPageOf(span);
    const uint32_t pages = span->pages;
    UnmakeSpan(span);
    chunk().pages.Free(first, pages);
  }

 private:
  os::AddressSpace space_{os::KernelMemoryCalls(), std::numeric_limits<size_t>::max()};
  std::unique_ptr<ChunkTable> table_ = std::make_unique<ChunkTable>();
  os::Reservation reservation_;
};

}  // namespace acre::testing
