// Out of memory, of address space, or of maps: null and ENOMEM, nothing leaks, and the heap works on.

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <vector>

#include "tests/compat/blocks.h"
#include "tests/support/child.h"
#include "tests/support/malloc_library.h"
#include "tests/support/process_memory.h"
#include "tests/support/seed.h"

namespace acre::testing {
namespace {

// The first word of each block links to the block before: the test itself needs no memory.
struct Link {
  Link* next;
};

struct Blocks {
  Link* blocks = nullptr;
  size_t count = 0;
  int error = 0;  // errno of the refusal.
};

Blocks AllocateUntilRefused(const std::function<size_t()>& next_bytes, size_t most = SIZE_MAX) {
  Blocks fill;
  while (fill.count < most) {
    const size_t bytes = next_bytes();
    errno = 0;
    auto* block = static_cast<Link*>(Opaque(malloc(bytes)));
    if (block == nullptr) {
      fill.error = errno;
      return fill;
    }
    block->next = fill.blocks;
    fill.blocks = block;
    ++fill.count;
  }
  return fill;
}

void FreeAll(Blocks& fill) {
  while (fill.blocks != nullptr) {
    Link* block = fill.blocks;
    fill.blocks = block->next;
    free(block);
  }
}

void LimitAddressSpace(size_t spare_bytes) {
  const size_t limit = VirtualBytes() + spare_bytes;
  const rlimit value{limit, limit};
  if (setrlimit(RLIMIT_AS, &value) != 0) _exit(99);
}

// Returns 0, or a distinct number for what went wrong first.
int ExhaustRepeatedly(const std::function<size_t()>& next_bytes, size_t spare_bytes) {
  LimitAddressSpace(spare_bytes);
  size_t first_count = 0;
  for (int round = 0; round < 5; ++round) {
    Blocks fill = AllocateUntilRefused(next_bytes);
    std::fprintf(stderr, "round %d: %zu blocks; ", round, fill.count);
    if (fill.error != ENOMEM) return 10 + round;
    if (fill.count < 1) return 20 + round;
    if (round == 0) first_count = fill.count;
    FreeAll(fill);
    // What was freed serves again: nothing leaked on the way to the refusal.
    if (fill.count < first_count * 9 / 10) return 30 + round;
    void* small = malloc(100);
    void* large = malloc(kMiB);
    if (small == nullptr || large == nullptr) return 40 + round;
    free(small);
    free(large);
  }
  return 0;
}

void ExpectExhaustionIsSurvived(const std::function<size_t()>& next_bytes, size_t spare_bytes = 200 * kMiB) {
  const ChildResult result = RunInChild([&] { return ExhaustRepeatedly(next_bytes, spare_bytes); }, 120);
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
  std::printf("  %s\n", result.error_output.c_str());
}

TEST(AddressSpaceLimit, SmallBlocksOfOneSize) {
  ExpectExhaustionIsSurvived([] { return size_t{100}; });
  ExpectExhaustionIsSurvived([] { return size_t{4096}; });
}

TEST(AddressSpaceLimit, LargeBlocksOfOneSize) {
  ExpectExhaustionIsSurvived([] { return 64 * kKiB; });
  ExpectExhaustionIsSurvived([] { return 3 * kMiB; });
}

TEST(AddressSpaceLimit, SmallMallocsReachMostOfTheLimit) {
  const ChildResult result = RunInChild([] {
    LimitAddressSpace(200 * kMiB);
    Blocks fill = AllocateUntilRefused([] { return size_t{1000}; });
    std::fprintf(stderr, "%zu MiB", fill.count * 1000 / kMiB);
    return fill.count * 1000 >= 120 * kMiB ? 0 : 1;
  });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
}

TEST(AddressSpaceLimit, MixedSizesWithHolesLeakNothing) {
  const uint64_t seed = Seed("MixedSizes");
  const ChildResult result = RunInChild(
      [seed] {
        Random random(seed);
        LimitAddressSpace(200 * kMiB);
        for (int round = 0; round < 20; ++round) {
          Blocks fill = AllocateUntilRefused([&] { return sizeof(Link) + random.Skewed(21); });
          std::fprintf(stderr, "%zu ", fill.count);
          if (fill.error != ENOMEM) return 1;
          FreeAll(fill);
          // Fragments must not keep half of the limit. (glibc's arenas do.)
          void* most = malloc((RunsOnAcre() ? 100 : 1) * kMiB);
          if (most == nullptr) return 2;
          free(most);
        }
        return 0;
      },
      120);
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
}

TEST(AddressSpaceLimit, ReallocAndCallocAndAlignedAreRefusedToo) {
  const ChildResult result = RunInChild([] {
    LimitAddressSpace(50 * kMiB);
    char* block = static_cast<char*>(malloc(100));
    Fill(block, 100, 0x42);
    errno = 0;
    if (Opaque(realloc(block, 100 * kMiB)) != nullptr || errno != ENOMEM) return 1;
    if (!IsFilled(Opaque(block), 100, 0x42)) return 2;
    errno = 0;
    if (Opaque(calloc(100, kMiB)) != nullptr || errno != ENOMEM) return 3;
    errno = 0;
    if (Opaque(aligned_alloc(4096, 100 * kMiB)) != nullptr || errno != ENOMEM) return 4;
    void* result_block = nullptr;
    if (posix_memalign(&result_block, 64, 100 * kMiB) != ENOMEM) return 5;
    free(Opaque(block));
    return 0;
  });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
}

TEST(AddressSpaceLimit, LoweredUnderWhatIsMappedRefusesOnlyGrowth) {
  const ChildResult result = RunInChild([] {
    Blocks fill = AllocateUntilRefused([] { return size_t{1000}; }, 20'000);
    const rlimit value{kMiB, kMiB};
    if (setrlimit(RLIMIT_AS, &value) != 0) return 99;
    FreeAll(fill);
    errno = 0;
    if (Opaque(malloc(300 * kMiB)) != nullptr || errno != ENOMEM) return 1;
    void* small = Opaque(malloc(1000));  // From what was just freed.
    if (small == nullptr) return 2;
    free(small);
    return 0;
  });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
}

// Maps single pages whose protection alternates, so that the kernel can merge none, until it refuses another map.
size_t UseUpMaps(size_t spare) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t pages = MappingLimit() + 1000;
  char* region = static_cast<char*>(
      mmap(nullptr, pages * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  if (region == MAP_FAILED) return 0;
  size_t used = 0;
  for (size_t i = 1; i < pages; i += 2) {
    if (mprotect(region + i * page, page, PROT_READ) != 0) break;
    used += 2;
  }
  for (size_t i = 1; i < spare; i += 2) mprotect(region + i * page, page, PROT_NONE);
  return used;
}

int WorkWithoutMaps(size_t spare) {
  Blocks before = AllocateUntilRefused([] { return size_t{100}; }, 10'000);
  if (MappingLimit() == 0 || MappingLimit() > 1'000'000) return 0;  // Raised so far that it cannot be reached here.
  if (UseUpMaps(spare) < 1000) return 98;
  // Room may or may not be found: blocks or refusals, then frees, and the same again.
  for (size_t bytes : {16ul, 100ul, 5000ul, 40'000ul, 1 * kMiB, 100 * kMiB}) {
    for (int round = 0; round < 3; ++round) {
      Blocks fill = AllocateUntilRefused([&] { return bytes; }, 100 * kMiB / bytes);
      if (fill.error != 0 && fill.error != ENOMEM) return 1;
      for (Link* block = fill.blocks; block != nullptr; block = block->next) Fill(block + 1, bytes - sizeof(Link), 7);
      FreeAll(fill);
    }
  }
  void* grown = malloc(100);
  for (size_t bytes = 1000; bytes < 50 * kMiB; bytes *= 2) {
    void* next = realloc(Opaque(grown), bytes);
    if (next != nullptr) grown = next;
  }
  free(grown);
  FreeAll(before);
  return 0;
}

TEST(MapCountLimit, NoMapLeft) {
  const ChildResult result = RunInChild([] { return WorkWithoutMaps(0); }, 120);
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
  EXPECT_EQ(result.error_output, "");
}

TEST(MapCountLimit, FewMapsLeft) {
  const ChildResult result = RunInChild([] { return WorkWithoutMaps(40); }, 120);
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
  EXPECT_EQ(result.error_output, "");
}

TEST(MapCountLimit, ManyMixedBlocksUseFewMaps) {
  // A heap that gives single pages back by protecting or unmapping them would reach the limit by itself.
  Random random(Seed("ManyMixedBlocks"));
  const size_t before = MappingCount();
  std::vector<void*> blocks(4000);
  for (int step = 0; step < 40'000; ++step) {
    void*& slot = blocks[random.Below(blocks.size())];
    free(slot);
    slot = malloc(random.Skewed(random.OneIn(20) ? 18 : 13));
  }
  const size_t during = MappingCount();
  for (void* block : blocks) free(block);
  std::printf("  %zu maps before, %zu during, %zu after\n", before, during, MappingCount());
  EXPECT_LT(during, before + 2000);
}

}  // namespace
}  // namespace acre::testing
