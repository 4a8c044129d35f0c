#include "arch/cpu.h"

#include <atomic>

// The port for CPUs that have no folder of their own: no features, and no instruction that C++ cannot say.

namespace acre::arch {

// The largest red zone of any common ABI: scanning some bytes too many is safe, too few is not.
const size_t kRedZoneBytes = 512;

CpuFeatures DetectCpuFeatures() { return {}; }

void CpuRelax() { std::atomic_signal_fence(std::memory_order_seq_cst); }

}  // namespace acre::arch
