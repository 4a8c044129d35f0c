#pragma once

// What the kernel has put on the stack for a signal handler. Each CPU has its own layout of the registers.

#include <ucontext.h>

#include "os/stop_signal.h"

namespace acre::os {

// Fills in stack_pointer, the registers and the vectors.
void ReadSignalFrame(const ucontext_t& context, StopFrame& frame);

}  // namespace acre::os
