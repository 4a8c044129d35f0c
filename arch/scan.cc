#include "arch/scan.h"

// A marker asks once, when it is made, and keeps the body: so there is no pointer here to be set at a first call.

namespace acre::arch {

const ScanBody& ChooseScanBody(const CpuFeatures& cpu) {
  const std::span<const ScanBody> bodies = ScanBodies();
  const ScanBody* chosen = &bodies.front();
  for (const ScanBody& body : bodies) {
    if (body.is_supported(cpu) && body.is_preferred(cpu)) chosen = &body;
  }
  return *chosen;
}

}  // namespace acre::arch
