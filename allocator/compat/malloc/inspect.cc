// The part of glibc's malloc.h that inspects or tunes the heap.

#include <malloc.h>

#include <cerrno>
#include <cstdio>

#include "allocator/compat/malloc/process_heap.h"
#include "allocator/compat/malloc/report.h"

#define ACRE_EXPORT extern "C" __attribute__((visibility("default")))

using namespace acre;
using namespace acre::compat;

namespace {

struct Totals {
  size_t arena;      // Ready memory that is not mmapped alone.
  size_t huge;
  size_t used;
  size_t free;
  size_t releasable;
  size_t huge_objects;
};

Totals Measure() {
  const HeapStats stats = ProcessHeap()->stats();
  const size_t used = stats.small_bytes + stats.pages.large_bytes;
  const size_t free = stats.cached_bytes + stats.free_bytes + stats.pages.dirty_bytes;
  return {.arena = used + free,
          .huge = stats.huge.bytes,
          .used = used,
          .free = free,
          .releasable = stats.pages.dirty_bytes,
          .huge_objects = stats.huge.objects};
}

}  // namespace

ACRE_EXPORT struct mallinfo2 mallinfo2() {
  const Totals totals = Measure();
  struct mallinfo2 info {};
  info.arena = totals.arena;
  info.hblks = totals.huge_objects;
  info.hblkhd = totals.huge;
  info.uordblks = totals.used;
  info.fordblks = totals.free;
  info.keepcost = totals.releasable;
  return info;
}

// The fields are int and wrap, as glibc's do.
ACRE_EXPORT struct mallinfo mallinfo() {
  const struct mallinfo2 wide = mallinfo2();
  struct mallinfo info {};
  info.arena = static_cast<int>(wide.arena);
  info.hblks = static_cast<int>(wide.hblks);
  info.hblkhd = static_cast<int>(wide.hblkhd);
  info.uordblks = static_cast<int>(wide.uordblks);
  info.fordblks = static_cast<int>(wide.fordblks);
  info.keepcost = static_cast<int>(wide.keepcost);
  return info;
}

// 1 if memory went back to the kernel. The padding is not needed: nothing is kept at the top.
ACRE_EXPORT int malloc_trim(size_t) {
  SpanHeap& heap = *ProcessHeap();
  const int saved_errno = errno;
  if (thread_cache->is_open()) thread_cache->Flush();
  const bool released = heap.ReleaseAll() > 0;
  errno = saved_errno;
  return released ? 1 : 0;
}

ACRE_EXPORT void malloc_stats() { WriteReport(*ProcessHeap(), 2); }

ACRE_EXPORT int malloc_info(int options, FILE* file) {
  if (options != 0) {
    errno = EINVAL;
    return -1;
  }
  SpanHeap& heap = *ProcessHeap();
  const Totals totals = Measure();
  std::fprintf(file, "<malloc version=\"1\">\n<heap nr=\"0\">\n<sizes>\n");
  for (uint32_t number = 1; number < kSizeClassCount; ++number) {
    const ClassStats of_class = heap.class_stats(static_cast<SizeClass>(number));
    if (of_class.spans == 0) continue;
    std::fprintf(file, "  <size from=\"%u\" to=\"%u\" total=\"%zu\" count=\"%zu\"/>\n",
                 kSizeClassRows[number - 1].slot_bytes + 1u, of_class.slot_bytes,
                 of_class.live_slots * of_class.slot_bytes, of_class.live_slots);
  }
  std::fprintf(file, "</sizes>\n<total type=\"used\" size=\"%zu\"/>\n<total type=\"rest\" size=\"%zu\"/>\n", totals.used,
               totals.free);
  std::fprintf(file, "<total type=\"mmap\" count=\"%zu\" size=\"%zu\"/>\n", totals.huge_objects, totals.huge);
  std::fprintf(file, "<system type=\"current\" size=\"%zu\"/>\n</heap>\n</malloc>\n", totals.arena + totals.huge);
  return 0;
}

// glibc's parameters are accepted and have no effect; unknown ones are refused.
ACRE_EXPORT int mallopt(int parameter, int) {
  switch (parameter) {
    case M_MXFAST:
    case M_TRIM_THRESHOLD:
    case M_TOP_PAD:
    case M_MMAP_THRESHOLD:
    case M_MMAP_MAX:
    case M_CHECK_ACTION:
    case M_PERTURB:
    case M_ARENA_TEST:
    case M_ARENA_MAX:
      return 1;
    default:
      return 0;
  }
}
