#include "arch/vector_state.h"

#include <cpuid.h>

#include <cstdint>

namespace acre::arch {

size_t SavedVectorStateBytes() {
  constexpr uint32_t kOsxsave = 1u << 27;    // CPUID leaf 1, ECX.
  constexpr uint32_t kExtendedState = 0x0d;  // The leaf that describes what XSAVE writes.
  constexpr size_t kFxsaveBytes = 512;       // Without XSAVE there is only FXSAVE, of this size on every CPU.
  uint32_t eax, ebx, ecx, edx;
  if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || (ecx & kOsxsave) == 0) return kFxsaveBytes;
  // EBX: for the components that the operating system has switched on, in the format in which user frames are written.
  if (!__get_cpuid_count(kExtendedState, 0, &eax, &ebx, &ecx, &edx)) return kFxsaveBytes;
  return ebx < kFxsaveBytes ? kFxsaveBytes : ebx;
}

}  // namespace acre::arch
