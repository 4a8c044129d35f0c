#pragma once

// The scan kernels with wide registers. To be called only where the CPU has these instructions.

#include "arch/scan.h"

namespace acre::arch {

ScanObjectsFunction ScanObjectsAvx2;
ScanWordsFunction ScanWordsAvx2;
TakeAlikeFunction TakeAlikeAvx2;
ScanAlikeFunction ScanAlikeAvx2;
ScanObjectsFunction ScanObjectsAvx512;
ScanWordsFunction ScanWordsAvx512;
ScanAlikeFunction ScanAlikeAvx512;

}  // namespace acre::arch
