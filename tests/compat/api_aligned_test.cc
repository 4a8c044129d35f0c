// The functions that take an alignment.

#include <gtest/gtest.h>
#include <dlfcn.h>
#include <malloc.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <vector>

#include "tests/compat/blocks.h"
#include "tests/support/malloc_library.h"

namespace acre::testing {
namespace {

TEST(PosixMemalign, EveryAlignmentTo64MiB) {
  for (size_t alignment = sizeof(void*); alignment <= 64 * kMiB; alignment *= 2) {
    for (size_t bytes : {size_t{1}, size_t{100}, alignment - 1, alignment, alignment + 1, 3 * alignment}) {
      if (bytes > 70 * kMiB) continue;
      void* block = nullptr;
      ASSERT_EQ(posix_memalign(&block, alignment, bytes), 0) << alignment << ", " << bytes;
      ASSERT_TRUE(IsAligned(block, alignment)) << block << " for alignment " << alignment;
      ASSERT_GE(malloc_usable_size(block), bytes);
      std::memset(block, 1, bytes < 64 * kKiB ? bytes : 64 * kKiB);
      static_cast<char*>(block)[bytes - 1] = 1;
      free(block);
    }
  }
}

TEST(PosixMemalign, BlocksOfOneAlignmentDoNotOverlap) {
  for (size_t alignment : {32ul, 64ul, 256ul, 4096ul, 16384ul, 65536ul, 1 * kMiB}) {
    std::vector<void*> blocks(64);
    const size_t bytes = alignment * 3 / 2;
    for (size_t i = 0; i < blocks.size(); ++i) {
      ASSERT_EQ(posix_memalign(&blocks[i], alignment, bytes), 0);
      Fill(blocks[i], bytes, i);
    }
    for (size_t i = 0; i < blocks.size(); ++i) {
      ASSERT_TRUE(IsFilled(blocks[i], bytes, i)) << alignment;
      free(blocks[i]);
    }
  }
}

TEST(PosixMemalign, BadAlignmentIsReturnedNotStoredInErrno) {
  for (size_t alignment : {0ul, 1ul, 2ul, 4ul, 3ul, 24ul, 100ul, 4095ul, SIZE_MAX}) {
    void* block = &block;
    errno = 4711;
    EXPECT_EQ(posix_memalign(&block, Opaque(alignment), 100), EINVAL) << alignment;
    EXPECT_EQ(errno, 4711);
    EXPECT_EQ(block, static_cast<void*>(&block)) << "the result is left alone on failure";
  }
}

TEST(PosixMemalign, TooLargeIsReturnedNotStoredInErrno) {
  void* block = &block;
  errno = 4711;
  EXPECT_EQ(posix_memalign(&block, 64, Opaque(SIZE_MAX - 64)), ENOMEM);
  EXPECT_EQ(posix_memalign(&block, Opaque(size_t{1} << 62), 100), ENOMEM);
  EXPECT_EQ(block, static_cast<void*>(&block));
  if (RunsOnAcre()) {  // glibc sets errno too when memory is short.
    EXPECT_EQ(errno, 4711);
  }
}

TEST(AlignedAlloc, GivesTheAlignment) {
  for (size_t alignment = 1; alignment <= 4 * kMiB; alignment *= 2) {
    for (size_t bytes : {alignment, 3 * alignment, size_t{100}}) {
      void* block = Opaque(aligned_alloc(alignment, bytes));
      ASSERT_NE(block, nullptr) << alignment << ", " << bytes;
      EXPECT_TRUE(IsAligned(block, alignment < 16 ? 16 : alignment)) << block << ", " << alignment;
      std::memset(block, 1, bytes);
      free(block);
    }
  }
}

TEST(AlignedAlloc, AlignmentThatIsNoPowerOfTwoGivesEinval) {
  if (!RunsOnAcre()) GTEST_SKIP() << "C leaves it open; glibc accepts it";
  for (size_t alignment : {0ul, 3ul, 24ul, 100ul}) {
    errno = 0;
    EXPECT_EQ(Opaque(aligned_alloc(Opaque(alignment), 100)), nullptr) << alignment;
    EXPECT_EQ(errno, EINVAL) << alignment;
  }
}

TEST(AlignedAlloc, ReallocOfAnAlignedBlockKeepsTheContents) {
  for (size_t alignment : {64ul, 4096ul, 1 * kMiB}) {
    void* block = aligned_alloc(alignment, alignment);
    Fill(block, alignment, 0x77);
    block = realloc(block, 5 * alignment);
    ASSERT_TRUE(IsFilled(block, alignment, 0x77));
    block = realloc(block, 10);
    ASSERT_TRUE(IsFilled(block, 10, 0x77));
    free(block);
  }
}

TEST(Valloc, GivesWholePages) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  void* block = Opaque(valloc(100));
  EXPECT_TRUE(IsAligned(block, page));
  free(block);
  block = Opaque(pvalloc(100));
  EXPECT_TRUE(IsAligned(block, page));
  EXPECT_GE(malloc_usable_size(block), page);
  free(block);
  block = Opaque(pvalloc(page + 1));
  EXPECT_GE(malloc_usable_size(block), 2 * page);
  free(block);
  block = Opaque(memalign(512, 100));
  EXPECT_TRUE(IsAligned(block, 512));
  free(block);
}

TEST(FreeSized, FreesBlocksOfEverySize) {
  using FreeSized = void (*)(void*, size_t);
  const auto free_sized = reinterpret_cast<FreeSized>(dlsym(RTLD_DEFAULT, "free_sized"));
  if (free_sized == nullptr && !RunsOnAcre()) GTEST_SKIP() << "this malloc is older than C23";
  ASSERT_NE(free_sized, nullptr);
  free_sized(nullptr, 10);
  for (size_t bytes : {0ul, 1ul, 16ul, 100ul, 5000ul, 100'000ul, 3 * kMiB}) free_sized(malloc(bytes), bytes);
  for (size_t bytes : {1ul, 100ul, 5000ul}) free_sized(calloc(1, bytes), bytes);
}

TEST(FreeAlignedSized, FreesBlocksOfEveryAlignment) {
  using FreeAlignedSized = void (*)(void*, size_t, size_t);
  const auto free_aligned_sized = reinterpret_cast<FreeAlignedSized>(dlsym(RTLD_DEFAULT, "free_aligned_sized"));
  if (free_aligned_sized == nullptr && !RunsOnAcre()) GTEST_SKIP() << "this malloc is older than C23";
  ASSERT_NE(free_aligned_sized, nullptr);
  free_aligned_sized(nullptr, 16, 10);
  for (size_t alignment = 16; alignment <= 4 * kMiB; alignment *= 2) {
    free_aligned_sized(aligned_alloc(alignment, 2 * alignment), alignment, 2 * alignment);
  }
}

}  // namespace
}  // namespace acre::testing
