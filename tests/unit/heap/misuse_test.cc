// What is said of each misuse: the whole line, with the address.

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "tests/support/allocator/heap_under_test.h"
#include "tests/support/child.h"

namespace acre {
namespace {

using testing::AddressOf;
using testing::HeapUnderTest;

std::string Hex(uintptr_t address) {
  char text[32];
  std::snprintf(text, sizeof text, "0x%zx", static_cast<size_t>(address));
  return text;
}

class MisuseTest : public ::testing::Test {
 protected:
  void ExpectLine(const std::function<void()>& misuse, const std::string& line) {
    const testing::ChildResult result = testing::RunInChild([&] {
      misuse();
      return 0;
    });
    EXPECT_TRUE(result.killed_by(SIGABRT)) << result.Describe();
    const std::vector<std::string> lines = result.error_lines();
    ASSERT_EQ(lines.size(), 1u) << result.Describe();
    EXPECT_EQ(lines[0], "acre: " + line);
  }

  char* Allocate(size_t bytes) { return static_cast<char*>(test_.Allocate(bytes)); }

  HeapUnderTest test_;
};

TEST_F(MisuseTest, DoubleFreeOfASlotInTheCache) {
  char* slot = Allocate(100);
  test_.Free(slot);
  ExpectLine([&] { test_.Free(slot); },
             "double free of " + Hex(AddressOf(slot)) + ": a slot of 112 bytes, freed before");
}

TEST_F(MisuseTest, DoubleFreeOfASlotThatWentBackToItsSpan) {
  char* slot = Allocate(100);
  char* neighbour = Allocate(100);
  test_.Free(slot);
  test_.cache().Flush();
  ExpectLine([&] { test_.Free(slot); },
             "double free of " + Hex(AddressOf(slot)) + ": a slot of 112 bytes, freed before");
  test_.Free(neighbour);
}

TEST_F(MisuseTest, DoubleFreeAfterThePageWasFreed) {
  char* slot = Allocate(100);
  test_.Free(slot);
  test_.cache().Flush();
  ExpectLine([&] { test_.Free(slot); }, "free of " + Hex(AddressOf(slot)) +
                                            ": no block is there (its page is free: freed before, or never allocated)");
}

TEST_F(MisuseTest, InteriorOfASlot) {
  char* slot = Allocate(100);
  for (size_t offset : {16, 32, 48, 96}) {
    ExpectLine([&] { test_.Free(slot + offset); },
               "free of " + Hex(AddressOf(slot) + offset) + ": " + std::to_string(offset) +
                   " bytes inside a slot of 112 bytes at " + Hex(AddressOf(slot)) + " (live)");
  }
  test_.Free(slot);
}

TEST_F(MisuseTest, MisalignedAddressInASlot) {
  char* slot = Allocate(2000);
  for (size_t offset : {1, 7, 8, 15, 17}) {
    ExpectLine([&] { test_.Free(slot + offset); },
               "free of " + Hex(AddressOf(slot) + offset) + ": " + std::to_string(offset) +
                   " bytes inside a slot of 2048 bytes at " + Hex(AddressOf(slot)) + " (live)");
  }
  test_.Free(slot);
}

TEST_F(MisuseTest, SlotThatWasNeverHandedOut) {
  char* slot = Allocate(5000);
  const size_t slot_bytes = test_.UsableBytes(slot);
  char* next = slot + 2 * slot_bytes;
  ExpectLine([&] { test_.Free(next); }, "free of " + Hex(AddressOf(next)) + ": 0 bytes inside a slot of " +
                                            std::to_string(slot_bytes) + " bytes at " + Hex(AddressOf(next)) +
                                            " (never allocated)");
  test_.Free(slot);
}

TEST_F(MisuseTest, AddressOutsideOfTheHeap) {
  alignas(16) char local[16];
  const std::string what = ": not an address of this heap (or of a block long given back)";
  for (uintptr_t address : {AddressOf(local), uintptr_t{16}, ~uintptr_t{15}, uintptr_t{1} << 47}) {
    ExpectLine([&] { test_.Free(reinterpret_cast<void*>(address)); }, "free of " + Hex(address) + what);
  }
}

TEST_F(MisuseTest, RecordsOfAChunk) {
  char* slot = Allocate(100);
  const uintptr_t records = ChunkOf(AddressOf(slot))->base() + 4096;
  ExpectLine([&] { test_.Free(reinterpret_cast<void*>(records)); },
             "free of " + Hex(records) + ": no block is there (its page is free: freed before, or never allocated)");
  test_.Free(slot);
}

TEST_F(MisuseTest, InteriorOfALargeBlock) {
  char* block = Allocate(100 * kKiB);
  for (size_t offset : {16ul, 8192ul, 100'000ul}) {
    ExpectLine([&] { test_.Free(block + offset); },
               "free of " + Hex(AddressOf(block) + offset) + ": " + std::to_string(offset) +
                   " bytes inside a live block of 106496 bytes at " + Hex(AddressOf(block)));
  }
  test_.Free(block);
}

TEST_F(MisuseTest, DoubleFreeOfALargeBlock) {
  char* block = Allocate(100 * kKiB);
  test_.Free(block);
  ExpectLine(
      [&] { test_.Free(block); },
      "free of " + Hex(AddressOf(block)) + ": no block is there (its page is free: freed before, or never allocated)");
}

TEST_F(MisuseTest, InteriorOfAHugeBlock) {
  char* block = Allocate(100 * kMiB);
  for (size_t offset : {16 + kMiB, 70 * kMiB}) {
    ExpectLine([&] { test_.Free(block + offset); },
               "free of " + Hex(AddressOf(block) + offset) + ": " + std::to_string(offset) +
                   " bytes inside a live block of 104857600 bytes at " + Hex(AddressOf(block)));
  }
  ExpectLine([&] { test_.Free(block + 101 * kMiB); }, "free of " + Hex(AddressOf(block) + 101 * kMiB) +
                                                          ": no block is there (freed before, or never allocated)");
  test_.Free(block);
}

TEST_F(MisuseTest, DoubleFreeOfAHugeBlock) {
  char* block = Allocate(100 * kMiB);
  test_.Free(block);
  ExpectLine([&] { test_.Free(block); },
             "free of " + Hex(AddressOf(block)) + ": not an address of this heap (or of a block long given back)");
}

TEST_F(MisuseTest, ReallocOfAFreedSlot) {
  char* slot = Allocate(100);
  test_.Free(slot);
  ExpectLine([&] { static_cast<void>(test_.Reallocate(slot, 1000)); },
             "realloc of " + Hex(AddressOf(slot)) + ": a slot of 112 bytes, freed before");
}

TEST_F(MisuseTest, ReallocOfAnInteriorAddress) {
  char* slot = Allocate(100);
  ExpectLine([&] { static_cast<void>(test_.Reallocate(slot + 16, 1000)); },
             "realloc of " + Hex(AddressOf(slot) + 16) + ": 16 bytes inside a slot of 112 bytes at " +
                 Hex(AddressOf(slot)) + " (live)");
  test_.Free(slot);
}

TEST_F(MisuseTest, SizeQueryNamesItsCaller) {
  char* slot = Allocate(100);
  test_.Free(slot);
  ExpectLine([&] { test_.UsableBytes(slot); },
             "size query of " + Hex(AddressOf(slot)) + ": a slot of 112 bytes, freed before");
}

}  // namespace
}  // namespace acre
