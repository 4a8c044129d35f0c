#include "allocator/collect/mark_worker.h"

#include "os/check.h"

namespace acre {

MarkWorker::MarkWorker(MarkContext& context)
    : context_(context),
      tables_{kWaveWords.data(), context.kinds.first_masks()},
      wave_objects_(context.body.wave_objects),
      stack_(context.source) {
  next_candidate = candidates_;
  candidate_limit = candidates_ + kCandidates;
  flush_candidates = &MarkWorker::Flush;
}

bool MarkWorker::is_dry() const { return stack_.is_dry() && ranges_ == 0 && current_->count() + other_->count() == 0; }

namespace {

inline void PrefetchLine(uintptr_t address) { __builtin_prefetch(reinterpret_cast<const void*>(address)); }

void PrefetchFurther(uintptr_t object, grey_internal::Prefetch prefetch) {
  for (uint32_t left = prefetch.steps; left > 0; --left) {
    object += prefetch.step_bytes;
    PrefetchLine(object);
  }
}

// Class and kind, in place.
constexpr Grey CodeOf(Grey grey) { return grey & ~arch::kScanAddressMask; }

}  // namespace

// Any object. A large one becomes a range; one with a function goes beside the others.
void MarkWorker::Place(Wave* wave, Grey grey) {
  if (IsForKernels(grey)) [[likely]] {
    Mix(wave);
    PrefetchLine(ObjectOf(grey));
    PrefetchFurther(ObjectOf(grey), kWavePrefetches[ClassOf(grey)]);
    wave->object[wave->objects++] = grey;
  } else if (FormOfGrey(grey) == TraceForm::kFunction) {
    PrefetchLine(ObjectOf(grey));
    wave->traced_object[wave->traced++] = grey;
  } else {
    ++scanned_objects_;
    PushRange(RangeOf(grey));
  }
}

// Takes from the stack's top down to `base`, as long as objects are of the class and kind of the first, for which all is
// looked up once.
void MarkWorker::TakeAlike(Wave* wave, const Grey* base) {
  Grey* const top = stack_.top();
  const Grey code = CodeOf(top[-1]);
  const size_t taken = context_.body.take_alike(top, static_cast<size_t>(top - base), code, wave->object);
  stack_.set_top(top - taken);
  wave->code = code;
  wave->objects = static_cast<uint32_t>(taken);
  if (const auto prefetch = kWavePrefetches[ClassOf(code)]; prefetch.steps != 0) {
    for (size_t i = 0; i < taken; ++i) PrefetchFurther(wave->object[i], prefetch);
  }
}

// The objects may be of several classes and kinds from now on.
void MarkWorker::Mix(Wave* wave) {
  if (wave->code == 0) return;
  for (uint32_t i = 0; i < wave->objects; ++i) wave->object[i] |= wave->code;
  wave->code = 0;
}

void MarkWorker::TakeWave(Wave* wave) {
  wave->objects = 0;
  wave->traced = 0;
  wave->code = 0;
  do {
    const auto there = static_cast<size_t>(stack_.top() - stack_.base());
    const size_t room = wave_objects_ - wave->count();
    const Grey* const base = stack_.top() - (there < room ? there : room);
    // Most waves are all alike. Where they are not, looking for the next run of objects costs more than it saves.
    if (wave->count() == 0 && stack_.top() != base && IsForKernels(stack_.top()[-1])) TakeAlike(wave, base);
    while (stack_.top() != base) {
      Grey* const top = stack_.top() - 1;
      stack_.set_top(top);
      Place(wave, *top);
      if (stack_.top() != top) return;  // It has pushed: a range was scanned at once, as there are too many.
    }
    if (stack_.top() == stack_.base() && !stack_.PreviousSegment()) return;
  } while (wave->count() < wave_objects_);
}

// Takes the first piece off the range.
GreyRange MarkWorker::TakePiece(GreyRange* range) const {
  GreyRange piece = *range;
  if (piece.words > kPieceWords) piece.words = kPieceWords;
  range->base = piece.limit();
  range->words -= piece.words;
  if (FormOf(static_cast<Kind>(range->kind)) == TraceForm::kBitmap) {
    const uint32_t period = context_.kinds.PeriodWords(static_cast<Kind>(range->kind));
    range->phase = (range->phase + piece.words) % period & kMaxBitmapWords;  // The mask says only that it fits.
  }
  return piece;
}

uint64_t* MarkWorker::ScanPiece(const GreyRange& piece, uint64_t* out) const {
  const uint64_t mask = context_.kinds.FieldMask(static_cast<Kind>(piece.kind), piece.phase);
  return context_.body.scan_words(reinterpret_cast<const uint64_t*>(piece.base), piece.words, mask, context_.filter, out);
}

// All of a range at once: pieces go into the buffer, which is marked whenever it is full.
void MarkWorker::ScanPieces(GreyRange range) {
  while (range.words > 0) {
    next_candidate = ScanPiece(TakePiece(&range), next_candidate);
    if (next_candidate >= candidate_limit) MarkPendingCandidates();
  }
}

void MarkWorker::PushRange(const GreyRange& range) {
  if (ranges_ < kMaxRanges) {
    range_[ranges_++] = range;
    return;
  }
  ScanPieces(range);
}

// One piece of the newest range.
void MarkWorker::PullPiece() {
  GreyRange* range = &range_[ranges_ - 1];
  next_candidate = ScanPiece(TakePiece(range), next_candidate);
  if (range->words == 0) --ranges_;
}

bool MarkWorker::NextHuge() {
  if (!context_.has_huge.load(std::memory_order_relaxed)) return false;
  context_.has_huge.store(false, std::memory_order_relaxed);
  const HugeObjects& huge = context_.options.huge_objects;
  uintptr_t base;
  size_t bytes;
  Kind kind;
  if (!huge.take(huge.context, &base, &bytes, &kind)) return false;
  context_.has_huge.store(true, std::memory_order_relaxed);
  if (FormOf(kind) == TraceForm::kFunction) {
    if (context_.kinds.Trace(kind, base, bytes, *this)) return true;
    kind = kConservative;
  }
  AddRange(base, base + bytes, kind);
  return true;
}

void MarkWorker::TraceObject(Grey grey) {
  ++scanned_objects_;
  if (context_.kinds.Trace(KindOf(grey), ObjectOf(grey), SlotBytesOf(grey), *this)) return;
  GreyRange range = RangeOf(grey);
  range.kind = kConservative;
  ScanPieces(range);
}

void MarkWorker::TraceObjects(const Grey* objects, size_t count) {
  for (size_t i = 0; i < count; ++i) TraceObject(objects[i]);
}

uint64_t* MarkWorker::ScanWave(const Wave& wave, uint64_t* out) const {
  const arch::ScanBody& body = context_.body;
  if (wave.code == 0) return body.scan_objects(wave.object, wave.objects, tables_, context_.filter, out);
  return body.scan_alike(wave.object, wave.objects, tables_.words[ClassOf(wave.code)],
                         tables_.field_masks[KindOf(wave.code)], context_.filter, out);
}

template <Markers kMarkers>
void MarkWorker::Round() {
  TakeWave(other_);
  if (next_candidate != candidates_) [[unlikely]] MarkPendingCandidates();  // Of ranges that found no room.
  next_candidate = ScanWave(*current_, next_candidate);
  scanned_objects_ += current_->objects;
  if (current_->traced != 0) [[unlikely]] TraceObjects(current_->traced_object, current_->traced);
  if (stack_.is_dry()) {
    if (ranges_ != 0) {
      PullPiece();
    } else if (context_.has_huge.load(std::memory_order_relaxed)) [[unlikely]] {
      (void)NextHuge();
    }
  }
  const uint64_t* limit = next_candidate;
  Restart();
  MarkCandidates<kMarkers>(candidates_, limit);
  Wave* scanned = current_;
  NoteNearness(*scanned);
  current_ = other_;
  other_ = scanned;
  other_->objects = 0;
  other_->traced = 0;
}

// One object of the wave is enough to tell: the first, whose first field is on top of the stack now.
void MarkWorker::NoteNearness(const Wave& scanned) {
  if (near_wait_ != 0) {
    --near_wait_;
    return;
  }
  if (scanned.objects == 0 || stack_.top() == stack_.base()) return;
  const Grey parent = scanned.object[0] | scanned.code;
  if ((stack_.top()[-1] ^ parent) >> kPageShift == 0) {
    ++near_rounds_;
  } else {
    near_rounds_ -= near_rounds_ < kNearLoss ? near_rounds_ : kNearLoss;
  }
}

void MarkWorker::LeaveNear() {
  near_rounds_ = 0;
  near_wait_ = next_near_wait_;
  if (next_near_wait_ < kMaxNearWait) next_near_wait_ *= 2;
}

void MarkWorker::ReturnWave(Wave* wave) {
  Mix(wave);
  Grey* top = stack_.top();
  for (uint32_t i = wave->objects; i-- != 0;) *top++ = wave->object[i];
  stack_.set_top(top);
  wave->objects = 0;
}

template <Markers kMarkers>
bool MarkWorker::Drain(size_t rounds) {
  markers_ = kMarkers;
  heap_low = context_.filter.low;
  heap_bytes = context_.filter.bytes;
  for (; rounds > 0; --rounds) {
    // The serial mode does not tell of what it marks.
    if constexpr (kMarkers != Markers::kOneWatched) {
      const bool is_near = IsNear();
      const bool is_thin = stack_.is_dry() && ranges_ == 0 && current_->objects <= kSerialEnter;
      if ((is_near || is_thin) && current_->traced == 0 && HasSerialMode() && stack_.Reserve(kMaxWave)) {
        ReturnWave(current_);
        if (is_near) {
          const size_t turns = rounds < kNearRounds ? rounds : kNearRounds;
          const size_t done = DrainSerially<kMarkers>(turns * wave_objects_) / wave_objects_;
          rounds -= done < turns ? done : turns - 1;
          // Before the waves would take all that waits: a depth-first stack is small.
          if (kMarkers == Markers::kSeveral && context_.pool.WantsWork()) [[unlikely]] ShareWork();
          if (IsNear() && stack_.top() != stack_.base() && IsForKernels(stack_.top()[-1])) continue;
        } else {
          DrainSerially<kMarkers>(context_.max_serial_objects);
        }
      }
    }
    if (is_dry() && !context_.has_huge.load(std::memory_order_relaxed)) return true;
    Round<kMarkers>();
    if constexpr (kMarkers == Markers::kSeveral) {
      if (context_.pool.WantsWork()) [[unlikely]] ShareWork();
    }
  }
  return is_dry() && !context_.has_huge.load(std::memory_order_relaxed);
}

template bool MarkWorker::Drain<Markers::kOne>(size_t);
template bool MarkWorker::Drain<Markers::kSeveral>(size_t);
template bool MarkWorker::Drain<Markers::kOneWatched>(size_t);

// Half of a range, else part of the stack.
void MarkWorker::ShareWork() {
  if (ranges_ > 0) {
    GreyRange& range = range_[0];
    if (range.words >= kMinSplitWords && FormOf(static_cast<Kind>(range.kind)) != TraceForm::kBitmap) {
      GreyRange given = range;
      range.words = range.words / 2;
      given.base = range.limit();
      given.words -= range.words;
      if (context_.pool.GiveRange(given)) return;
      range.words += given.words;
    } else if (ranges_ > 1 && context_.pool.GiveRange(range)) {
      range = range_[--ranges_];
      return;
    }
  }
  if (MarkSegment* segment = stack_.Split(IsNear() ? kMinNearSplit : kMinSplit)) context_.pool.GiveSegment(segment);
}

void MarkWorker::DrainWithOthers(uint32_t number) {
  for (;;) {
    (void)Drain<Markers::kSeveral>(SIZE_MAX);
    const MarkPool::Work work = context_.pool.Take(number);
    switch (work.next) {
      case MarkPool::Next::kSegment:
        stack_.Adopt(work.segment);
        break;
      case MarkPool::Next::kRange:
        range_[ranges_++] = work.range;
        break;
      case MarkPool::Next::kLast:
        if (context_.has_huge.load(std::memory_order_relaxed)) break;
        if (!context_.has_pending.exchange(false, std::memory_order_relaxed)) {
          context_.pool.End();
          return;
        }
        DrainPending<Markers::kSeveral>();
        break;
      case MarkPool::Next::kEnd:
        return;
    }
  }
}

void MarkWorker::AddRange(uintptr_t base, uintptr_t limit, Kind kind) {
  // Words are read where words may lie.
  base = AlignUp(base, sizeof(uint64_t));
  size_t words = limit <= base ? 0 : (limit - base) / sizeof(uint64_t);
  const uint32_t period = context_.kinds.PeriodWords(kind);
  // Long ranges are cut where their bitmap begins anew.
  const size_t longest = kMaxRangeWords / period * period;
  while (words > 0) {
    const size_t here = words < longest ? words : longest;
    PushRange({.base = base, .words = static_cast<uint32_t>(here), .phase = 0, .kind = kind});
    base += here * sizeof(uint64_t);
    words -= here;
  }
}

void MarkWorker::ScanRange(uintptr_t base, uintptr_t limit, Kind kind) {
  heap_low = context_.filter.low;
  heap_bytes = context_.filter.bytes;
  base = AlignUp(base, sizeof(uint64_t));
  if (limit <= base) return;
  size_t words = (limit - base) / sizeof(uint64_t);
  const uint32_t period = context_.kinds.PeriodWords(kind);
  const size_t longest = kMaxRangeWords / period * period;
  while (words > 0) {
    const size_t here = words < longest ? words : longest;
    ScanPieces({.base = base, .words = static_cast<uint32_t>(here), .phase = 0, .kind = kind});
    base += here * sizeof(uint64_t);
    words -= here;
  }
  MarkPendingCandidates();
}

}  // namespace acre
