#include "os/memory_calls.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>

#include "tests/unit/os/mappings.h"

namespace acre::os {
namespace {

const MemoryCalls& kernel = KernelMemoryCalls();

TEST(KernelMemoryCalls, OsPageIsTheKernels) { EXPECT_EQ(OsPageBytes(), static_cast<size_t>(sysconf(_SC_PAGESIZE))); }

TEST(KernelMemoryCalls, ErrnoIsKeptByEveryCallThatFails) {
  const uintptr_t odd = 1;  // No multiple of a page: refused by all.
  errno = E2BIG;
  EXPECT_EQ(kernel.map(kernel.context, odd, 0, Access::kNone, Placement::kFixed).error, EINVAL);
  EXPECT_EQ(kernel.unmap(kernel.context, odd, 1), EINVAL);
  EXPECT_EQ(kernel.protect(kernel.context, odd, 1, Access::kNone), EINVAL);
  EXPECT_EQ(kernel.advise(kernel.context, odd, 1, Advice::kDiscard), EINVAL);
  EXPECT_EQ(kernel.query(kernel.context, odd), EINVAL);
  EXPECT_NE(kernel.remap(kernel.context, odd, 1, 1, 0).error, 0);
  kernel.name(kernel.context, odd, 1, "Acre: test");
  EXPECT_EQ(errno, E2BIG);
}

TEST(KernelMemoryCalls, NoReplaceNeverReplaces) {
  const MapResult first = kernel.map(kernel.context, 0, OsPageBytes(), Access::kReadWrite, Placement::kHint);
  ASSERT_EQ(first.error, 0);
  const MapResult second =
      kernel.map(kernel.context, first.address, OsPageBytes(), Access::kNone, Placement::kFixedNoReplace);
  EXPECT_EQ(second.error, EEXIST);
  EXPECT_EQ(ProtectionAt(first.address), "rw-p");
  EXPECT_EQ(kernel.unmap(kernel.context, first.address, OsPageBytes()), 0);
}

TEST(KernelMemoryCalls, QueryTellsMappedFromFree) {
  const MapResult page = kernel.map(kernel.context, 0, OsPageBytes(), Access::kNone, Placement::kHint);
  ASSERT_EQ(page.error, 0);
  EXPECT_EQ(kernel.query(kernel.context, page.address), 0) << "a page without access is mapped all the same";
  EXPECT_EQ(kernel.unmap(kernel.context, page.address, OsPageBytes()), 0);
  EXPECT_EQ(kernel.query(kernel.context, page.address), ENOMEM);
}

TEST(KernelMemoryCalls, RemapGrowsInPlaceIntoFreeSpace) {
  const uintptr_t base = FindFreeRange(4 * OsPageBytes());
  ASSERT_EQ(kernel.map(kernel.context, base, OsPageBytes(), Access::kReadWrite, Placement::kHint).address, base);
  Fill(base, OsPageBytes(), 9);
  const MapResult grown = kernel.remap(kernel.context, base, OsPageBytes(), 4 * OsPageBytes(), 0);
  ASSERT_EQ(grown.error, 0);
  EXPECT_EQ(grown.address, base);
  EXPECT_TRUE(IsFilledWith(base, OsPageBytes(), 9));
  Fill(base, 4 * OsPageBytes(), 8);
  EXPECT_EQ(kernel.unmap(kernel.context, base, 4 * OsPageBytes()), 0);
}

TEST(KernelMemoryCalls, PopulateWriteFaultsPagesIn) {
  constexpr size_t kBytes = kMiB;
  const MapResult memory = kernel.map(kernel.context, 0, kBytes, Access::kReadWrite, Placement::kHint);
  ASSERT_EQ(memory.error, 0);
  const int error = kernel.advise(kernel.context, memory.address, kBytes, Advice::kPopulateWrite);
  EXPECT_TRUE(error == 0 || error == EINVAL) << error;
  EXPECT_TRUE(IsFilledWith(memory.address, kBytes, 0));
  EXPECT_EQ(kernel.unmap(kernel.context, memory.address, kBytes), 0);
}

TEST(KernelMemoryCalls, NamesAreVisibleWhereTheKernelHasThem) {
  const MapResult memory = kernel.map(kernel.context, 0, OsPageBytes(), Access::kReadWrite, Placement::kHint);
  ASSERT_EQ(memory.error, 0);
  kernel.name(kernel.context, memory.address, OsPageBytes(), "Acre: named in a test");
  const bool is_named = MapsMention("[anon:Acre: named in a test]");
  EXPECT_EQ(kernel.unmap(kernel.context, memory.address, OsPageBytes()), 0);
  if (!is_named) GTEST_SKIP() << "this kernel does not name mappings (CONFIG_ANON_VMA_NAME, 5.17)";
}

}  // namespace
}  // namespace acre::os
