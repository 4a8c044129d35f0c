#include "allocator/collect/mark_verifier.h"

#include <bit>
#include <cstring>

#include "allocator/base/bits.h"
#include "allocator/base/units.h"
#include "allocator/collect/mark_bits.h"
#include "allocator/collect/tracer.h"
#include "os/check.h"

namespace acre {
namespace {

constexpr const char* kMemoryName = "acre: verification";
constexpr size_t kWordsOfPage = sizeof(BitLine) / sizeof(uint64_t);
constexpr size_t kLineBytes = size_t{kChunkPages} * sizeof(BitLine);
constexpr size_t kFirstStack = size_t{1} << 16;  // Entries.

const char* NameOf(Kind kind) {
  switch (FormOf(kind)) {
    case TraceForm::kConservative: return "conservative";
    case TraceForm::kNone: return "without pointers";
    case TraceForm::kBitmap: return "with a bitmap";
    case TraceForm::kFunction: return "with a trace function";
  }
  return "unknown";
}

template <class Found>
void Describe(const Found& found, os::Line* line) {
  *line << os::Hex{found.base} << " (" << found.bytes << " bytes, kind " << found.kind << " " << NameOf(found.kind);
  if (found.span == nullptr) {
    *line << ", huge)";
  } else if (found.span->size_class == kLargeClass) {
    *line << ", large)";
  } else {
    *line << ", slot " << found.slot << " of the span at " << os::Hex{BaseOf(found.span)} << ")";
  }
}

}  // namespace

// What a function names goes through the verifier word by word.
class MarkVerifier::WordTracer : public Tracer {
 public:
  explicit WordTracer(MarkVerifier& verifier) : verifier_(verifier) {
    next_candidate = words_;
    candidate_limit = words_ + kWords;
    heap_low = 0;
    heap_bytes = UINT64_MAX;
    flush_candidates = [](Tracer* tracer) { static_cast<WordTracer*>(tracer)->Flush(); };
  }

  // A function names pointers, not boxed words.
  void Flush() {
    for (const uint64_t* word = words_; word != next_candidate; ++word) verifier_.ReachAt(*word, kNamed);
    next_candidate = words_;
  }

 private:
  static constexpr size_t kWords = 64;

  MarkVerifier& verifier_;
  uint64_t words_[kWords + 1];
};

MarkVerifier::MarkVerifier(os::AddressSpace& space, const ChunkTable& table, const KindTable& kinds,
                           const MarkerOptions& options, LargePool* large_pool)
    : space_(space),
      table_(table),
      kinds_(kinds),
      options_(options),
      large_pool_(large_pool),
      recorder_{.context = this,
                .word = [](void* self, uint64_t word) { static_cast<MarkVerifier*>(self)->Reach(word, kNamed); },
                .range = [](void* self, uintptr_t base, uintptr_t limit) {
                  static_cast<MarkVerifier*>(self)->ScanWords(base, limit, kConservative);
                },
                .function = [](void* self, acre_root_function* function, void* argument) {
                  WordTracer tracer(*static_cast<MarkVerifier*>(self));
                  function(argument, &tracer);
                  tracer.Flush();
                }} {
  chunks_ = (table.limit() - table.base()) / kChunkBytes;
  capacity_ = kFirstStack;
  lines_ = static_cast<uint64_t**>(space_.AllocateMetadata((chunks_ + 1) * sizeof(uint64_t*), kMemoryName));
  stack_ = static_cast<uintptr_t*>(space_.AllocateMetadata(capacity_ * sizeof(uintptr_t), kMemoryName));
  has_memory_ = lines_ != nullptr && stack_ != nullptr;
  if (large_pool_ != nullptr) {
    large_pool_->ForEachHuge([](LargePool::Huge& huge) { huge.is_reached = false; });
  }
}

MarkVerifier::~MarkVerifier() {
  if (stack_ != nullptr) space_.FreeMetadata(stack_, capacity_ * sizeof(uintptr_t));
  if (lines_ == nullptr) return;
  for (size_t i = 0; i < chunks_; ++i) {
    if (lines_[i] != nullptr) space_.FreeMetadata(lines_[i], kLineBytes);
  }
  space_.FreeMetadata(lines_, (chunks_ + 1) * sizeof(uint64_t*));
}

bool MarkVerifier::Run() {
  is_racing_ = false;
  while (has_memory_ && depth_ > 0) Scan(Find(stack_[--depth_]));
  if (has_memory_) {
    CompareMarked();
  } else {
    os::Line line;
    (line << "no memory to verify a marking").Write();
  }
  return has_memory_;
}

// The object that the word points into, if it is one that the program was given.
MarkVerifier::Found MarkVerifier::Find(uintptr_t word) const {
  if (IsHuge(table_.Use(word))) {
    Found found;
    if (large_pool_ == nullptr) return found;
    large_pool_->ForEachHuge([&](LargePool::Huge& huge) {
      if (word < huge.base || word >= huge.base + huge.bytes) return;
      found = {.base = huge.base, .bytes = huge.bytes, .kind = huge.kind, .huge = &huge};
    });
    return found;
  }
  const Slot slot = FindSlot(table_, word);
  if (slot.span == nullptr) return {};
  const bool is_large = slot.span->size_class == kLargeClass;
  if (!is_large && slot.index >= kSizeClasses[slot.span->size_class].slots) return {};
  if (!TestBit(AllocBitsOf(slot.span), slot.index)) return {};
  return {.base = slot.base,
          .bytes = is_large ? BytesOf(slot.span) : kSizeClasses[slot.span->size_class].slot_bytes,
          .kind = slot.span->kind,
          .span = slot.span,
          .slot = slot.index};
}

// The verifier's own line of the span; null without memory.
uint64_t* MarkVerifier::BitsOf(const Span* span) {
  const uintptr_t chunk = ChunkOf(span)->base();
  uint64_t*& lines = lines_[(chunk - table_.base()) / kChunkBytes];
  if (lines == nullptr) lines = static_cast<uint64_t*>(space_.AllocateMetadata(kLineBytes, kMemoryName));
  if (lines == nullptr) {
    has_memory_ = false;
    return nullptr;
  }
  return lines + FirstPageOf(span) * kWordsOfPage;
}

// True if it was not reached before.
bool MarkVerifier::SetReached(const Found& found) {
  if (found.huge != nullptr) {
    const bool was_reached = found.huge->is_reached;
    found.huge->is_reached = true;
    return !was_reached;
  }
  uint64_t* bits = BitsOf(found.span);
  if (bits == nullptr || TestBit(bits, found.slot)) return false;
  SetBits(bits, found.slot, 1);
  return true;
}

bool MarkVerifier::IsMarked(const Found& found) const {
  return found.huge != nullptr ? found.huge->is_marked : !TestBit(WhiteBitsOf(found.span), found.slot);
}

// A word that lies at `place`, or was named by a function: as it stands, and unboxed.
void MarkVerifier::Reach(uint64_t word, uintptr_t place) {
  if (!has_memory_) return;
  ReachAt(word, place);
  const ValueFormat& format = options_.value_format;
  if (format.tag_mask == 0 || (word & format.tag_mask) != format.tag) return;
  ReachAt((word ^ format.tag_xor) & format.tag_and, place);
}

void MarkVerifier::ReachAt(uintptr_t word, uintptr_t place) {
  for (const uintptr_t address : {word, word - 1}) {
    const Found found = Find(address);
    // What runs meanwhile may have found a stale word somewhere; what the marker did see must lead on all the same.
    const bool counts = found.base != 0 && (!is_racing_ || IsMarked(found));
    if (counts && SetReached(found)) {
      if (!IsMarked(found)) FailMissed(found, place);
      ++reached_objects_;
      if (FormOf(found.kind) != TraceForm::kNone) Push(found.base);
    }
    if (options_.end_pointers == EndPointers::kIgnored || word % kSlotAlignment != 0) return;
  }
}

void MarkVerifier::Push(uintptr_t object) {
  if (depth_ == capacity_) {
    void* larger = space_.AllocateMetadata(2 * capacity_ * sizeof(uintptr_t), kMemoryName);
    if (larger == nullptr) {
      has_memory_ = false;
      return;
    }
    std::memcpy(larger, stack_, depth_ * sizeof(uintptr_t));
    space_.FreeMetadata(stack_, capacity_ * sizeof(uintptr_t));
    stack_ = static_cast<uintptr_t*>(larger);
    capacity_ *= 2;
  }
  stack_[depth_++] = object;
}

// The aligned words of [base, limit) that a bitmap names, all where there is none. The sanitizers do not know that
// the threads whose stacks these may be have stopped.
__attribute__((no_sanitize("address", "thread"))) void MarkVerifier::ScanWords(uintptr_t base, uintptr_t limit, Kind kind) {
  base = AlignUp(base, sizeof(uint64_t));
  const size_t words = limit <= base ? 0 : (limit - base) / sizeof(uint64_t);
  const uint32_t period = kinds_.PeriodWords(kind);
  for (size_t from = 0; from < words; from += kWordBits) {
    const uint64_t mask = kinds_.FieldMask(kind, static_cast<uint32_t>(from % period));
    for (size_t i = from; i < words && i < from + kWordBits; ++i) {
      if ((mask >> (i - from) & 1) == 0) continue;
      const uintptr_t place = base + i * sizeof(uint64_t);
      Reach(*reinterpret_cast<const uint64_t*>(place), place);
    }
  }
}

void MarkVerifier::Scan(const Found& found) {
  Kind kind = found.kind;
  if (FormOf(kind) == TraceForm::kFunction) {
    WordTracer tracer(*this);
    scanned_ = found.base;
    const bool is_ready = kinds_.Trace(kind, found.base, found.bytes, tracer);
    tracer.Flush();
    if (is_ready) return;
    kind = kConservative;
  }
  ScanWords(found.base, found.base + found.bytes, kind);
}

// Everything that the marker has marked was reached here too.
void MarkVerifier::CompareMarked() {
  if (was_racing_ || may_keep_) return;
  ForEachSpan(table_, [this](const Span* span) {
    const uint64_t* reached = BitsOf(span);
    if (reached == nullptr) return;
    for (uint32_t word = 0; word < kWordsOfPage; ++word) {
      const uint64_t surplus = MarkedWordOf(span, word) & ~reached[word];
      if (surplus == 0) continue;
      const uint32_t slot = word * kWordBits + static_cast<uint32_t>(std::countr_zero(surplus));
      const bool is_large = span->size_class == kLargeClass;
      const size_t bytes = is_large ? BytesOf(span) : kSizeClasses[span->size_class].slot_bytes;
      FailKept({.base = BaseOf(span) + slot * bytes, .bytes = bytes, .kind = span->kind, .span = span, .slot = slot});
    }
  });
  if (large_pool_ == nullptr) return;
  large_pool_->ForEachHuge([this](LargePool::Huge& huge) {
    if (huge.is_marked && !huge.is_reached) FailKept({.base = huge.base, .bytes = huge.bytes, .kind = huge.kind});
  });
}

void MarkVerifier::FailMissed(const Found& found, uintptr_t place) const {
  os::Line line;
  line << "marking has missed the live object at ";
  Describe(found, &line);
  line << "; to it points ";
  const Found holder = Find(place);
  if (place == kNamed && scanned_ == 0) {
    line << "a root";
  } else if (place == kNamed) {
    line << "what the trace function names of the object at ";
    Describe(Find(scanned_), &line);
  } else if (holder.base == 0) {
    line << "the root at " << os::Hex{place};
  } else {
    line << "the word " << place - holder.base << " bytes into the object at ";
    Describe(holder, &line);
  }
  os::FatalLine(line);
}

void MarkVerifier::FailKept(const Found& found) const {
  os::Line line;
  line << "marking has kept an object that nothing reaches, at ";
  Describe(found, &line);
  os::FatalLine(line);
}

}  // namespace acre
