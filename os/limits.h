#pragma once

// What the process may use. Each call reads afresh; none allocates; "no limit" is SIZE_MAX.

#include <cstddef>
#include <cstdint>

namespace acre::os {

size_t AddressSpaceLimitBytes();   // RLIMIT_AS.
size_t LockedMemoryLimitBytes();   // RLIMIT_MEMLOCK.
size_t CgroupMemoryLimitBytes();   // The least limit on this process's cgroup and its parents, v2 or v1.
size_t PhysicalMemoryBytes();
uint32_t CpuCount();               // Within the affinity mask and the cgroup's quota, rounded up; at least 1.

// Resident bytes of this process (/proc/self/statm).
size_t ResidentBytes();

}  // namespace acre::os
