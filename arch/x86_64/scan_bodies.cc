#include <array>

#include "arch/scan.h"
#include "arch/x86_64/scan_wide.h"
#include "arch/x86_64/slots_wide.h"

namespace acre::arch {

namespace {

bool Always(const CpuFeatures& /*cpu*/) { return true; }
bool CanRunAvx2(const CpuFeatures& cpu) { return cpu.has_avx2; }
bool CanRunAvx512(const CpuFeatures& cpu) { return cpu.has_avx512; }

// As for Move and Clear: the first server CPUs with AVX-512 lower their clock for 512-bit instructions.
bool PrefersAvx512(const CpuFeatures& cpu) { return cpu.has_vbmi2; }

constexpr std::array kBodies = {
    ScanBody{"portable", Always, Always, kNarrowWave, ScanObjectsPortable, ScanWordsPortable, TakeAlikePortable,
             ScanAlikePortable, FindSlotsPortable},
    ScanBody{"avx2", CanRunAvx2, Always, kNarrowWave, ScanObjectsAvx2, ScanWordsAvx2, TakeAlikeAvx2, ScanAlikeAvx2,
             FindSlotsAvx2},
    ScanBody{"avx512", CanRunAvx512, PrefersAvx512, kMaxWaveObjects, ScanObjectsAvx512, ScanWordsAvx512, TakeAlikeAvx2,
             ScanAlikeAvx512, FindSlotsAvx2},
};

}  // namespace

std::span<const ScanBody> ScanBodies() { return kBodies; }

}  // namespace acre::arch
