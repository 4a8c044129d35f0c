#pragma once

#include <ostream>

#include "arch/scan.h"

namespace acre::arch {

// For the names of the parameters; found by argument-dependent lookup only outside of the unnamed namespaces.
inline void PrintTo(const ScanBody& body, std::ostream* out) { *out << body.name; }

}  // namespace acre::arch
