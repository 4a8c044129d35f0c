#include "arch/context.h"

// The port for CPUs that have no folder of their own.

namespace acre::arch {

void WithSpilledRegisters(SpilledBody body, void* argument) { WithSpilledRegistersPortably(body, argument); }

}  // namespace acre::arch
