#include "allocator/span/chunk_table.h"

#include <gtest/gtest.h>

#include <memory>

#include "tests/support/seed.h"

namespace acre {
namespace {

TEST(ChunkTable, NothingIsAChunkAtFirst) {
  const auto table = std::make_unique<ChunkTable>();
  testing::Random random(testing::Seed("chunk table"));
  for (int i = 0; i < 100'000; ++i) ASSERT_EQ(table->Use(random.Next()), ChunkUse::kNone);
  for (uintptr_t index = 0; index < ChunkTable::kEntries; ++index) ASSERT_FALSE(table->IsChunk(index << kChunkShift));
}

TEST(ChunkTable, EntryStandsForExactlyItsChunk) {
  const auto table = std::make_unique<ChunkTable>();
  for (uintptr_t base : {uintptr_t{0x00c0} << 32, kChunkBytes, (uintptr_t{1} << kAddressBits) - kChunkBytes}) {
    table->Set(base, ChunkUse::kPages);
    EXPECT_TRUE(table->IsChunk(base));
    EXPECT_TRUE(table->IsChunk(base + kChunkBytes - 1));
    EXPECT_FALSE(table->IsChunk(base - 1));
    EXPECT_FALSE(table->IsChunk(base + kChunkBytes));
    table->Set(base, ChunkUse::kHuge);
    EXPECT_FALSE(table->IsChunk(base));
    EXPECT_EQ(table->Use(base + 1), ChunkUse::kHuge);
    table->Set(base, ChunkUse::kNone);
    EXPECT_EQ(table->Use(base), ChunkUse::kNone);
  }
}

TEST(ChunkTable, AddressesThatNoProcessHasAreNoChunks) {
  const auto table = std::make_unique<ChunkTable>();
  for (uintptr_t index = 0; index < ChunkTable::kEntries; ++index) {
    table->Set(index << kChunkShift, ChunkUse::kPages);
  }
  EXPECT_TRUE(table->IsChunk((uintptr_t{1} << kAddressBits) - 1));
  for (uint32_t bit = kAddressBits; bit < 64; ++bit) {
    EXPECT_FALSE(table->IsChunk(uintptr_t{1} << bit)) << bit;
    EXPECT_FALSE(table->IsChunk((uintptr_t{1} << bit) | kChunkBytes)) << bit;
  }
  EXPECT_FALSE(table->IsChunk(~uintptr_t{0}));
}

}  // namespace
}  // namespace acre
