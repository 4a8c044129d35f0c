#pragma once

// Options of the drop-in malloc, from the environment. docs/malloc.md describes each.

#include <cstddef>

#include "allocator/base/units.h"

namespace acre::compat {

struct Options {
  bool prints_stats = false;      // ACRE_STATS
  bool may_start_thread = true;   // ACRE_BACKGROUND
  // ACRE_HUGE_PAGES: never, or auto: once the heap holds this much, it grows by huge pages.
  size_t huge_page_threshold_bytes = 16 * kMiB;
};

// Reads every ACRE_* variable. An unknown name or a bad value is named in one line on standard error and ignored. In a
// process with raised privileges (setuid) nothing is read.
void ReadOptions(Options* options);

// Sets the option "NAME=value" (without ACRE_). Returns null, or what is wrong with it.
const char* SetOption(Options* options, const char* entry);

}  // namespace acre::compat
