#pragma once

// To be called only where the CPU has AVX2.

#include "arch/slots.h"

namespace acre::arch {

FindSlotsFunction FindSlotsAvx2;

}  // namespace acre::arch
