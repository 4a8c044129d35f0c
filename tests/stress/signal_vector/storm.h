#pragma once

// One process of signal_vector_stress.
//
// Each of its threads copies bytes through all vector registers, slowly, and compares. The process's first thread sends
// them signals, onto signal stacks of which it has dropped every page since the last signal: so each delivery must
// fault pages in between saving the registers and running the handler. On a kernel with the bug, a switch to another
// thread in that fault leaves that thread's registers in the CPU, and a comparison fails.
//
// A stack is dropped only when its thread has left it: the thread says itself, between two copies, which signals it has
// handled, and no other signal comes before the next one is sent.

#include <atomic>
#include <cstdint>

namespace acre::stress {

// In memory that all processes share.
struct Shared {
  std::atomic<bool> is_over;  // Set by whoever finds a difference, and by the parent when the time is up.
  std::atomic<uint64_t> copies;
  std::atomic<uint64_t> signals;
};

enum class Breakage : uint8_t {
  kNone,
  kHandlerChangesRegister,  // The handler changes a saved register, as the bug would: the comparison must notice.
};

struct Storm {
  unsigned process;  // Its number, for messages and patterns.
  unsigned threads;
  Breakage breakage;
  Shared* shared;
};

// Runs until shared->is_over. The process's exit status: 0 if every copy was right; 1, and a line on standard error, if
// one was not; 2 if the system refused something.
int RunStorm(const Storm& storm);

}  // namespace acre::stress
