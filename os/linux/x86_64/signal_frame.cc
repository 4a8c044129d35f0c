#include "os/linux/signal_frame.h"

#include <cstring>

// The vector state is what FXSAVE or XSAVE writes, in the standard format. In the part of the first 512 bytes that is the
// kernel's to use stands how large all of it is, between two marks: one there, one in its last 4 bytes. Both must be
// right: the kernel leaves them out when it has saved the first 512 bytes only, and so may whoever builds a frame.
//
// Where in it which register lies would be CPUID's answer; but a conservative scan need not know.

namespace acre::os {
namespace {

constexpr size_t kLegacyBytes = 512;
constexpr size_t kSoftwareOffset = 464;  // The bytes that FXSAVE leaves to software.
constexpr uint32_t kFirstMark = 0x46505853;
constexpr uint32_t kLastMark = 0x46505845;
constexpr size_t kMarkBytes = sizeof(uint32_t);
// Much more than any CPU has, AMX tiles included (about 11 KiB).
constexpr size_t kMaxExtendedBytes = 64 * 1024;

struct SoftwareBytes {
  uint32_t first_mark;
  uint32_t extended_bytes;  // The last mark included.
};

template <class Value>
Value Load(const std::byte* from) {
  Value value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

size_t VectorStateBytes(const std::byte* state) {
  const auto software = Load<SoftwareBytes>(state + kSoftwareOffset);
  if (software.first_mark != kFirstMark) return kLegacyBytes;
  const size_t extended_bytes = software.extended_bytes;
  if (extended_bytes < kLegacyBytes + kMarkBytes || extended_bytes > kMaxExtendedBytes) return kLegacyBytes;
  const size_t state_bytes = extended_bytes - kMarkBytes;
  if (Load<uint32_t>(state + state_bytes) != kLastMark) return kLegacyBytes;
  return state_bytes / sizeof(uintptr_t) * sizeof(uintptr_t);
}

}  // namespace

void ReadSignalFrame(const ucontext_t& context, StopFrame& frame) {
  const mcontext_t& machine = context.uc_mcontext;
  frame.stack_pointer = static_cast<uintptr_t>(machine.gregs[REG_RSP]);
  frame.registers = machine.gregs;
  frame.registers_bytes = sizeof machine.gregs;
  frame.vectors = machine.fpregs;
  frame.vectors_bytes =
      machine.fpregs == nullptr ? 0 : VectorStateBytes(reinterpret_cast<const std::byte*>(machine.fpregs));
}

}  // namespace acre::os
