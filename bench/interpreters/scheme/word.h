#pragma once

// One word of the language. All of Scheme's values are 64-bit words:
//
//   ...xxxxxxx1   fixnum: a 63-bit integer above the tag
//   ...xxxxx000   the address of a heap object, untagged, so that any collector recognises it
//   ...xxxxx010   an immediate: payload << 8 | kind << 3 | 2
//   0             nothing: what a fresh field holds; never seen by a program
//
// Untagged pointers and a harmless zero are what the heaps below us want: a collector that reads words conservatively finds
// every pointer, and an object whose fields have not been stored yet may be traced at any moment.

#include <cstddef>
#include <cstdint>

namespace scheme {

using Word = uintptr_t;

enum class Immediate : Word { kConstant, kCharacter, kSpecialForm };

constexpr int kImmediateKindShift = 3;
constexpr int kImmediatePayloadShift = 8;
constexpr Word kTagMask = 7;
constexpr Word kImmediateTag = 2;

constexpr Word MakeImmediate(Immediate kind, Word payload) {
  return payload << kImmediatePayloadShift | static_cast<Word>(kind) << kImmediateKindShift | kImmediateTag;
}
constexpr bool IsImmediate(Word word, Immediate kind) {
  return (word & 0xff) == MakeImmediate(kind, 0);
}

constexpr Word kFalseWord = MakeImmediate(Immediate::kConstant, 0);
constexpr Word kTrueWord = MakeImmediate(Immediate::kConstant, 1);
constexpr Word kNilWord = MakeImmediate(Immediate::kConstant, 2);
constexpr Word kUnspecifiedWord = MakeImmediate(Immediate::kConstant, 3);
constexpr Word kUnboundWord = MakeImmediate(Immediate::kConstant, 4);  // A variable before its definition.
constexpr Word kEofWord = MakeImmediate(Immediate::kConstant, 5);
constexpr Word kDeletedWord = MakeImmediate(Immediate::kConstant, 6);  // A hash-table entry that was taken out.

constexpr bool IsPointerWord(Word word) { return word != 0 && (word & kTagMask) == 0; }
constexpr bool IsFixnumWord(Word word) { return (word & 1) != 0; }

constexpr int64_t kFixnumMax = INT64_MAX >> 1;
constexpr int64_t kFixnumMin = INT64_MIN >> 1;
constexpr Word FixnumWord(int64_t number) { return static_cast<Word>(number) << 1 | 1; }
constexpr int64_t FixnumOf(Word word) { return static_cast<int64_t>(word) >> 1; }

enum class Type : uint8_t {
  kNone, kPair, kFlonum, kBignum, kRatnum, kString, kSymbol, kVector, kBytevector, kHashTable, kBox, kClosure, kBuiltin,
  kCode, kContinuation, kMultipleValues, kRecord, kCondition, kMacro, kPort
};
constexpr size_t kMaxTypes = static_cast<size_t>(Type::kPort) + 1;

// What each object begins with. A pair is 24 bytes, a slot of 32 in every allocator, so the header costs no memory.
struct Header {
  uint32_t type : 8;
  uint32_t line : 24;  // Pairs that the reader made know their line.
  uint32_t count;      // The heap policy's own; see heap_counting.h.
};
constexpr uint32_t kLargestLine = (1 << 24) - 1;
static_assert(sizeof(Header) == sizeof(Word));

}  // namespace scheme
