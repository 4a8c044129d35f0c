#pragma once

// ACRE_DEBUG: switches for tests and for people who look for a bug, as a list "name=value,name=value".
//
// All names stand in one table (debug_options.cc), whichever part follows them, so that a name that nobody knows
// can be told from one that somebody else reads.

#include <cstdint>
#include <span>

namespace acre::os {

// What a collector takes for roots, each of which can be left out: so a test shows that nothing else keeps its object.
enum class RootSource : uint8_t {
  kStacks,          // From the stack pointer on.
  kRegisters,       // General registers in the frame of a stop signal, and those that are spilled elsewhere.
  kVectors,         // Vector registers in the frame.
  kRedZone,         // The bytes below the stack pointer of a leaf.
  kAlternateStack,  // The signal stack that a thread was stopped on.
  kRanges,          // Registered ranges.
  kHandles,         // Registered words.
  kCallbacks,       // Registered callbacks.
  kBarrier,         // What stores overwrite, and weak references give out, while a cycle marks.
  kPages,           // Pages that are written while a cycle marks.
  kPins,            // Ranges of objects that are written through pinned pages.
  kCount,
};

// A set of root sources.
class RootSources {
 public:
  constexpr RootSources() = default;
  constexpr RootSources(RootSource source) : bits_(BitOf(source)) {}  // NOLINT: a set of one.

  constexpr bool Has(RootSource source) const { return (bits_ & BitOf(source)) != 0; }
  constexpr RootSources operator|(RootSources other) const {
    other.bits_ |= bits_;
    return other;
  }
  friend constexpr bool operator==(RootSources, RootSources) = default;

 private:
  static constexpr uint32_t BitOf(RootSource source) { return uint32_t{1} << static_cast<uint32_t>(source); }

  uint32_t bits_ = 0;
};

struct DebugOptions {
  bool counts_kernel_as_buggy = false;  // kernelbug=1: any kernel counts as affected; see os/kernel_bugs.h.
  bool verifies_marks = false;          // verify=1: each marking is done again by other code, and compared.
  bool clobbers_freed = false;          // clobber=1: freed objects are overwritten; see collect/clobber.h.
  uint64_t stress_allocations = 0;      // stress=N: a collection every N allocations; 0: none.
  RootSources dropped_roots;            // droproot=stacks+ranges: these roots are left out.
};

// Reads one list into *options; later entries win. Calls report(context, entry, problem) for each entry that is not
// understood, and goes on with the next.
using DebugOptionReport = void(void* context, std::span<const char> entry, const char* problem);
void ParseDebugOptions(const char* list, DebugOptions* options, void* context, DebugOptionReport* report);

// What the environment says now; nothing in a process with raised privileges. What is not understood is named on
// standard error, one line each, by the first call only.
DebugOptions ReadDebugOptions();

}  // namespace acre::os
