#include "allocator/base/metadata.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <limits>
#include <map>
#include <set>
#include <vector>

#include "os/fake/fake_memory.h"
#include "tests/support/seed.h"

namespace acre {
namespace {

class MetadataTest : public ::testing::Test {
 protected:
  ~MetadataTest() override { metadata_.ReleaseAll(); }

  os::FakeMemory fake_;
  os::AddressSpace space_{fake_.calls(), std::numeric_limits<size_t>::max()};
  Metadata metadata_{space_};
};

TEST_F(MetadataTest, BlockIsAlignedToItsSizeOrAnOsPage) {
  for (size_t bytes = 1; bytes <= Metadata::kMaxBlockBytes; bytes = bytes < 70 ? bytes + 1 : bytes * 3 / 2) {
    for (int i = 0; i < 5; ++i) {
      const auto block = reinterpret_cast<uintptr_t>(metadata_.Allocate(bytes));
      ASSERT_NE(block, 0u);
      const size_t size = std::max(std::bit_ceil(bytes), Metadata::kMinBlockBytes);
      EXPECT_EQ(block % std::min(size, os::OsPageBytes()), 0u) << bytes;
    }
  }
}

TEST_F(MetadataTest, LiveBlocksNeverOverlapAndKeepTheirContents) {
  testing::Random random(testing::Seed("metadata"));
  struct Block {
    size_t bytes;
    unsigned char pattern;
  };
  std::map<unsigned char*, Block> blocks;
  for (int round = 0; round < 4000; ++round) {
    if (!blocks.empty() && random.OneIn(2)) {
      auto victim = blocks.begin();
      std::advance(victim, static_cast<long>(random.Below(blocks.size())));
      const auto [bytes, pattern] = victim->second;
      for (size_t i = 0; i < bytes; ++i) ASSERT_EQ(victim->first[i], pattern);
      metadata_.Free(victim->first, bytes);
      blocks.erase(victim);
      continue;
    }
    const size_t bytes = 1 + random.Below(random.OneIn(20) ? Metadata::kMaxBlockBytes : 600);
    auto* memory = static_cast<unsigned char*>(metadata_.Allocate(bytes));
    ASSERT_NE(memory, nullptr);
    const auto above = blocks.upper_bound(memory);
    if (above != blocks.end()) {
      ASSERT_LE(memory + bytes, above->first);
    }
    if (above != blocks.begin()) {
      ASSERT_LE(std::prev(above)->first + std::prev(above)->second.bytes, memory);
    }
    const auto pattern = static_cast<unsigned char>(random.Next());
    std::memset(memory, pattern, bytes);
    blocks[memory] = {bytes, pattern};
  }
}

TEST_F(MetadataTest, FreedBlockOfOneSizeIsUsedForThatSizeAgain) {
  void* small = metadata_.Allocate(100);
  void* large = metadata_.Allocate(1000);
  metadata_.Free(small, 100);
  metadata_.Free(large, 1000);
  EXPECT_EQ(metadata_.Allocate(1024), large);
  EXPECT_EQ(metadata_.Allocate(128), small);
}

TEST_F(MetadataTest, RefusalIsNullAndLaterCallsWorkAgain) {
  fake_.FailNth(1, ENOMEM, os::FakeMemory::Repeat::kForever);
  EXPECT_EQ(metadata_.Allocate(64), nullptr);
  EXPECT_EQ(metadata_.Allocate(64), nullptr);
  fake_.StopFailing();
  EXPECT_NE(metadata_.Allocate(64), nullptr);
}

TEST_F(MetadataTest, ReleaseAllGivesEveryRegionBack) {
  for (int i = 0; i < 100; ++i) ASSERT_NE(metadata_.Allocate(Metadata::kMaxBlockBytes), nullptr);
  EXPECT_GE(space_.stats().metadata_bytes, 100 * Metadata::kMaxBlockBytes);
  metadata_.ReleaseAll();
  EXPECT_EQ(space_.stats().metadata_bytes, 0u);
  EXPECT_EQ(fake_.mapped_bytes(), 0u);
  EXPECT_NE(metadata_.Allocate(64), nullptr) << "it works on afterwards";
}

TEST_F(MetadataTest, OversizeRequestIsFatal) {
  EXPECT_DEATH(static_cast<void>(metadata_.Allocate(Metadata::kMaxBlockBytes + 1)), "acre: .*check failed");
}

}  // namespace
}  // namespace acre
