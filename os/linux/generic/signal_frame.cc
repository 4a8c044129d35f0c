#include "os/linux/signal_frame.h"

// The port for CPUs that have no folder of their own: the machine context is taken as words of which some are registers.
// On the CPUs that have their vector registers there (AArch64, RISC-V), these are among them.

namespace acre::os {

void ReadSignalFrame(const ucontext_t& context, StopFrame& frame) {
  frame.stack_pointer = 0;
  frame.registers = &context.uc_mcontext;
  frame.registers_bytes = sizeof context.uc_mcontext / sizeof(uintptr_t) * sizeof(uintptr_t);
  frame.vectors = nullptr;
  frame.vectors_bytes = 0;
}

}  // namespace acre::os
