#pragma once

// The system calls an address space is made of, as a table: os/linux provides the real one, os/fake one that
// fails the nth call, ignores hints and records what was asked. A call returns 0 or the error number.

#include <cstddef>
#include <cstdint>

namespace acre::os {

enum class Access : uint8_t { kNone, kReadWrite };

enum class Placement : uint8_t {
  kHint,            // The address is a wish.
  kFixedNoReplace,  // There or not at all; kernels before 4.17 take it for a hint.
  kFixed,           // There, replacing whatever is mapped.
};

enum class Advice : uint8_t {
  kDiscard,         // The contents are not needed; reads see zeros. MADV_DONTNEED.
  kHugePages,       // MADV_HUGEPAGE.
  kNoHugePages,     // MADV_NOHUGEPAGE.
  kPopulateWrite,   // Fault the pages in now. MADV_POPULATE_WRITE (5.14).
};

struct MapResult {
  uintptr_t address;  // Meaningful only if error is 0.
  int error;
};

struct MemoryCalls {
  void* context;
  // Private, anonymous, and not reserved in swap.
  MapResult (*map)(void* context, uintptr_t address, size_t bytes, Access access, Placement placement);
  int (*unmap)(void* context, uintptr_t base, size_t bytes);
  int (*protect)(void* context, uintptr_t base, size_t bytes, Access access);
  int (*advise)(void* context, uintptr_t base, size_t bytes, Advice advice);
  // Whether the one os page at base is mapped: 0, or ENOMEM when it is not. See mincore(2).
  int (*query)(void* context, uintptr_t base);
  // With `to` 0: grows or shrinks a mapping in place. Else moves its pages to `to`, replacing what is mapped there and
  // leaving the source mapped and empty; old_bytes and new_bytes are then equal. A failed move may have unmapped `to`.
  MapResult (*remap)(void* context, uintptr_t base, size_t old_bytes, size_t new_bytes, uintptr_t to);
  // Names a mapping in /proc/self/maps, where the kernel can (5.17, CONFIG_ANON_VMA_NAME); errors are ignored.
  void (*name)(void* context, uintptr_t base, size_t bytes, const char* name);
};

// The kernel's own calls.
const MemoryCalls& KernelMemoryCalls();

// The unit of mapping and protection: 4096 on x86-64, up to 65536 elsewhere. Read from the kernel once.
size_t OsPageBytes();

}  // namespace acre::os
