#include "arch/cpu.h"

#include <cpuid.h>
#include <immintrin.h>

namespace acre::arch {

namespace {

// CPUID leaf 1, ECX.
constexpr uint32_t kOsxsave = 1u << 27;

// CPUID leaf 7, EBX.
constexpr uint32_t kAvx2 = 1u << 5;
constexpr uint32_t kBmi2 = 1u << 8;
constexpr uint32_t kErms = 1u << 9;
constexpr uint32_t kAvx512F = 1u << 16;
constexpr uint32_t kAvx512Dq = 1u << 17;
constexpr uint32_t kAvx512Bw = 1u << 30;
constexpr uint32_t kAvx512Vl = 1u << 31;
constexpr uint32_t kAvx512All = kAvx512F | kAvx512Dq | kAvx512Bw | kAvx512Vl | kBmi2;

// CPUID leaf 7, ECX and EDX.
constexpr uint32_t kVbmi2 = 1u << 6;
constexpr uint32_t kFsrm = 1u << 4;

// XCR0: the register state that the operating system saves at a context switch.
constexpr uint64_t kYmmState = 0x06;  // XMM and upper halves of YMM.
constexpr uint64_t kZmmState = 0xe6;  // Those, mask registers, upper halves of ZMM, ZMM16 to ZMM31.

bool HasAll(uint64_t value, uint64_t bits) { return (value & bits) == bits; }

// REQUIRES: CPUID says OSXSAVE. In assembly, because the intrinsic wants a flag that this file must not have.
uint64_t ReadXcr0() {
  uint32_t low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t{high} << 32 | low;
}

}  // namespace

// System V: the 128 bytes below the stack pointer belong to the running function.
const size_t kRedZoneBytes = 128;

CpuFeatures DetectCpuFeatures() {
  CpuFeatures cpu;
  uint32_t eax, ebx, ecx, edx;
  if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx)) return cpu;
  const uint64_t saved_state = HasAll(ecx, kOsxsave) ? ReadXcr0() : 0;
  if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) return cpu;

  cpu.has_avx2 = HasAll(ebx, kAvx2) && HasAll(saved_state, kYmmState);
  cpu.has_avx512 = HasAll(ebx, kAvx512All) && HasAll(saved_state, kZmmState);
  cpu.has_vbmi2 = cpu.has_avx512 && HasAll(ecx, kVbmi2);
  cpu.has_erms = HasAll(ebx, kErms);
  cpu.has_fsrm = HasAll(edx, kFsrm);
  return cpu;
}

void CpuRelax() { _mm_pause(); }

}  // namespace acre::arch
