#pragma once

// Kinds: how the objects of a span are traced.
//
// A kind is one byte, which stands in the descriptor of every page: its highest two bits are the form, the others the
// number of an entry in the heap's table of kinds. So marking knows from the descriptor alone what matters most, and
// looks into the table only for objects that have a bitmap or a function.
//
//   none          no word is a pointer: objects are marked and never read
//   conservative  every word may be one
//   bitmap        a bit a word, for arrays repeated to the end of the slot
//   function      the embedder's trace function names the pointers
//
// Whatever the form, a word that is taken for a pointer may be anything: it is resolved like a word of a stack.
//
// Threads: entries are added one at a time (the caller's lock) before any object of the kind is allocated; read by
// markers without a lock. Entries are never removed.

#include <array>
#include <cstddef>
#include <cstdint>

#include "allocator/collect/tracer.h"
#include "allocator/span/span.h"
#include "os/status.h"

namespace acre {

// kNone is the greatest, so that one comparison of a whole kind says whether its objects are scanned.
enum class TraceForm : uint8_t { kConservative = 0, kBitmap = 1, kFunction = 2, kNone = 3 };

inline constexpr uint32_t kTraceFormShift = 6;
inline constexpr uint32_t kMaxKinds = 1u << kTraceFormShift;
inline constexpr uint32_t kMaxBitmapWords = (1u << 24) - 1;  // 128 MiB; what a grey range has bits for.

constexpr Kind MakeKind(TraceForm form, uint32_t number) {
  return static_cast<Kind>(number | static_cast<uint32_t>(form) << kTraceFormShift);
}
constexpr TraceForm FormOf(Kind kind) { return static_cast<TraceForm>(kind >> kTraceFormShift); }
constexpr uint32_t NumberOf(Kind kind) { return kind & (kMaxKinds - 1); }

inline constexpr Kind kConservative = MakeKind(TraceForm::kConservative, 0);
// Without pointers, and freed by the collector. (kNoPointers is freed by hand.)
inline constexpr Kind kPlain = MakeKind(TraceForm::kNone, 1);
static_assert(kNoPointers == MakeKind(TraceForm::kNone, 0));

// The public type: see acre/acre.h. It returns false if the object is not initialised yet.
using TraceFunction = acre_trace_function;

class KindTable {
 public:
  KindTable();
  KindTable(const KindTable&) = delete;
  KindTable& operator=(const KindTable&) = delete;

  // Bit i of the bitmap: word i may hold a pointer. An object that is longer than `words` is an array of such. The bitmap
  // must stay in place where it is longer than 64 words. What is there already gets the same kind. kOutOfMemory: there are
  // kMaxKinds kinds.
  Status AddBitmap(const uint64_t* bitmap, uint32_t words, Kind* kind);
  Status AddFunction(TraceFunction* function, void* context, Kind* kind);

  // Bits for the 64 words of an object that begin at word `phase` of its bitmap; all ones for a conservative kind, none
  // for the other forms.
  uint64_t FieldMask(Kind kind, uint32_t phase) const;

  // The length of the bitmap in words; 1 for a kind without one.
  uint32_t PeriodWords(Kind kind) const { return entries_[NumberOf(kind)].period_words; }

  // FieldMask(kind, 0) for each kind there can be.
  const uint64_t* first_masks() const { return first_masks_.data(); }

  bool Trace(Kind kind, uintptr_t object, size_t slot_bytes, Tracer& tracer) const {
    const Entry& entry = entries_[NumberOf(kind)];
    return entry.function(entry.context, reinterpret_cast<void*>(object), slot_bytes, &tracer);
  }

 private:
  struct Entry {
    bool operator==(const Entry&) const = default;

    TraceForm form = TraceForm::kNone;
    TraceFunction* function = nullptr;
    void* context = nullptr;
    const uint64_t* bitmap = nullptr;  // Null where `repeated` says it all.
    uint64_t repeated[2] = {};         // The bitmap over and over, 128 words long, if it has at most 64.
    uint32_t period_words = 1;
  };

  Status Intern(const Entry& entry, Kind* kind);

  std::array<Entry, kMaxKinds> entries_;
  std::array<uint64_t, 256> first_masks_{};
  uint32_t count_ = 2;  // Numbers 0 and 1 stand for the kinds that need no entry.
};

}  // namespace acre
