#pragma once

// Options of the drop-in malloc, from the environment. docs/malloc.md describes each.

#include <cstddef>
#include <cstdint>

#include "allocator/base/units.h"

namespace acre::compat {

inline constexpr size_t kAutoHugePageBytes = 16 * kMiB;

struct Options {
  bool prints_stats = false;      // ACRE_STATS
  bool may_start_thread = true;   // ACRE_BACKGROUND
  // ACRE_HUGE_PAGES: never, or auto: once the heap holds kAutoHugePageBytes, it grows by huge pages. Not the default: in a
  // virtual machine that reports its free pages to the host a first write to a huge page took 6 ms (0.25 ms when the host
  // still backed it), where 512 small ones take 1.3 ms.
  size_t huge_page_threshold_bytes = SIZE_MAX;
};

// Reads every ACRE_* variable. An unknown name or a bad value is named in one line on standard error and ignored. In a
// process with raised privileges (setuid) nothing is read.
void ReadOptions(Options* options);

// Sets the option "NAME=value" (without ACRE_). Returns null, or what is wrong with it.
const char* SetOption(Options* options, const char* entry);

}  // namespace acre::compat
