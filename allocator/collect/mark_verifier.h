#pragma once

// A second marking, to check the first (ACRE_DEBUG=verify=1).
//
// After the marker is done, and before the world runs on, this marks again from the same roots: depth first, word by
// word, with a mark set of its own, and without the marker's tables and kernels. The two sets must be the same: nothing
// runs meanwhile that could change the graph. What this reaches and the marker has not marked would have been freed
// while it is live; what the marker has marked and this does not reach has been kept for no reason.
//
//   MarkVerifier verifier(space, table, kinds, options, large_pool);
//   marker.set_recorder(&verifier.recorder()); give the marker its roots once more; marker.set_recorder(nullptr);
//   verifier.Run();
//
// It has one use. It cannot see a root that neither marking is given: droproot= is for that.
//
// Threads: one; the world is stopped, what runs are still to hand out is not allocated. Failure: without memory nothing
// is verified, and one line says so. Cost: 10 to 20 times what marking costs, and 512 KiB of address space a chunk.

#include <cstddef>
#include <cstdint>

#include "allocator/collect/kind.h"
#include "allocator/collect/large_pool.h"
#include "allocator/collect/mark_context.h"
#include "allocator/collect/root_recorder.h"
#include "allocator/span/chunk.h"
#include "os/address_space.h"

namespace acre {

class MarkVerifier {
 public:
  // `large_pool` may be null: there are no huge objects then.
  MarkVerifier(os::AddressSpace& space, const ChunkTable& table, const KindTable& kinds, const MarkerOptions& options,
               LargePool* large_pool);
  ~MarkVerifier();
  MarkVerifier(const MarkVerifier&) = delete;
  MarkVerifier& operator=(const MarkVerifier&) = delete;

  const RootRecorder& recorder() const { return recorder_; }

  // The roots that come from now on may have changed since the marker saw them: those of a thread in a blocking call,
  // which runs on. Of what they lead to, only what the marker has marked counts; and where there are any, what it has
  // marked for no reason is not looked for.
  void set_racing(bool is_racing) {
    is_racing_ = is_racing;
    was_racing_ |= is_racing;
  }

  // What the marker has marked may have been reachable earlier.
  void AllowKept() { may_keep_ = true; }

  // The first difference is fatal. False: there was no memory for it.
  bool Run();

  size_t reached_objects() const { return reached_objects_; }

 private:
  // An object, whichever heap part it belongs to.
  struct Found {
    uintptr_t base = 0;  // 0: none.
    size_t bytes = 0;
    Kind kind = 0;
    const Span* span = nullptr;  // Null: huge.
    uint32_t slot = 0;
    LargePool::Huge* huge = nullptr;
  };
  class WordTracer;
  static constexpr uintptr_t kNamed = 0;  // The place of a word that has none.

  Found Find(uintptr_t word) const;
  uint64_t* BitsOf(const Span* span);
  bool SetReached(const Found& found);
  bool IsMarked(const Found& found) const;
  void Reach(uint64_t word, uintptr_t place);
  void ReachAt(uintptr_t word, uintptr_t place);
  void ScanWords(uintptr_t base, uintptr_t limit, Kind kind);
  void Scan(const Found& found);
  void Push(uintptr_t object);
  void CompareMarked();
  [[noreturn]] void FailMissed(const Found& found, uintptr_t place) const;
  [[noreturn]] void FailKept(const Found& found) const;

  os::AddressSpace& space_;
  const ChunkTable& table_;
  const KindTable& kinds_;
  const MarkerOptions& options_;
  LargePool* const large_pool_;
  const RootRecorder recorder_;

  bool is_racing_ = false;
  bool was_racing_ = false;
  bool may_keep_ = false;
  bool has_memory_ = true;
  uint64_t** lines_ = nullptr;  // For each chunk of [table base, limit): 8 words a page. Null: none reached there yet.
  size_t chunks_ = 0;
  uintptr_t* stack_ = nullptr;  // Objects that are reached, and not scanned yet.
  size_t depth_ = 0;
  size_t capacity_ = 0;
  uintptr_t scanned_ = 0;  // The object whose trace function runs, or ran last; 0: those of roots.
  size_t reached_objects_ = 0;
};

}  // namespace acre
