#include <array>

#include "arch/scan.h"

namespace acre::arch {

namespace {

bool Always(const CpuFeatures& /*cpu*/) { return true; }

constexpr std::array kBodies = {
    ScanBody{"portable", Always, Always, kNarrowWave, ScanObjectsPortable, ScanWordsPortable, TakeAlikePortable,
             ScanAlikePortable, FindSlotsPortable},
};

}  // namespace

std::span<const ScanBody> ScanBodies() { return kBodies; }

}  // namespace acre::arch
