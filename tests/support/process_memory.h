#pragma once

// What the kernel says of this process's memory.

#include <cstddef>

namespace acre::testing {

size_t ResidentBytes();      // RSS now, exact (from smaps_rollup, not from the lazily updated counters of status).
size_t VirtualBytes();       // Mapped address space, as RLIMIT_AS counts it.
size_t MappingCount();       // As vm.max_map_count counts.
size_t MappingLimit();       // vm.max_map_count.

}  // namespace acre::testing
