#include "os/memory_calls.h"

#include <sys/auxv.h>
#include <sys/mman.h>

#include <atomic>
#include <bit>

#include "os/check.h"
#include "os/linux/system_call.h"

namespace acre::os {
namespace {

// Declared here because the headers of older distributions lack some of them; the numbers are the kernel's and do not
// differ between x86-64 and arm64.
constexpr int kMapFixedNoReplace = 0x100000;   // MAP_FIXED_NOREPLACE, 4.17.
constexpr int kMadvisePopulateWrite = 23;      // MADV_POPULATE_WRITE, 5.14.
constexpr int kMremapDontUnmap = 4;            // MREMAP_DONTUNMAP, 5.7.
constexpr int kPrctlSetVma = 0x53564d41;       // PR_SET_VMA, 5.17.
constexpr int kPrctlSetVmaAnonName = 0;        // PR_SET_VMA_ANON_NAME, 5.17.

int ProtectionOf(Access access) { return access == Access::kNone ? PROT_NONE : PROT_READ | PROT_WRITE; }

int FlagsOf(Placement placement) {
  // No swap is reserved: the heap maps far more than it uses.
  constexpr int kCommon = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  switch (placement) {
    case Placement::kHint: return kCommon;
    case Placement::kFixedNoReplace: return kCommon | kMapFixedNoReplace;
    case Placement::kFixed: return kCommon | MAP_FIXED;
  }
  return kCommon;
}

int AdviceNumber(Advice advice) {
  switch (advice) {
    case Advice::kDiscard: return MADV_DONTNEED;
    case Advice::kHugePages: return MADV_HUGEPAGE;
    case Advice::kNoHugePages: return MADV_NOHUGEPAGE;
    case Advice::kPopulateWrite: return kMadvisePopulateWrite;
  }
  return MADV_NORMAL;
}

int ErrorOf(long result) { return result < 0 ? static_cast<int>(-result) : 0; }

MapResult MapResultOf(long result) {
  if (result < 0) return {0, static_cast<int>(-result)};
  return {static_cast<uintptr_t>(result), 0};
}

MapResult Map(void*, uintptr_t address, size_t bytes, Access access, Placement placement) {
  return MapResultOf(SystemCall(SYS_mmap, address, bytes, ProtectionOf(access), FlagsOf(placement), -1, 0));
}

int Unmap(void*, uintptr_t base, size_t bytes) { return ErrorOf(SystemCall(SYS_munmap, base, bytes)); }

int Protect(void*, uintptr_t base, size_t bytes, Access access) {
  return ErrorOf(SystemCall(SYS_mprotect, base, bytes, ProtectionOf(access)));
}

int Advise(void*, uintptr_t base, size_t bytes, Advice advice) {
  return ErrorOf(SystemCall(SYS_madvise, base, bytes, AdviceNumber(advice)));
}

int Query(void*, uintptr_t base) {
  unsigned char residency;
  return ErrorOf(SystemCall(SYS_mincore, base, OsPageBytes(), &residency));
}

MapResult Remap(void*, uintptr_t base, size_t old_bytes, size_t new_bytes, uintptr_t to) {
  // A move leaves the source mapped and empty: a hole in the heap's range could be taken by any other mmap.
  const int flags = to == 0 ? 0 : MREMAP_MAYMOVE | MREMAP_FIXED | kMremapDontUnmap;
  return MapResultOf(SystemCall(SYS_mremap, base, old_bytes, new_bytes, flags, to));
}

void Name(void*, uintptr_t base, size_t bytes, const char* name) {
  (void)SystemCall(SYS_prctl, kPrctlSetVma, kPrctlSetVmaAnonName, base, bytes, name);
}

constexpr MemoryCalls kKernelMemoryCalls = {nullptr, Map, Unmap, Protect, Advise, Query, Remap, Name};

}  // namespace

const MemoryCalls& KernelMemoryCalls() { return kKernelMemoryCalls; }

size_t OsPageBytes() {
  // A constant of the machine, kept because it is asked often. Every writer stores the same value.
  static constinit std::atomic<size_t> os_page_bytes{0};
  size_t bytes = os_page_bytes.load(std::memory_order_relaxed);
  if (bytes == 0) [[unlikely]] {
    bytes = getauxval(AT_PAGESZ);  // From the auxiliary vector: right before the C library is set up.
    CHECK(std::has_single_bit(bytes));
    os_page_bytes.store(bytes, std::memory_order_relaxed);
  }
  return bytes;
}

}  // namespace acre::os
