#pragma once

// Grey objects: marked, and still to be scanned.
//
// A grey object is one 64-bit word: its address, its size class from bit 48 on, its kind from bit 56 on. Scanning needs
// nothing else, so that an object's page is looked up once, when it is marked. The upper half of a page descriptor moves
// out of the word by the shift that makes it.
//
// Objects of more than 512 bytes, and roots, are grey ranges: they are scanned a piece at a time.

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "allocator/base/racy.h"
#include "allocator/collect/kind.h"
#include "allocator/span/chunk.h"
#include "arch/scan.h"

namespace acre {

using Grey = uint64_t;

inline constexpr uint32_t kGreyClassShift = arch::kScanSizeShift;
inline constexpr uint32_t kGreyKindShift = arch::kScanShapeShift;

inline Grey MakeGrey(uintptr_t object, PageDescriptor descriptor) {
  return object | uint64_t{std::bit_cast<uint32_t>(descriptor)} << kGreyClassShift;
}
constexpr uintptr_t ObjectOf(Grey grey) { return grey & arch::kScanAddressMask; }
constexpr SizeClass ClassOf(Grey grey) { return static_cast<SizeClass>(grey >> kGreyClassShift); }
constexpr Kind KindOf(Grey grey) { return static_cast<Kind>(grey >> kGreyKindShift); }
constexpr TraceForm FormOfGrey(Grey grey) { return FormOf(KindOf(grey)); }

// Whether an object has to be scanned at all.
inline constexpr Grey kUntracedGrey = Grey{MakeKind(TraceForm::kNone, 0)} << kGreyKindShift;
constexpr bool IsTraced(Grey grey) { return grey < kUntracedGrey; }

// Objects that waves take; larger ones become ranges.
inline constexpr size_t kMaxWaveBytes = arch::kMaxScanWords * sizeof(uint64_t);
inline constexpr SizeClass kMaxWaveClass = ClassForSize(kMaxWaveBytes);
static_assert(kSizeClasses[kMaxWaveClass].slot_bytes == kMaxWaveBytes);

// What the scan kernels take: small, and without a trace function.
constexpr bool IsForKernels(Grey grey) {
  return ClassOf(grey) <= kMaxWaveClass && FormOfGrey(grey) != TraceForm::kFunction;
}

// A piece of memory to scan: what is left of a large object, or of a range of roots.
struct GreyRange {
  uintptr_t base = 0;
  uint32_t words = 0;
  uint32_t phase : 24 = 0;  // The word of its kind's bitmap at which the base is.
  uint32_t kind : 8 = kConservative;

  uintptr_t limit() const { return base + size_t{words} * sizeof(uint64_t); }
};
static_assert(sizeof(GreyRange) == 16);

// The longest range; what is longer is several.
inline constexpr size_t kMaxRangeWords = size_t{1} << 31;

// The object as a range. Large ones: their span's record is read.
inline size_t SlotBytesOf(Grey grey) {
  const SizeClass size_class = ClassOf(grey);
  if (size_class != kLargeClass) return kSizeClasses[size_class].slot_bytes;
  const Chunk* chunk = ChunkOf(ObjectOf(grey));
  return size_t{RacyLoad(chunk->spans[PageOf(ObjectOf(grey))].pages)} << kPageShift;
}

inline GreyRange RangeOf(Grey grey) {
  return {.base = ObjectOf(grey),
          .words = static_cast<uint32_t>(SlotBytesOf(grey) / sizeof(uint64_t)),
          .phase = 0,
          .kind = KindOf(grey)};
}

namespace grey_internal {
constexpr std::array<uint8_t, 256> MakeWords() {
  std::array<uint8_t, 256> words{};
  for (SizeClass number = 1; number <= kMaxWaveClass; ++number) {
    words[number] = static_cast<uint8_t>(kSizeClasses[number].slot_bytes / sizeof(uint64_t));
  }
  return words;
}

// Where else than at its base an object is prefetched, by its class: as many steps of this many bytes. One that is no
// longer than a line lies across two unless its size divides a line, so its last byte is asked for; of a long one the
// first four lines are, the others come by themselves once reading has begun.
struct Prefetch {
  uint8_t steps = 0;
  uint8_t step_bytes = 0;
};

constexpr std::array<Prefetch, 256> MakePrefetches() {
  constexpr size_t kLine = 64;
  constexpr size_t kMaxSteps = 3;
  std::array<Prefetch, 256> prefetches{};
  for (SizeClass number = 1; number <= kMaxWaveClass; ++number) {
    const size_t bytes = kSizeClasses[number].slot_bytes;
    if (bytes <= kLine && kLine % bytes == 0) continue;
    const size_t steps = (bytes - 1) / kLine < kMaxSteps ? (bytes - 1) / kLine : kMaxSteps;
    prefetches[number].steps = static_cast<uint8_t>(steps == 0 ? 1 : steps);
    prefetches[number].step_bytes = static_cast<uint8_t>(bytes < kLine ? bytes - 1 : kLine);
  }
  return prefetches;
}

}  // namespace grey_internal

// Words of an object by its class; 0 for those that waves do not take.
alignas(64) inline constexpr std::array<uint8_t, 256> kWaveWords = grey_internal::MakeWords();

alignas(64) inline constexpr std::array<grey_internal::Prefetch, 256> kWavePrefetches = grey_internal::MakePrefetches();

}  // namespace acre
