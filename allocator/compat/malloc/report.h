#pragma once

// What the drop-in says about its heap: ACRE_STATS=1, malloc_stats and malloc_info.

#include "allocator/heap/span_heap.h"

namespace acre::compat {

// A readable summary, written line by line to the descriptor without allocating.
void WriteReport(SpanHeap& heap, int descriptor);

}  // namespace acre::compat
