#pragma once

// The bodies behind Move and Clear, by name. The dispatcher chooses one; tests and benchmarks run each that can run.

#include <cstddef>
#include <span>

#include "arch/cpu.h"

namespace acre::arch {

using MoveFunction = void(void* to, const void* from, size_t bytes);
using ClearFunction = void(void* base, size_t bytes);

struct MemoryBody {
  const char* name;
  bool (*is_supported)(const CpuFeatures& cpu);  // The CPU can run it.
  bool (*is_preferred)(const CpuFeatures& cpu);  // It is also faster there than the bodies before it.
  MoveFunction* move;
  ClearFunction* clear;
};

// All bodies built for this CPU family, slowest first. The first is the portable one, the reference for the others;
// it is supported and preferred everywhere.
std::span<const MemoryBody> MemoryBodies();

// The last body that is both supported and preferred.
const MemoryBody& ChooseMemoryBody(const CpuFeatures& cpu);

MoveFunction MovePortable;
ClearFunction ClearPortable;

}  // namespace acre::arch
