#include "os/limits.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <limits>
#include <string>

#include "os/memory_calls.h"
#include "tests/unit/os/mappings.h"

namespace acre::os {
namespace {

constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();

size_t CountDescriptors() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
  return count;
}

TEST(Limits, AddressSpaceAndLockedMemoryAreTheSoftLimits) {
  rlimit limit;
  ASSERT_EQ(getrlimit(RLIMIT_AS, &limit), 0);
  EXPECT_EQ(AddressSpaceLimitBytes(), limit.rlim_cur == RLIM_INFINITY ? kNoLimit : limit.rlim_cur);
  ASSERT_EQ(getrlimit(RLIMIT_MEMLOCK, &limit), 0);
  const rlim_t kept = limit.rlim_cur;
  limit.rlim_cur = 0;
  ASSERT_EQ(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
  EXPECT_EQ(LockedMemoryLimitBytes(), 0u);
  limit.rlim_cur = kept;
  ASSERT_EQ(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
  EXPECT_EQ(LockedMemoryLimitBytes(), kept == RLIM_INFINITY ? kNoLimit : kept);
}

TEST(Limits, PhysicalMemoryIsTheKernels) {
  const size_t expected = static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * OsPageBytes();
  EXPECT_EQ(PhysicalMemoryBytes(), expected);
}

TEST(Limits, CgroupMemoryIsNoneOrAPlausibleNumber) {
  const size_t bytes = CgroupMemoryLimitBytes();
  RecordProperty("bytes", std::to_string(bytes));
  EXPECT_GE(bytes, kMiB);
}

TEST(Limits, CpuCountFollowsTheAffinityMask) {
  cpu_set_t kept;
  ASSERT_EQ(sched_getaffinity(0, sizeof kept, &kept), 0);
  EXPECT_GE(CpuCount(), 1u);
  EXPECT_LE(CpuCount(), static_cast<uint32_t>(CPU_COUNT(&kept)));
  int first = 0;
  while (!CPU_ISSET(first, &kept)) ++first;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(first, &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  EXPECT_EQ(CpuCount(), 1u);
  ASSERT_EQ(sched_setaffinity(0, sizeof kept, &kept), 0);
}

TEST(Limits, ResidentBytesGrowWithTouchedMemory) {
  constexpr size_t kTouchedBytes = 32 * kMiB;
  const MemoryCalls& kernel = KernelMemoryCalls();
  const MapResult memory = kernel.map(kernel.context, 0, kTouchedBytes, Access::kReadWrite, Placement::kHint);
  ASSERT_EQ(memory.error, 0);
  const size_t before = ResidentBytes();
  EXPECT_GT(before, 0u);
  Fill(memory.address, kTouchedBytes, 1);
  // The kernel's counters are summed per CPU in batches and may lag by some pages.
  EXPECT_GE(ResidentBytes(), before + kTouchedBytes - kMiB);
  ASSERT_EQ(kernel.unmap(kernel.context, memory.address, kTouchedBytes), 0);
}

TEST(Limits, EveryDescriptorIsClosed) {
  const size_t before = CountDescriptors();
  (void)CgroupMemoryLimitBytes();
  (void)CpuCount();
  (void)ResidentBytes();
  EXPECT_EQ(CountDescriptors(), before);
}

TEST(Limits, ErrnoIsKept) {
  errno = E2BIG;
  (void)AddressSpaceLimitBytes();
  (void)CgroupMemoryLimitBytes();
  (void)CpuCount();
  (void)ResidentBytes();
  EXPECT_EQ(errno, E2BIG);
}

}  // namespace
}  // namespace acre::os
