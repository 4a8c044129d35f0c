#pragma once

// A magazine: an array of addresses of free slots of one class, traded whole between threads and the depot [Bonwick and
// Adams, "Magazines and Vmem", 2001].
//
// A magazine's size is a power of two with a header of 24 bytes: 5, 13, 29, 61, 125 or 253 slots. The header ends with a
// null pointer: who pops from the end sees by the popped address itself that the magazine was empty.

#include <cstddef>
#include <cstdint>

#include "allocator/base/metadata.h"
#include "allocator/size/size_class.h"

namespace acre {

struct Magazine {
  Magazine* next;
  uint32_t count;
  uint32_t capacity;
  void* end_of_slots;  // Null.
  void* slots[];

  static constexpr uint32_t kMinCapacity = 5;
  static constexpr uint32_t kMaxCapacity = 253;
  static constexpr size_t kMaxSlotBytes = 128 * kKiB;  // At most this much memory in one magazine.

  static Magazine* Of(void** slots) { return reinterpret_cast<Magazine*>(slots) - 1; }
  static size_t Bytes(uint32_t capacity) { return sizeof(Magazine) + capacity * sizeof(void*); }

  // An empty magazine, or null when there is no memory.
  [[nodiscard]] static Magazine* Make(Metadata& metadata, uint32_t capacity) {
    auto* magazine = static_cast<Magazine*>(metadata.Allocate(Bytes(capacity)));
    if (magazine == nullptr) return nullptr;
    magazine->next = nullptr;
    magazine->count = 0;
    magazine->capacity = capacity;
    magazine->end_of_slots = nullptr;
    return magazine;
  }
  static void Destroy(Metadata& metadata, Magazine* magazine) { metadata.Free(magazine, Bytes(magazine->capacity)); }
};
static_assert(sizeof(Magazine) == 24);

// How many slots of a class a magazine may hold, whatever its capacity.
constexpr uint32_t MaxMagazineSlots(SizeClass size_class) {
  const size_t slots = Magazine::kMaxSlotBytes / kSizeClasses[size_class].slot_bytes;
  return slots < Magazine::kMaxCapacity ? static_cast<uint32_t>(slots) : Magazine::kMaxCapacity;
}

}  // namespace acre
