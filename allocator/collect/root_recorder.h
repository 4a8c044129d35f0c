#pragma once

// Who wants to see the roots that a marker is given, instead of the marker: see Marker::set_recorder.

#include <cstdint>

#include "acre/internal/records.h"

namespace acre {

struct RootRecorder {
  void* context;
  void (*word)(void* context, uint64_t word);
  void (*range)(void* context, uintptr_t base, uintptr_t limit);
  void (*function)(void* context, acre_root_function* function, void* argument);
};

}  // namespace acre
