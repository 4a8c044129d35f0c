#pragma once

// Finding words that may be pointers into the heap.
//
// Marking reads objects some dozens at a time. The scan kernels take such a wave and write the words that lie in the heap's range
// into a buffer, one behind the other, without a branch that depends on a word: whether a word is a pointer is what a
// branch predictor can know least. All have one meaning, that of the portable body; the wide ones are faster.
//
// Any thread; no allocation, no failure. The objects' words are read plainly: a concurrent writer may be seen or not.

#include <cstddef>
#include <cstdint>
#include <span>

#include "arch/cpu.h"
#include "arch/slots.h"

namespace acre::arch {

// Which words are candidates: those with word - low < bytes. Where `tag_mask` is not 0, words with
// (word & tag_mask) == tag are boxed: the pointer inside, (word ^ tag_xor) & tag_and, is a candidate of its own, behind
// the word as it stands. Only kBoxedScanBody knows boxed words.
struct ScanFilter {
  uint64_t low = 0;
  uint64_t bytes = 0;
  uint64_t tag_mask = 0;
  uint64_t tag = 0;
  uint64_t tag_xor = 0;
  uint64_t tag_and = 0;
};

// An object to scan, in one word: its address below bit 48, above it a code of 8 bits for its size and one for its shape.
struct ScanTables {
  const uint8_t* words;         // Words of an object, by size code: even, at most 64.
  const uint64_t* field_masks;  // Bit i: word i may hold a pointer. By shape code.
};

inline constexpr uint32_t kScanSizeShift = 48;
inline constexpr uint32_t kScanShapeShift = 56;
inline constexpr uint64_t kScanAddressMask = (uint64_t{1} << kScanSizeShift) - 1;
inline constexpr size_t kMaxScanWords = 64;

// The kernels may write this many words of rubbish behind the last candidate.
inline constexpr size_t kScanSlackWords = 8;

// Writes the candidates of `count` objects in their order, each object's by ascending address. Returns the end.
using ScanObjectsFunction = uint64_t*(const uint64_t* objects, size_t count, const ScanTables& tables,
                                      const ScanFilter& filter, uint64_t* out);

// The same for one run of `count` words, at most 64; bit i of the mask: word i may hold a pointer.
using ScanWordsFunction = uint64_t*(const uint64_t* words, size_t count, uint64_t mask, const ScanFilter& filter,
                                    uint64_t* out);

// Objects that are all of one size and shape are taken, and scanned, without looking at their codes one by one.
//
// Of the objects [limit - count, limit), from the last to the first, as many as have the code `code` (the upper 16 bits, in
// place): writes their addresses to `addresses` and prefetches the line at each. Returns how many there are. Up to
// kTakeSlack words of rubbish may be behind them.
using TakeAlikeFunction = size_t(const uint64_t* limit, size_t count, uint64_t code, uint64_t* addresses);
inline constexpr size_t kTakeSlack = 4;

// The same as ScanObjectsFunction for such objects by their addresses; `words` and `mask` are what the tables say of them.
using ScanAlikeFunction = uint64_t*(const uint64_t* addresses, size_t count, size_t words, uint64_t mask,
                                    const ScanFilter& filter, uint64_t* out);

struct ScanBody {
  const char* name;
  bool (*is_supported)(const CpuFeatures& cpu);  // The CPU can run it.
  bool (*is_preferred)(const CpuFeatures& cpu);  // It is also faster there than the bodies before it.
  // Objects to have on their way from memory at once. What fits the CPUs that run this body: on Zen 3, 16 to 32 are the
  // best, 64 up to a third slower (docs/marking.md); on Zen 5, with twice the misses in flight, 64.
  uint32_t wave_objects;
  ScanObjectsFunction* scan_objects;
  ScanWordsFunction* scan_words;
  TakeAlikeFunction* take_alike;
  ScanAlikeFunction* scan_alike;
  FindSlotsFunction* find_slots;  // arch/slots.h.
};

inline constexpr uint32_t kMaxWaveObjects = 64;
inline constexpr uint32_t kNarrowWave = 24;

// All bodies built for this CPU family, slowest first; the first is the portable one.
std::span<const ScanBody> ScanBodies();

// The last body that is both supported and preferred. For a filter with boxed words take kBoxedScanBody.
const ScanBody& ChooseScanBody(const CpuFeatures& cpu);

ScanObjectsFunction ScanObjectsPortable;
ScanWordsFunction ScanWordsPortable;
TakeAlikeFunction TakeAlikePortable;
ScanAlikeFunction ScanAlikePortable;

// The body for filters with boxed words.
extern const ScanBody kBoxedScanBody;

}  // namespace acre::arch
