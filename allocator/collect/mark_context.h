#pragma once

// What the markers of one heap share, and the options of marking.

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "allocator/collect/grey.h"
#include "allocator/collect/kind.h"
#include "allocator/collect/mark_pool.h"
#include "allocator/collect/mark_stack.h"
#include "allocator/span/chunk_table.h"
#include "arch/scan.h"

namespace acre {

enum class EndPointers : bool {
  kIgnored,
  kCount,  // A word one past the end of an object keeps the object.
};

// Words that hold a pointer among tag bits: where (word & tag_mask) == tag, the pointer is (word ^ tag_xor) & tag_and. The
// word as it stands is tried as well. A tag_mask of 0 means that there are none.
struct ValueFormat {
  uint64_t tag_mask = 0;
  uint64_t tag = 0;
  uint64_t tag_xor = 0;
  uint64_t tag_and = 0;
};

// Objects with chunks of their own. The owner of their records keeps their marks, and those that are to be scanned: the
// marker asks for them when it has nothing else. Both are called by several markers at once.
struct HugeObjects {
  void* context = nullptr;
  // A word that lies in a huge object's chunks. True if it means an object that was not marked, is now, and is to be scanned.
  bool (*mark)(void* context, uintptr_t word) = nullptr;
  // One that is to be scanned, and no longer is on the list. False if there is none.
  bool (*take)(void* context, uintptr_t* base, size_t* bytes, Kind* kind) = nullptr;
};

// Who is told of each object of a span that is marked, by its start; see Marker::BeginWatch. It must not use the marker.
struct MarkWatch {
  void* context = nullptr;
  void (*marked)(void* context, uintptr_t object) = nullptr;
};

struct MarkerOptions {
  EndPointers end_pointers = EndPointers::kIgnored;
  ValueFormat value_format;
  HugeObjects huge_objects;
  size_t max_stack_bytes = SIZE_MAX;          // Of the mark stacks together, beyond the first segment of each marker.
  const arch::ScanBody* scan_body = nullptr;  // Null: what is best on this CPU.
};

struct MarkContext {
  const ChunkTable& table;
  const KindTable& kinds;
  const MarkerOptions options;
  const arch::ScanBody& body;
  SegmentSource source;
  MarkPool pool;
  arch::ScanFilter filter;                  // Written while no marker runs.
  bool has_only_pages = false;              // What passes it lies in a chunk of pages, for good. Written like it.
  MarkWatch watch;                          // For Markers::kOneWatched.
  size_t max_serial_objects = INT64_MAX;     // That the serial mode scans before it gives the waves a turn.
  std::atomic<bool> has_pending{false};     // Some page has a pending bit.
  std::atomic<bool> has_huge{false};        // huge_objects.take may have something.
};

}  // namespace acre
