#include "allocator/collect/kind.h"

#include "allocator/base/bits.h"
#include "os/check.h"

namespace acre {

KindTable::KindTable() {
  for (uint32_t number = 0; number < kMaxKinds; ++number) {
    first_masks_[MakeKind(TraceForm::kConservative, number)] = ~uint64_t{0};
  }
}

Status KindTable::AddBitmap(const uint64_t* bitmap, uint32_t words, Kind* kind) {
  CHECK(words > 0);
  CHECK(words <= kMaxBitmapWords);
  Entry entry;
  entry.form = TraceForm::kBitmap;
  entry.period_words = words;
  if (words <= kWordBits) {
    for (uint32_t i = 0; i < 2 * kWordBits; ++i) {
      if (TestBit(bitmap, i % words)) SetBits(entry.repeated, i, 1);
    }
  } else {
    entry.bitmap = bitmap;
  }
  return Intern(entry, kind);
}

Status KindTable::AddFunction(TraceFunction* function, void* context, Kind* kind) {
  Entry entry;
  entry.form = TraceForm::kFunction;
  entry.function = function;
  entry.context = context;
  return Intern(entry, kind);
}

Status KindTable::Intern(const Entry& entry, Kind* kind) {
  for (uint32_t number = 2; number < count_; ++number) {
    if (entries_[number] != entry) continue;
    *kind = MakeKind(entry.form, number);
    return Status::kOk;
  }
  if (count_ == kMaxKinds) return Status::kOutOfMemory;
  entries_[count_] = entry;
  *kind = MakeKind(entry.form, count_++);
  first_masks_[*kind] = FieldMask(*kind, 0);
  return Status::kOk;
}

uint64_t KindTable::FieldMask(Kind kind, uint32_t phase) const {
  if (FormOf(kind) == TraceForm::kConservative) return ~uint64_t{0};
  if (FormOf(kind) != TraceForm::kBitmap) return 0;
  const Entry& entry = entries_[NumberOf(kind)];
  if (entry.bitmap == nullptr) {
    if (phase == 0) return entry.repeated[0];
    return entry.repeated[0] >> phase | entry.repeated[1] << (kWordBits - phase);
  }
  // At most two pieces of a bitmap this long: to its end, and from its beginning.
  uint64_t mask = 0;
  for (uint32_t i = 0; i < kWordBits; ++i) {
    const uint32_t bit = phase + i < entry.period_words ? phase + i : phase + i - entry.period_words;
    mask |= uint64_t{TestBit(entry.bitmap, bit)} << i;
  }
  return mask;
}

}  // namespace acre
