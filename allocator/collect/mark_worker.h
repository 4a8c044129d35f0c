#pragma once

// One marker: waves, and the plain loop for when almost nothing is grey.
//
// A wave is 24 or 64 grey objects, as suits the CPU. Each round
//   1. takes the next wave from the stack and prefetches its objects,
//   2. scans the wave taken one round earlier, whose objects have arrived meanwhile, into a buffer of candidates: without
//      a branch on any of their words (arch/scan.h),
//   3. resolves the candidates, from the last to the first, to objects and their white bits, and prefetches these:
//      those in chunks of pages, for which the chunk table is asked unless the heap had no others when marking began,
//   4. takes the bits and pushes what was white: without a branch on that either.
// So a wave of objects and as many white bits are on their way from memory at any time, and no branch depends on the shape
// of the graph. What destroys parallelism in a marker is the mispredicted branch more than the missing prefetch.
//
// Backwards in step 3 means that the first field of the object that was on top of the stack ends on top: trees, whose
// children mostly lie in the order of the fields, are visited by ascending address.
//
// Large objects and roots are ranges, pulled 64 words at a time when the stack is dry: it stays small, and the heads of
// many lists are in one wave.
//
// Waves lose in two places, and a marker goes over to the serial mode there, a plain loop, depth-first, that keeps its next
// object in a register and the layout of its span at hand:
//   - where only one object at a time is there to be scanned (one long list): its waves hold at most two objects, its stack
//     and ranges are dry. Until eight objects wait.
//   - where objects lie in the order in which they are visited, so that their memory comes by itself: the first object of a
//     wave has led to one on its own page, sixteen times in a row or nearly so. For a turn of as much as 64 waves, and
//     again until eight objects or fewer are scanned for each span that is looked up. Then it is left for a while, each
//     time for longer.
//
// Figures, and what was tried besides: docs/marking.md.
//
// Threads: one a worker. With Markers::kOne no other worker of the heap runs.

#include <cstddef>
#include <cstdint>
#include <utility>

#include "allocator/collect/mark_bits.h"
#include "allocator/collect/mark_context.h"
#include "allocator/collect/mark_stack.h"
#include "allocator/collect/tracer.h"

namespace acre {

// A part of a large or huge object that is marked.
struct WrittenPart {
  uintptr_t object;
  size_t object_bytes;
  Kind kind;
  uintptr_t base;
  uintptr_t limit;
};

class MarkWorker : private Tracer {
 public:
  explicit MarkWorker(MarkContext& context);

  void TraceRoots(acre_root_function* function, void* context);

  // A word that may be a pointer; no more is done than marking and pushing.
  void AddRoot(uint64_t word);

  // The range must stay as it is until marking has ended, or else be scanned at once.
  void AddRange(uintptr_t base, uintptr_t limit, Kind kind);
  void ScanRange(uintptr_t base, uintptr_t limit, Kind kind);

  // Marks until nothing is grey here, or `rounds` waves are done. True if nothing is.
  template <Markers kMarkers>
  bool Drain(size_t rounds);

  // The objects that found no room on the stack, and what they lead to.
  template <Markers kMarkers>
  void DrainPending();

  // Marked objects that were written are grey once more: see Marker::ScanWritten.
  template <Markers kMarkers>
  void ScanWritten(uintptr_t base, uintptr_t limit);
  void ScanWrittenPart(const WrittenPart& part);
  size_t TakeWrittenObjects() { return std::exchange(written_objects_, 0); }

  // As one of several, until nothing is grey anywhere.
  void DrainWithOthers(uint32_t number);

  bool is_dry() const;

  // How AddRoot and ScanRange mark, until the next drain.
  void set_markers(Markers markers) { markers_ = markers; }

  // After marking: memory of the stack that is not needed any more goes back to the source.
  void Finish() { stack_.ReleaseSpare(); }

  size_t scanned_objects() const { return scanned_objects_; }

 private:
  static constexpr size_t kMaxWave = arch::kMaxWaveObjects;

  struct Wave {
    uint32_t objects = 0;
    uint32_t traced = 0;    // Objects whose kind is a function.
    Grey code = 0;          // If the objects are all of one class and kind: these. Only their addresses are there then.
    Grey object[kMaxWave + arch::kTakeSlack];
    Grey traced_object[kMaxWave];

    uint32_t count() const { return objects + traced; }
  };
  static constexpr size_t kBatch = 256;     // Candidates that are resolved before the first of them is marked.
  static constexpr size_t kMaxRanges = 1024;
  static constexpr size_t kSerialEnter = 2;
  static constexpr size_t kSerialLeave = 8;
  static constexpr uint32_t kNearEnter = 16;
  static constexpr uint32_t kNearLoss = 4;   // What a wave that leads elsewhere takes off.
  static constexpr size_t kNearRounds = 64;  // The longest turn of the serial mode among neighbours, in waves.
  static constexpr uint32_t kMinNearWait = 16;
  static constexpr uint32_t kMaxNearWait = 4096;
  static constexpr size_t kMinSplit = 16;   // Entries; fewer are not worth another marker's waking.
  static constexpr size_t kMinNearSplit = 4;  // The same where it is depth-first: the oldest few lead to much.
  static constexpr size_t kPieceWords = arch::kMaxScanWords;
  static constexpr size_t kMinSplitWords = 8 * kPieceWords;
  // A wave and a piece of a range, each word twice (as it stands, and unboxed), and what a trace function adds before
  // it is interrupted.
  static constexpr size_t kCandidates = 2 * (kMaxWave + 1) * arch::kMaxScanWords + 1024;
  // Behind the last: a run of unboxed words, and the rubbish that scanning may write.
  static constexpr size_t kCandidateRoom = 2 * arch::kMaxScanWords + arch::kScanSlackWords;

  // mark_worker.cc
  template <Markers kMarkers>
  void Round();
  void TakeWave(Wave* wave);
  void TakeAlike(Wave* wave, const Grey* base);
  static void Mix(Wave* wave);
  void Place(Wave* wave, Grey grey);
  void PullPiece();
  bool NextHuge();
  void TraceObjects(const Grey* objects, size_t count);
  void TraceObject(Grey grey);
  void ScanPieces(GreyRange range);
  GreyRange TakePiece(GreyRange* range) const;
  void PushRange(const GreyRange& range);
  uint64_t* ScanWave(const Wave& wave, uint64_t* out) const;
  uint64_t* ScanPiece(const GreyRange& piece, uint64_t* out) const;
  void ShareWork();
  void ReturnWave(Wave* wave);

  // mark_candidates.cc
  template <Markers kMarkers>
  void MarkCandidates(const uint64_t* base, const uint64_t* limit);
  void MarkFound(const uint64_t* base, const uint64_t* limit);
  bool AreAllInPages(const uint64_t* base, const uint64_t* limit) const;
  template <EndPointers kEndPointers>
  size_t KeepPages(const uint64_t* base, const uint64_t* limit);
  size_t ResolveBatch(const uint64_t* base, const uint64_t* limit);
  template <Markers kMarkers>
  bool TakeWhiteBit(size_t i);
  template <Markers kMarkers>
  void MarkBatch(size_t count);
  template <Markers kMarkers>
  void MarkBatchWithoutRoom(size_t count);
  void PushOrNote(Grey grey);
  void MarkHuge(uintptr_t word);
  void MarkPendingCandidates();
  void Restart();
  static void Flush(Tracer* tracer);

  // mark_serial.cc
  bool HasSerialMode() const;
  template <Markers kMarkers>
  size_t DrainSerially(size_t credit);

  // Whether objects lead to their neighbours. mark_worker.cc
  bool IsNear() const { return near_rounds_ >= kNearEnter; }
  void NoteNearness(const Wave& scanned);
  void LeaveNear();

  MarkContext& context_;
  const arch::ScanTables tables_;
  const size_t wave_objects_;  // At most kMaxWave.
  Markers markers_ = Markers::kOne;
  size_t scanned_objects_ = 0;
  size_t written_objects_ = 0;
  size_t ranges_ = 0;
  uint32_t near_rounds_ = 0;  // Waves that have led to neighbours, less those that have not.
  uint32_t near_wait_ = 0;    // Waves that are not counted.
  uint32_t next_near_wait_ = kMinNearWait;
  Wave* current_ = &waves_[0];  // To be scanned in the next round.
  Wave* other_ = &waves_[1];
  Wave waves_[2];
  MarkStack stack_;
  GreyRange range_[kMaxRanges];
  // A batch of candidates without those that lie in no chunk of pages, what it means, and the bits of it. Twice as
  // many, for words one past the end.
  uint64_t in_pages_[2 * kBatch];
  Grey grey_[2 * kBatch + arch::kFindSlack];
  uint64_t white_word_[2 * kBatch + arch::kFindSlack];
  uint64_t white_mask_[2 * kBatch + arch::kFindSlack];
  uint64_t candidates_[kCandidates + kCandidateRoom];
};

}  // namespace acre
