#pragma once

// The bodies of Move and Clear with wide registers. To be called only where the CPU has these instructions.

#include "arch/memory_bodies.h"

namespace acre::arch {

MoveFunction MoveAvx2;
ClearFunction ClearAvx2;
MoveFunction MoveAvx512;
ClearFunction ClearAvx512;

}  // namespace acre::arch
