#pragma once

// The CPU: what it has, and the few things that no C++ statement says.

#include <cstddef>
#include <cstdint>

namespace acre::arch {

struct CpuFeatures {
  bool has_avx2 = false;      // With operating-system support for YMM state.
  bool has_avx512 = false;    // F, VL, BW, DQ and BMI2, with operating-system support for ZMM state.
  bool has_vbmi2 = false;     // AVX-512 VBMI2; implies has_avx512.
  bool has_erms = false;      // Enhanced REP MOVSB/STOSB.
  bool has_fsrm = false;      // Fast short REP MOVSB.
};

CpuFeatures DetectCpuFeatures();

// Bytes below the stack pointer that a leaf may use without moving it.
extern const size_t kRedZoneBytes;

// A pause in a spinning loop.
void CpuRelax();

}  // namespace acre::arch
