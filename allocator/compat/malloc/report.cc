#include "allocator/compat/malloc/report.h"

#include "os/check.h"

namespace acre::compat {
namespace {

// "12.3 MiB" from bytes.
struct Size {
  size_t bytes;
};

os::Line& operator<<(os::Line& line, Size size) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  size_t tenths = size.bytes * 10;
  uint32_t unit = 0;
  while (tenths >= 10240 && unit < 4) {
    tenths /= 1024;
    ++unit;
  }
  line << tenths / 10;
  if (unit > 0) line << "." << tenths % 10;
  return line << " " << kUnits[unit];
}

}  // namespace

void WriteReport(SpanHeap& heap, int descriptor) {
  const HeapStats stats = heap.stats();
  const size_t live = stats.small_bytes + stats.pages.large_bytes + stats.huge.bytes;
  const auto write = [descriptor](const os::Line& line) { line.Write(descriptor); };
  os::Line heap_line;
  write(heap_line << "heap: " << Size{live} << " in use: " << Size{stats.small_bytes} << " small, "
                  << Size{stats.pages.large_bytes} << " large (" << stats.pages.large_spans << "), "
                  << Size{stats.huge.bytes} << " huge (" << stats.huge.objects << ")");
  os::Line free_line;
  write(free_line << "free: " << Size{stats.cached_bytes} << " in caches of " << stats.threads << " threads, "
                  << Size{stats.free_bytes} << " in partly used spans, " << Size{stats.pages.dirty_bytes}
                  << " in free pages; " << Size{stats.pages.released_bytes} << " given back so far");
  os::Line space_line;
  write(space_line << "space: " << Size{stats.space.ready_bytes} << " ready, " << Size{stats.space.prepared_bytes}
                   << " prepared, " << Size{stats.space.reserved_bytes} << " reserved in " << stats.pages.chunks
                   << " chunks; " << Size{stats.space.metadata_bytes} << " of records");
  for (uint32_t number = 1; number < kSizeClassCount; ++number) {
    const ClassStats of_class = heap.class_stats(static_cast<SizeClass>(number));
    if (of_class.spans == 0) continue;
    os::Line line;
    write(line << "class " << of_class.slot_bytes << " B: " << of_class.live_slots << " live, "
               << of_class.cached_slots << " cached, " << of_class.spans << " spans");
  }
}

}  // namespace acre::compat
