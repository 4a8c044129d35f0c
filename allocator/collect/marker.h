#pragma once

// Marking: takes the white bit of every object that can be reached from given roots (mark_bits.h).
//
// The marker knows chunks and kinds, nothing of threads that have to be stopped, of cycles or of sweeping. A collector
// uses it so:
//
//   Marker marker(space, table, kinds, options);   once a heap
//   marker.Prepare(workers)                        once, early: what marking needs when memory is short
//   ClearMarks(table)                              all that is allocated is white
//   marker.Begin()
//   marker.AddRoot(word); marker.AddRootRange(base, limit); marker.ScanRootRange(base, limit)
//   marker.Drain()                                 alone; or DrainSome, a bounded piece of it; or
//   marker.BeginParallel(n), then Work(0) … Work(n - 1), each in a thread of its own
//   marker.Finish(); marker.ReleaseMemory()
//   CountMarks(table)                              mark_bits.h
//
// Roots may be added again after a drain, and drained again, as often as wanted, before Finish.
//
// What is relied on: at ClearMarks the allocation bits say which slots are objects (others are never marked, so what
// points to it keeps nothing); a large object's allocation bit is bit 0 of its first page's line; between ClearMarks
// and Finish a span that holds marked objects is not freed; between Begin and the last drain no chunk is released, of
// pages or huge. Chunks may come at any time, wherever they lie: words into those beyond the range that Begin found
// are ignored, until NoteNewChunks; what lies within is looked up word by word, and if the range was all chunks of pages then
// nothing can come there. What is allocated after ClearMarks is black, so nothing is missed; or else who makes it white calls
// NoteNewChunks.
//
// Threads: one, but for Work. Failure: Prepare only. The mark stack survives without memory: see mark_pending.cc.
// Cost: docs/marking.md.

#include <cstddef>
#include <cstdint>

#include "allocator/collect/mark_context.h"
#include "allocator/collect/mark_worker.h"
#include "allocator/collect/root_recorder.h"
#include "os/address_space.h"
#include "os/status.h"

namespace acre {

class Marker {
 public:
  Marker(os::AddressSpace& space, const ChunkTable& table, const KindTable& kinds, const MarkerOptions& options);
  ~Marker();
  Marker(const Marker&) = delete;
  Marker& operator=(const Marker&) = delete;

  // Memory for this many workers (176 KiB of address space each), at most kMaxMarkers. On kOutOfMemory there are as many
  // as workers() says; a Marker without any cannot begin.
  Status Prepare(uint32_t workers);
  uint32_t workers() const { return worker_count_; }

  // Looks up which part of the address space the heap's chunks lie in. To be called again, with no Work going on, before
  // more is marked when a chunk has gone since.
  void Begin();

  // The same when chunks may have come whose objects are to be marked: between two drains. Some nanoseconds if none has.
  void NoteNewChunks();

  // A word that may be a pointer. Any word.
  void AddRoot(uint64_t word) {
    if (recorder_ != nullptr) [[unlikely]] return recorder_->word(recorder_->context, word);
    root_bytes_ += sizeof(word);
    workers_[0]->AddRoot(word);
  }

  // Words that may be pointers; the range stays readable and as it is until the next drain has ended. The other form scans
  // it before it returns.
  void AddRootRange(uintptr_t base, uintptr_t limit) {
    if (recorder_ != nullptr) [[unlikely]] return recorder_->range(recorder_->context, base, limit);
    if (base < limit) root_bytes_ += limit - base;
    if (is_beside_) return workers_[0]->ScanRange(base, limit, kConservative);
    workers_[0]->AddRange(base, limit, kConservative);
  }
  void ScanRootRange(uintptr_t base, uintptr_t limit) {
    if (recorder_ != nullptr) [[unlikely]] return recorder_->range(recorder_->context, base, limit);
    workers_[0]->ScanRange(base, limit, kConservative);
  }

  // Objects that are marked and overlap [base, limit), in one chunk of pages, were written since they were scanned: they are
  // scanned again by the next drain, of what is larger than 32 KiB only that part if it has no trace function. The other form:
  // such a part of a huge object, whose trace function is called at once.
  void ScanWritten(uintptr_t base, uintptr_t limit) { workers_[0]->ScanWritten<Markers::kOne>(base, limit); }
  void ScanWrittenPart(const WrittenPart& part) { workers_[0]->ScanWrittenPart(part); }

  // How many rounds it takes to scan the objects that ScanWritten has found since this was asked last.
  size_t TakeWrittenRounds() { return workers_[0]->TakeWrittenObjects() / context_.body.wave_objects; }

  // What function(context, tracer) names.
  void TraceRoots(acre_root_function* function, void* context) {
    if (recorder_ != nullptr) [[unlikely]] return recorder_->function(recorder_->context, function, context);
    workers_[0]->TraceRoots(function, context);
  }

  // The same of what an object's trace function names, or all of its words if that puts it off.
  void TraceObjectAsRoots(Kind kind, uintptr_t object, size_t bytes);

  // Whether mutators run between drains: then every root is read at once; and objects that found no room on the mark stack
  // wait, since in runs there is memory that is no object yet, until a drain with this off.
  void set_beside(bool is_beside) { is_beside_ = is_beside; }

  // Roots that are given from now on go there, and no further; null: they are marked again. For mark_verifier.h.
  void set_recorder(const RootRecorder* recorder) { recorder_ = recorder; }

  const MarkerOptions& options() const { return context_.options; }

  // Marks all that can be reached.
  void Drain();

  // From here to EndWatch roots and drains tell of every object that they mark, huge ones excepted: some 20 ns an object
  // more. REQUIRES: drained; no Work meanwhile.
  void BeginWatch(const MarkWatch& watch);
  void EndWatch();

  // The same in pieces of `rounds` waves of objects (about a microsecond each). True when there is nothing left. Long lists,
  // whose objects are marked one by one, do not count as rounds; with a budget they do: it is exceeded by 2 rounds of time at most.
  bool DrainSome(size_t rounds);
  bool DrainWithBudget(size_t rounds);

  // The same with several threads: BeginParallel with as many as will call Work; each returns when all is marked.
  // REQUIRES: at most workers().
  void BeginParallel(uint32_t participants);
  void Work(uint32_t number);

  // REQUIRES: drained.
  void Finish();

  // Gives memory of the mark stacks back to the kernel: milliseconds where they were deep. Any thread, at any time.
  void ReleaseMemory();

  size_t scanned_objects() const;

  // Of roots that were added since Begin.
  size_t root_bytes() const { return root_bytes_; }

 private:
  template <Markers kMarkers>
  bool DrainSomeAs(size_t rounds);
  bool KeepsPages() const;
  void FindRange();

  os::AddressSpace& space_;
  MarkContext context_;
  uint32_t worker_count_ = 0;
  MarkWorker* workers_[kMaxMarkers] = {};
  const RootRecorder* recorder_ = nullptr;
  size_t root_bytes_ = 0;
  bool is_beside_ = false;
};

}  // namespace acre
