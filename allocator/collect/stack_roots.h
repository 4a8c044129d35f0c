#pragma once

// The roots that a stopped mutator's thread holds: its stack and its registers (see the head of collect/world.h).

#include "allocator/collect/marker.h"
#include "allocator/collect/world.h"
#include "os/debug_options.h"

namespace acre {

// With the mutator stopped, until the next drain has ended. Fatal if its stack pointer is on no stack that is known.
void AddStackRoots(const Standing& standing, os::RootSources dropped, Marker& marker);

}  // namespace acre
