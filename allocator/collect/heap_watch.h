#pragma once

// What of a heap was written since it was looked at last: os/page_watch.h over its chunks.
//
// Watched are the pages of spans whose objects hold pointers, and huge objects of such kinds. A range that nobody has armed
// counts as written, so that what comes to the heap meanwhile is found without being told of.
//
// Threads: one at a time. A span that is made meanwhile may be missed while mutators run; with the world stopped nothing is.

#include <cstddef>
#include <cstdint>

#include "allocator/collect/large_pool.h"
#include "allocator/span/chunk_table.h"
#include "os/page_watch.h"

namespace acre {

class HeapWatch {
 public:
  HeapWatch(const ChunkTable& table, LargePool& large_pool) : table_(table), large_pool_(large_pool) {}
  HeapWatch(const HeapWatch&) = delete;
  HeapWatch& operator=(const HeapWatch&) = delete;

  // 0, or the error number of why pages cannot be watched.
  [[nodiscard]] int Open() { return watch_.Open(); }

  void Close() { watch_.Close(); }

  // After Close, in a process that was forked off, or whose descriptors were closed, all begins anew. False: it cannot.
  [[nodiscard]] bool Renew();

  [[nodiscard]] bool IsIntact() const { return watch_.IsIntact(); }

  // Whose pages are meant: all that hold pointers; of these the old ones (SpanPool); those with marked objects, or what is taken
  // for them while mutators allocate; of these the ones that are not old yet.
  enum class Among : uint8_t { kAll, kOld, kMarked, kNew };

  // Arms them, in pieces. Between them pause(context) is called, which lets those come to their turn who map memory;
  // nothing more is armed once it returns false. False then too.
  [[nodiscard]] bool Arm(Among among, bool (*pause)(void* context), void* context);

  // Calls visit(context, base, limit) for what was written of them. False: nothing is known, all may have been. Where marked ones are armed in
  // more than 64 stretches of a chunk, what lies between the last ones is visited and armed with them.
  [[nodiscard]] bool Scan(Among among, os::PageWatch::Then then, void* context, os::PageWatch::Visitor* visit);

  // How many pages of the OS a Scan of those with marked objects would find.
  [[nodiscard]] bool CountWritten(size_t* pages);

 private:
  static constexpr size_t kMostParts = 64;
  struct Range {
    uintptr_t base;
    uintptr_t limit;
  };

  template <class Visit>
  bool ForEachRange(Among among, Visit visit);
  template <class Visit>
  bool ForEachHuge(Among among, Visit visit);
  bool AddAll();
  template <class VisitMeant, class VisitOther, class Done>
  bool ForEachWritten(Among among, VisitMeant meant, VisitOther other, Done done);
  bool ScanAndArm(Among among, void* context, os::PageWatch::Visitor* visit);

  const ChunkTable& table_;
  LargePool& large_pool_;
  os::PageWatch watch_;
  Range parts_[kMostParts];  // While a chunk is scanned and armed, the last for all that is left: no words of a stack, where they would hold what lies there.
};

}  // namespace acre
