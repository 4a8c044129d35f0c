#include "arch/vector_hold.h"

// In assembly as a whole: the compiler must not come between the loads and the stores, and this file is compiled
// without the instruction sets. That is also why the upper halves and the registers from 16 on need not be named as
// changed: compiled code keeps nothing there, and a call preserves no vector register.

#define ACRE_LOW_REGISTERS                                                                                            \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", \
      "xmm14", "xmm15"

namespace acre::arch {
namespace {

void CopyThroughYmm(void* to, const void* from, uint64_t spins) {
  asm volatile(
      ".irp i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
      "vmovdqu \\i*32(%[from]), %%ymm\\i\n\t"
      ".endr\n\t"
      "1: dec %[spins]\n\t"
      "jnz 1b\n\t"
      ".irp i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
      "vmovdqu %%ymm\\i, \\i*32(%[to])\n\t"
      ".endr\n\t"
      "vzeroupper"
      : [spins] "+r"(spins)
      : [to] "r"(to), [from] "r"(from)
      : "memory", "cc", ACRE_LOW_REGISTERS);
}

void CopyThroughZmm(void* to, const void* from, uint64_t spins) {
  asm volatile(
      ".irp i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n\t"
      "vmovdqu64 \\i*64(%[from]), %%zmm\\i\n\t"
      ".endr\n\t"
      "1: dec %[spins]\n\t"
      "jnz 1b\n\t"
      ".irp i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n\t"
      "vmovdqu64 %%zmm\\i, \\i*64(%[to])\n\t"
      ".endr\n\t"
      "vzeroupper"
      : [spins] "+r"(spins)
      : [to] "r"(to), [from] "r"(from)
      : "memory", "cc", ACRE_LOW_REGISTERS);
}

constexpr VectorHold kHolds[] = {
    {"ymm", 32, 16, [](const CpuFeatures& cpu) { return cpu.has_avx2; }, CopyThroughYmm},
    {"zmm", 64, 32, [](const CpuFeatures& cpu) { return cpu.has_avx512; }, CopyThroughZmm},
};
static_assert(kHolds[1].bytes() == kMostHeldBytes);

}  // namespace

std::span<const VectorHold> VectorHolds() { return kHolds; }

}  // namespace acre::arch
