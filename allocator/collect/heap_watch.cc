#include "allocator/collect/heap_watch.h"

#include <bit>

#include "allocator/base/bits.h"
#include "allocator/collect/kind.h"
#include "allocator/collect/slot_set.h"
#include "allocator/span/chunk.h"

namespace acre {
namespace {

// Who maps memory waits while a call arms: 16 MiB take 0.25 ms at most.
constexpr size_t kPieceBytes = 16 * kMiB;

constexpr uintptr_t kPagesBase = uintptr_t{kFirstPage} << kPageShift;

bool IsMeant(const Chunk* chunk, uint32_t page, HeapWatch::Among among) {
  const uint32_t bits = __atomic_load_n(reinterpret_cast<const uint32_t*>(&chunk->descriptors[page]), __ATOMIC_RELAXED);
  const auto descriptor = std::bit_cast<PageDescriptor>(bits);
  if (bits == 0 || FormOf(descriptor.kind()) == TraceForm::kNone) return false;
  if (among == HeapWatch::Among::kAll || among == HeapWatch::Among::kOld) return true;
  uint64_t marked = 0;
  const uint32_t first = page - descriptor.number_in_span();
  for (uint32_t word = 0; word < kLineWords; ++word) {
    marked |= __atomic_load_n(&chunk->alloc_lines[first].words[word], __ATOMIC_RELAXED) &
              ~__atomic_load_n(&chunk->white_lines[first].words[word], __ATOMIC_RELAXED);
  }
  return marked != 0;
}

// The first page from `page` on that may be meant.
uint32_t NextPage(const Chunk* chunk, uint32_t page, HeapWatch::Among among) {
  const auto old_word = [chunk](uint32_t word) { return __atomic_load_n(&chunk->old_pages[word], __ATOMIC_RELAXED); };
  if (among == HeapWatch::Among::kOld) return FindOne(page, kChunkPages, old_word);
  if (among == HeapWatch::Among::kNew) return FindZero(page, kChunkPages, old_word);
  return page;
}

}  // namespace

// visit(base, limit, is_added) returns whether to go on; so does this.
template <class Visit>
bool HeapWatch::ForEachRange(Among among, Visit visit) {
  for (uintptr_t base = table_.base(); base < table_.limit(); base += kChunkBytes) {
    if (!table_.IsChunk(base)) continue;
    const auto* chunk = reinterpret_cast<const Chunk*>(base);
    for (uint32_t page = NextPage(chunk, kFirstPage, among); page < kChunkPages; page = NextPage(chunk, page, among)) {
      if (!IsMeant(chunk, page, among)) {
        ++page;
        continue;
      }
      const uint32_t first = page;
      do {
        ++page;
      } while (page < kChunkPages && NextPage(chunk, page, among) == page && IsMeant(chunk, page, among));
      if (!visit(chunk->PageAddress(first), chunk->PageAddress(page), chunk->is_watched)) return false;
    }
  }
  return ForEachHuge(among, visit);
}

template <class Visit>
bool HeapWatch::ForEachHuge(Among among, Visit visit) {
  LargePool::Huge huge;
  for (uintptr_t after = 0; large_pool_.NextHuge(after, &huge); after = huge.base) {
    if (FormOf(huge.kind) == TraceForm::kNone || (among != Among::kAll && !huge.is_marked)) continue;
    if (!visit(huge.base, huge.base + huge.bytes, huge.is_watched)) return false;
  }
  return true;
}

bool HeapWatch::AddAll() {
  for (uintptr_t base = table_.base(); base < table_.limit(); base += kChunkBytes) {
    if (!table_.IsChunk(base)) continue;
    auto* chunk = reinterpret_cast<Chunk*>(base);
    if (chunk->is_watched) continue;
    if (watch_.Add(base + kPagesBase, kChunkBytes - kPagesBase) != 0) return false;
    chunk->is_watched = true;
  }
  LargePool::Huge huge;
  for (uintptr_t after = 0; large_pool_.NextHuge(after, &huge); after = huge.base) {
    if (huge.is_watched || FormOf(huge.kind) == TraceForm::kNone) continue;
    if (watch_.Add(huge.base, huge.bytes) != 0) return false;
    large_pool_.SetWatched(huge.base, true);
  }
  return true;
}

bool HeapWatch::Renew() {
  if (watch_.IsIntact()) return true;
  for (uintptr_t base = table_.base(); base < table_.limit(); base += kChunkBytes) {
    if (table_.IsChunk(base)) reinterpret_cast<Chunk*>(base)->is_watched = false;
  }
  LargePool::Huge huge;
  for (uintptr_t after = 0; large_pool_.NextHuge(after, &huge); after = huge.base) large_pool_.SetWatched(huge.base, false);
  return watch_.Open() == 0;
}

bool HeapWatch::Arm(Among among, bool (*pause)(void* context), void* context) {
  if (!AddAll()) return false;
  size_t since_pause = 0;
  return ForEachRange(among, [&](uintptr_t base, uintptr_t limit, bool is_added) {
    if (!is_added) return true;  // It has just come.
    while (base < limit) {
      const size_t left = kPieceBytes - since_pause;
      const size_t piece = limit - base < left ? limit - base : left;
      if (watch_.Arm(base, base + piece) != 0) return false;
      base += piece;
      since_pause += piece;
      if (since_pause < kPieceBytes) continue;
      since_pause = 0;
      if (!pause(context)) return false;
    }
    return true;
  });
}

bool HeapWatch::Scan(Among among, os::PageWatch::Then then, void* context, os::PageWatch::Visitor* visit) {
  if (then == os::PageWatch::Then::kArm && !AddAll()) return false;
  if (among == Among::kMarked && then == os::PageWatch::Then::kArm) return ScanAndArm(among, context, visit);
  if (among == Among::kMarked || among == Among::kAll) {
    return ForEachWritten(
        among, [&](uintptr_t base, uintptr_t limit) { visit(context, base, limit); }, [](uintptr_t, uintptr_t) {},
        [](bool) { return true; });
  }
  return ForEachRange(among, [&](uintptr_t base, uintptr_t limit, bool is_added) {
    if (is_added) return watch_.Scan(base, limit, then, context, visit) == 0;
    visit(context, base, limit);
    return true;
  });
}

// Calls meant(base, limit) and other(base, limit) for what was written, and done(is_added) after each chunk and huge object. The kernel is
// asked first: 0.2 ms for 1 GiB, where to look at all pages takes 0.5, and 1.5 if it is for marked objects.
template <class VisitMeant, class VisitOther, class Done>
bool HeapWatch::ForEachWritten(Among among, VisitMeant meant, VisitOther other, Done done) {
  struct Split {
    Among among;
    const Chunk* chunk;
    VisitMeant& meant;
    VisitOther& other;

    static void Visit(void* context, uintptr_t base, uintptr_t limit) {
      auto& [among, chunk, meant, other] = *static_cast<Split*>(context);
      while (base < limit) {
        const bool is_meant = IsMeant(chunk, PageOf(base), among);
        uintptr_t end = base;
        do {
          end = AlignDown(end, kPageBytes) + kPageBytes;
        } while (end < limit && IsMeant(chunk, PageOf(end), among) == is_meant);
        if (end > limit) end = limit;
        is_meant ? meant(base, end) : other(base, end);
        base = end;
      }
    }
  };
  for (uintptr_t base = table_.base(); base < table_.limit(); base += kChunkBytes) {
    if (!table_.IsChunk(base)) continue;
    const auto* chunk = reinterpret_cast<const Chunk*>(base);
    Split split{among, chunk, meant, other};
    const bool is_added = chunk->is_watched;
    if (!is_added) {
      Split::Visit(&split, base + kPagesBase, base + kChunkBytes);
    } else if (watch_.Scan(base + kPagesBase, base + kChunkBytes, os::PageWatch::Then::kLeave, &split, &Split::Visit) != 0) {
      return false;
    }
    if (!done(is_added)) return false;
  }
  return ForEachHuge(among, [&](uintptr_t base, uintptr_t limit, bool is_added) {
    const auto visit = [](void* context, uintptr_t from, uintptr_t to) { (*static_cast<VisitMeant*>(context))(from, to); };
    if (!is_added) {
      meant(base, limit);
    } else if (watch_.Scan(base, limit, os::PageWatch::Then::kLeave, &meant, visit) != 0) {
      return false;
    }
    return done(is_added);
  });
}

bool HeapWatch::CountWritten(size_t* pages) {
  size_t bytes = 0;
  const auto count = [&](uintptr_t base, uintptr_t limit) { bytes += limit - base; };
  if (!ForEachWritten(Among::kMarked, count, [](uintptr_t, uintptr_t) {}, [](bool) { return true; })) return false;
  *pages = bytes / os::OsPageBytes();
  return true;
}

// With as few calls as can be, each from one page to be armed to another: pages in between that were not written are armed already, or do
// not matter.
bool HeapWatch::ScanAndArm(Among among, void* context, os::PageWatch::Visitor* visit) {
  size_t count = 0;
  bool goes_on = false;
  const auto add = [&](uintptr_t base, uintptr_t limit) {
    if (goes_on || count == kMostParts) {
      parts_[count - 1].limit = limit;
    } else {
      parts_[count++] = {base, limit};
    }
    goes_on = true;
  };
  const auto skip = [&](uintptr_t, uintptr_t) { goes_on = false; };
  return ForEachWritten(among, add, skip, [&](bool is_added) {
    for (size_t i = 0; i < count; ++i) {
      const auto [base, limit] = parts_[i];
      if (!is_added) {
        visit(context, base, limit);
      } else if (watch_.Scan(base, limit, os::PageWatch::Then::kArm, context, visit) != 0) {
        return false;
      }
    }
    count = 0;
    goes_on = false;
    return true;
  });
}

}  // namespace acre
