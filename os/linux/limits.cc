#include "os/limits.h"

#include <sys/resource.h>
#include <sys/sysinfo.h>

#include <array>
#include <bit>
#include <limits>

#include "os/linux/cgroup.h"
#include "os/linux/system_call.h"
#include "os/linux/text.h"
#include "os/memory_calls.h"

namespace acre::os {
namespace {

constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();
constexpr uint32_t kNoQuota = std::numeric_limits<uint32_t>::max();

size_t SoftLimit(int resource) {
  // prlimit64 has 64-bit numbers on every architecture, and a zero process means the caller.
  struct {
    uint64_t soft;
    uint64_t hard;
  } limits;
  if (SystemCall(SYS_prlimit64, 0, resource, nullptr, &limits) != 0) return kNoLimit;
  return limits.soft >= kNoLimit ? kNoLimit : static_cast<size_t>(limits.soft);
}

// Calls parse(line) on the first line of a file; `otherwise` if there is none.
template <class Result, class Parse>
Result ParseFirstLine(const char* path, Result otherwise, Parse parse) {
  if (path == nullptr) return otherwise;
  LineReader reader(path);
  Text line;
  return reader.Next(&line) ? static_cast<Result>(parse(line)) : otherwise;
}

uint64_t ReadNumber(const char* path, uint64_t otherwise) {
  return ParseFirstLine(path, otherwise, [otherwise](Text line) {
    uint64_t number;
    return ParseNumber(line, &number) ? number : otherwise;
  });
}

void LowerCpus(void* least_cpus, uint32_t cpus) {
  auto& least = *static_cast<uint32_t*>(least_cpus);
  if (cpus < least) least = cpus;
}

void VisitCpuV2(void* least_cpus, CgroupDirectory* directory) {
  LowerCpus(least_cpus, ParseFirstLine(directory->File("cpu.max"), kNoQuota, ParseCpuMax));
}

void VisitCpuV1(void* least_cpus, CgroupDirectory* directory) {
  // No quota is written as -1, which is not a number to ReadNumber.
  constexpr uint64_t kNone = std::numeric_limits<uint64_t>::max();
  const uint64_t quota_us = ReadNumber(directory->File("cpu.cfs_quota_us"), kNone);
  if (quota_us == kNone) return;
  LowerCpus(least_cpus, CpusOfQuota(quota_us, ReadNumber(directory->File("cpu.cfs_period_us"), 0)));
}

uint32_t AffinityCpuCount() {
  std::array<uint64_t, 128> mask = {};  // 8192 CPUs, the most that Linux can be built for.
  const long bytes = SystemCall(SYS_sched_getaffinity, 0, sizeof mask, mask.data());
  if (bytes <= 0) return 1;
  uint32_t count = 0;
  for (const uint64_t word : mask) count += static_cast<uint32_t>(std::popcount(word));
  return count == 0 ? 1 : count;
}

}  // namespace

size_t AddressSpaceLimitBytes() { return SoftLimit(RLIMIT_AS); }
size_t LockedMemoryLimitBytes() { return SoftLimit(RLIMIT_MEMLOCK); }

size_t CgroupMemoryLimitBytes() { return LeastCgroupMemoryBytes({}); }

size_t PhysicalMemoryBytes() {
  // Not sysconf: some C libraries read /proc/meminfo with stdio for it.
  struct sysinfo info = {};
  if (SystemCall(SYS_sysinfo, &info) != 0) return kNoLimit;
  return static_cast<size_t>(info.totalram) * info.mem_unit;
}

uint32_t CpuCount() {
  uint32_t cpus = AffinityCpuCount();
  ForEachCgroup({}, kCgroupV2, &cpus, VisitCpuV2);
  ForEachCgroup({}, "cpu", &cpus, VisitCpuV1);
  return cpus;
}

size_t ResidentBytes() {
  return ParseFirstLine("/proc/self/statm", size_t{0}, [](Text line) {
    CutUntil(' ', &line);
    uint64_t os_pages;
    return ParseNumber(CutUntil(' ', &line), &os_pages) ? static_cast<size_t>(os_pages) * OsPageBytes() : 0;
  });
}

}  // namespace acre::os
