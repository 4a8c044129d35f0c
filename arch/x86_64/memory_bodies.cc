#include "arch/memory_bodies.h"

#include <array>

#include "arch/x86_64/memory_wide.h"

namespace acre::arch {

namespace {

bool Always(const CpuFeatures& /*cpu*/) { return true; }
bool CanRunAvx2(const CpuFeatures& cpu) { return cpu.has_avx2; }
bool CanRunAvx512(const CpuFeatures& cpu) { return cpu.has_avx512; }

// Not on the first server CPUs with AVX-512, which lower their clock for 512-bit instructions: those that followed
// have VBMI2. The body's middle sizes live on fast string instructions.
bool PrefersAvx512(const CpuFeatures& cpu) { return cpu.has_vbmi2 && cpu.has_erms; }

constexpr std::array kBodies = {
    MemoryBody{"portable", Always, Always, MovePortable, ClearPortable},
    MemoryBody{"avx2", CanRunAvx2, Always, MoveAvx2, ClearAvx2},
    MemoryBody{"avx512", CanRunAvx512, PrefersAvx512, MoveAvx512, ClearAvx512},
};

}  // namespace

std::span<const MemoryBody> MemoryBodies() { return kBodies; }

}  // namespace acre::arch
