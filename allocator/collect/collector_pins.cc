// Ranges of objects that are written through pinned pages (buffers registered with io_uring, RDMA, O_DIRECT): the writer goes
// by the kernel's own mapping of the page, and neither an armed page nor a barrier tells of it. (Linux 6.18, READ_FIXED into a
// registered buffer: the bytes change, and no page is reported.)
//
// So what stands in them is read in every stop, like a root. Where pages are watched the last stop thereby finds what was written
// last. With the barrier the first stop finds what will be overwritten, which is what the snapshot needs; what is written
// instead was in the snapshot elsewhere, or is born black.

#include "allocator/base/units.h"
#include "allocator/collect/collector.h"
#include "os/check.h"
#include "os/memory_calls.h"

namespace acre {
namespace {

constexpr size_t kPieceBytes = 16 * kKiB;  // In one region: nobody waits long for its end.

// Writes what stands there. (An atomic addition of nothing is a load and a fence to some compilers.)
void Touch(uintptr_t address) {
  auto* const byte = reinterpret_cast<uint8_t*>(address);
  uint8_t value = __atomic_load_n(byte, __ATOMIC_RELAXED);
  (void)__atomic_compare_exchange_n(byte, &value, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

}  // namespace

void Collector::Pin(CollectedMutator& mutator, RootPin& pin) {
  const auto base = reinterpret_cast<uintptr_t>(pin.base);
  const auto limit = reinterpret_cast<uintptr_t>(pin.limit);
  FoundObject found;
  if (!FindObject(mutator, base, &found) || limit < base || limit - found.base > found.bytes) {
    os::Fatal("a pin of ", limit - base, " bytes at ", os::Hex{base}, ": they do not lie in one object");
  }
  pin.object = reinterpret_cast<void*>(found.base);
  pin.object_bytes = found.bytes;
  pin.kind = found.kind;
  roots_.Add(pin);
  if (FormOf(found.kind) == TraceForm::kNone) return;
  // A cycle that began before the pin came has not read it.
  const uintptr_t first = AlignDown(base, sizeof(uint64_t));
  const uintptr_t behind = AlignUp(limit, sizeof(uint64_t));
  for (uintptr_t at = first; at < behind; at += kPieceBytes) {
    const size_t bytes = behind - at < kPieceBytes ? behind - at : kPieceBytes;
    Region region(mutator);
    if (mutator.barrier.load(std::memory_order_relaxed) == 0) return;
    ShadeOverwritten(mutator, reinterpret_cast<const uint64_t*>(at), bytes / sizeof(uint64_t));
  }
}

// What was written through the pins counts as written from here on as if the program had done it: before the pin goes, so that
// no stop comes between that knows of neither.
void Collector::Unpin(RootPin& pin) {
  if (watches_pages() && FormOf(pin.kind) != TraceForm::kNone) {
    const auto limit = reinterpret_cast<uintptr_t>(pin.limit);
    const size_t os_page = os::OsPageBytes();
    for (auto at = reinterpret_cast<uintptr_t>(pin.base); at < limit; at = AlignDown(at, os_page) + os_page) Touch(at);
  }
  roots_.Remove(pin);
}

}  // namespace acre
