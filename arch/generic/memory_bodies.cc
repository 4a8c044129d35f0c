#include "arch/memory_bodies.h"

#include <array>

namespace acre::arch {

namespace {

bool Always(const CpuFeatures& /*cpu*/) { return true; }

constexpr std::array kBodies = {
    MemoryBody{"portable", Always, Always, MovePortable, ClearPortable},
};

}  // namespace

std::span<const MemoryBody> MemoryBodies() { return kBodies; }

}  // namespace acre::arch
