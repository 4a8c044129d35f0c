// The edges of malloc, calloc, realloc and free, as C, POSIX and (where those leave it open) glibc have them.

#include <gtest/gtest.h>
#include <malloc.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "tests/compat/blocks.h"
#include "tests/support/malloc_library.h"
#include "tests/support/seed.h"

namespace acre::testing {
namespace {

TEST(Malloc, ZeroBytesGiveUniqueBlocks) {
  std::set<void*> seen;
  for (int i = 0; i < 1000; ++i) {
    void* block = Opaque(malloc(0));
    ASSERT_NE(block, nullptr);
    EXPECT_TRUE(seen.insert(block).second) << block << " was handed out twice";
  }
  for (void* block : seen) free(block);
}

TEST(Malloc, EverySizeIsAlignedTo16AndWritable) {
  std::vector<void*> blocks;
  const auto check = [&](size_t bytes) {
    void* block = malloc(bytes);
    ASSERT_NE(block, nullptr) << bytes;
    EXPECT_TRUE(IsAligned(block, 16)) << block << " of " << bytes << " bytes";
    Fill(block, bytes, bytes);
    blocks.push_back(block);
  };
  std::vector<size_t> sizes;
  for (size_t bytes = 1; bytes <= 2 * kKiB; ++bytes) sizes.push_back(bytes);
  for (size_t bytes = 2 * kKiB; bytes <= 32 * kMiB; bytes = bytes * 5 / 4) sizes.push_back(bytes + 1);
  for (size_t bytes : sizes) check(bytes);
  // All are still whole after all were written: no two overlap.
  for (size_t i = 0; i < sizes.size(); ++i) {
    ASSERT_TRUE(IsFilled(blocks[i], sizes[i], sizes[i])) << sizes[i] << " bytes at " << blocks[i];
    free(blocks[i]);
  }
}

TEST(Malloc, UsableSizeCoversTheRequestAndIsWritable) {
  for (size_t bytes = 0; bytes <= 8 * kMiB; bytes = bytes * 9 / 8 + 1) {
    void* block = malloc(bytes);
    void* neighbour = malloc(bytes);
    const size_t usable = malloc_usable_size(block);
    ASSERT_GE(usable, bytes);
    Fill(neighbour, malloc_usable_size(neighbour), 0x11);
    Fill(block, usable, 0x22);
    EXPECT_TRUE(IsFilled(neighbour, malloc_usable_size(neighbour), 0x11)) << bytes;
    EXPECT_TRUE(IsFilled(block, usable, 0x22)) << bytes;
    free(neighbour);
    free(block);
  }
  EXPECT_EQ(malloc_usable_size(nullptr), 0u);
}

TEST(Calloc, ReusedMemoryIsZeroed) {
  for (size_t bytes : {1ul, 16ul, 100ul, 4096ul, 33000ul, 200 * kKiB, 3 * kMiB, 40 * kMiB}) {
    for (int round = 0; round < 20; ++round) {
      void* dirty = malloc(bytes);
      Fill(dirty, malloc_usable_size(dirty), 0xff);
      free(Opaque(dirty));
      void* clean = Opaque(calloc(1, bytes));
      ASSERT_NE(clean, nullptr);
      ASSERT_TRUE(IsFilled(clean, bytes, 0)) << bytes << " bytes, round " << round;
      Fill(clean, bytes, 0xee);
      free(clean);
    }
  }
}

TEST(Calloc, ManyBlocksOfRandomSizesAreZeroed) {
  Random random(Seed("Calloc"));
  std::vector<void*> blocks(500);
  for (int step = 0; step < 50'000; ++step) {
    void*& slot = blocks[random.Below(blocks.size())];
    free(slot);
    const size_t bytes = random.Skewed(15);
    slot = random.OneIn(2) ? calloc(1, bytes) : calloc(bytes, 1);
    ASSERT_TRUE(IsFilled(slot, bytes, 0)) << bytes << " bytes at step " << step;
    Fill(slot, malloc_usable_size(slot), 0xff);
  }
  for (void* block : blocks) free(block);
}

TEST(Realloc, KeepsTheContentsGrowingAndShrinking) {
  Random random(Seed("Realloc"));
  size_t bytes = 1;
  auto* block = static_cast<unsigned char*>(malloc(bytes));
  block[0] = 0;
  for (int step = 0; step < 2000; ++step) {
    const size_t next = 1 + random.Skewed(22);
    block = static_cast<unsigned char*>(realloc(block, next));
    ASSERT_NE(block, nullptr);
    const size_t kept = next < bytes ? next : bytes;
    for (size_t i = 0; i < kept; i += 1 + kept / 512) ASSERT_EQ(block[i], (i * 7) & 0xff) << i << " of " << kept;
    for (size_t i = 0; i < next; ++i) block[i] = static_cast<unsigned char>(i * 7);
    bytes = next;
  }
  free(block);
}

TEST(Realloc, GrowsOneBlockTo64MiBInSteps) {
  constexpr size_t kStep = 64 * kKiB;
  char* block = nullptr;
  for (size_t bytes = kStep; bytes <= 64 * kMiB; bytes += kStep) {
    block = static_cast<char*>(realloc(block, bytes));
    ASSERT_NE(block, nullptr);
    std::memcpy(block + bytes - sizeof bytes, &bytes, sizeof bytes);
  }
  for (size_t bytes = kStep; bytes <= 64 * kMiB; bytes += kStep) {
    size_t found = 0;
    std::memcpy(&found, block + bytes - sizeof bytes, sizeof found);
    ASSERT_EQ(found, bytes);
  }
  free(block);
}

TEST(Realloc, OfNullAllocates) {
  void* block = Opaque(realloc(nullptr, 100));
  ASSERT_NE(block, nullptr);
  EXPECT_GE(malloc_usable_size(block), 100u);
  free(block);
}

TEST(Realloc, ToZeroFreesAndGivesNull) {
  void* block = malloc(100);
  errno = 0;
  EXPECT_EQ(Opaque(realloc(block, Opaque(size_t{0}))), nullptr);
  EXPECT_EQ(errno, 0);
  // Had it not been freed, this loop would hold 10 GiB.
  for (int i = 0; i < 10'000; ++i) {
    void* large = malloc(kMiB);
    std::memset(large, 1, 4 * kKiB);
    ASSERT_EQ(Opaque(realloc(large, Opaque(size_t{0}))), nullptr);
  }
}

TEST(Free, OfNullDoesNothing) { free(Opaque<void*>(nullptr)); }

TEST(Free, KeepsErrno) {
  for (size_t bytes : {1ul, 100ul, 10'000ul, 100'000ul, 1 * kMiB, 40 * kMiB, 300 * kMiB}) {
    void* block = malloc(bytes);
    ASSERT_NE(block, nullptr);
    errno = 4711;
    free(Opaque(block));
    EXPECT_EQ(errno, 4711) << bytes;
  }
}

TEST(Malloc, SuccessKeepsErrno) {
  // Not demanded by the standard, but programs that test errno late exist, and glibc behaves so.
  for (size_t bytes : {1ul, 100ul, 100'000ul, 40 * kMiB}) {
    errno = 4711;
    void* block = Opaque(malloc(bytes));
    EXPECT_EQ(errno, 4711) << bytes;
    free(block);
  }
}

struct Request {
  std::string name;
  std::function<void*(size_t)> allocate;
};

std::vector<Request> EveryFunction() {
  return {
      {"malloc", [](size_t n) { return malloc(n); }},
      {"calloc(1, n)", [](size_t n) { return calloc(1, n); }},
      {"calloc(n, 1)", [](size_t n) { return calloc(n, 1); }},
      {"realloc(NULL)", [](size_t n) { return realloc(nullptr, n); }},
      {"reallocarray(NULL, 1, n)", [](size_t n) { return reallocarray(nullptr, 1, n); }},
      {"aligned_alloc(16)", [](size_t n) { return aligned_alloc(16, n); }},
      {"aligned_alloc(4096)", [](size_t n) { return aligned_alloc(4096, n); }},
      {"memalign(64)", [](size_t n) { return memalign(64, n); }},
      {"valloc", [](size_t n) { return valloc(n); }},
      {"pvalloc", [](size_t n) { return pvalloc(n); }},
  };
}

TEST(TooLarge, GivesNullAndEnomemFromEveryFunction) {
  for (const Request& request : EveryFunction()) {
    for (size_t bytes : {SIZE_MAX, SIZE_MAX - 15, SIZE_MAX - 4096, SIZE_MAX / 2 + 1, SIZE_MAX / 2 + 4097}) {
      errno = 0;
      EXPECT_EQ(request.allocate(Opaque(bytes)), nullptr) << request.name << " of " << bytes;
      EXPECT_EQ(errno, ENOMEM) << request.name << " of " << bytes;
    }
  }
}

TEST(TooLarge, MoreThanTheAddressSpaceGivesNullAndEnomem) {
  // Under PTRDIFF_MAX, yet more than any user address space: refused by the kernel, not by arithmetic.
  for (const Request& request : EveryFunction()) {
    errno = 0;
    EXPECT_EQ(request.allocate(Opaque(SIZE_MAX / 2 - 64 * kKiB)), nullptr) << request.name;
    EXPECT_EQ(errno, ENOMEM) << request.name;
  }
}

TEST(TooLarge, ProductThatOverflowsGivesNullAndEnomem) {
  const size_t half = Opaque(size_t{1} << 33);
  errno = 0;
  EXPECT_EQ(calloc(half, half), nullptr);
  EXPECT_EQ(errno, ENOMEM);
  errno = 0;
  EXPECT_EQ(calloc(Opaque(SIZE_MAX), 2), nullptr);
  EXPECT_EQ(errno, ENOMEM);
  errno = 0;
  EXPECT_EQ(reallocarray(nullptr, half, half), nullptr);
  EXPECT_EQ(errno, ENOMEM);
}

TEST(TooLarge, FailedReallocLeavesTheBlockAlone) {
  for (size_t bytes : {100ul, 100'000ul, 3 * kMiB}) {
    void* block = malloc(bytes);
    Fill(block, bytes, 0x5a);
    errno = 0;
    EXPECT_EQ(Opaque(realloc(Opaque(block), Opaque(SIZE_MAX))), nullptr);
    EXPECT_EQ(errno, ENOMEM);
    errno = 0;
    EXPECT_EQ(Opaque(reallocarray(Opaque(block), Opaque(SIZE_MAX / 4), 16)), nullptr);
    EXPECT_EQ(errno, ENOMEM);
    errno = 0;
    EXPECT_EQ(Opaque(realloc(Opaque(block), Opaque(SIZE_MAX / 2 - 64 * kKiB))), nullptr);
    EXPECT_EQ(errno, ENOMEM);
    EXPECT_TRUE(IsFilled(Opaque(block), bytes, 0x5a)) << bytes;
    free(block);
  }
}

TEST(Malloc, RandomOperationsKeepContents) {
  struct Block {
    void* at = nullptr;
    size_t bytes = 0;
    uint64_t tag = 0;
  };
  Random random(Seed("RandomOperations"));
  std::vector<Block> blocks(2000);
  for (int step = 0; step < 300'000; ++step) {
    Block& block = blocks[random.Below(blocks.size())];
    ASSERT_TRUE(IsFilled(block.at, block.bytes, block.tag)) << "step " << step << ", " << block.bytes << " bytes";
    const size_t bytes = random.Skewed(random.OneIn(500) ? 22 : 13);
    if (random.OneIn(4)) {
      block.at = realloc(block.at, bytes + 1);
    } else {
      free(block.at);
      block.at = malloc(bytes + 1);
    }
    block.bytes = bytes + 1;
    block.tag = random.Next();
    Fill(block.at, block.bytes, block.tag);
  }
  for (Block& block : blocks) free(block.at);
}

}  // namespace
}  // namespace acre::testing
