#include "arch/vector_hold.h"

namespace acre::arch {

std::span<const VectorHold> VectorHolds() { return {}; }

}  // namespace acre::arch
