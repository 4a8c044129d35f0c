// ChunkPages beside a plain map of intervals: every answer must be the model's, page for page.

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "allocator/page/chunk_pages.h"
#include "tests/support/seed.h"

namespace acre {
namespace {

enum class Use : uint8_t { kForeign, kTaken, kDirty, kScavenged };

// The pages as intervals of one use each: first page → use, up to the next entry.
class Model {
 public:
  Model(uint32_t first, uint32_t limit) : limit_(limit) {
    uses_[0] = Use::kForeign;
    uses_[first] = Use::kScavenged;
    uses_[limit] = Use::kForeign;
    uses_[kChunkPages] = Use::kForeign;
  }

  void Set(uint32_t first, uint32_t count, Use use) {
    Split(first);
    Split(first + count);
    uses_.erase(uses_.lower_bound(first), uses_.lower_bound(first + count));
    uses_[first] = use;
    Merge();
  }

  void Extend(uint32_t limit) {
    Set(limit_, limit - limit_, Use::kScavenged);
    limit_ = limit;
  }

  uint32_t Count(uint32_t first, uint32_t count, Use use) const {
    uint32_t total = 0;
    ForEach([&](uint32_t begin, uint32_t end, Use found) {
      begin = std::max(begin, first);
      end = std::min(end, first + count);
      if (found == use && begin < end) total += end - begin;
    });
    return total;
  }
  uint32_t Count(Use use) const { return Count(0, kChunkPages, use); }
  bool IsFree(uint32_t first, uint32_t count) const {
    return first + count <= limit_ && Count(first, count, Use::kDirty) + Count(first, count, Use::kScavenged) == count;
  }

  // The lowest place for a run; among dirty pages only, or all free ones.
  uint32_t Find(uint32_t count, uint32_t alignment, bool only_dirty) const {
    uint32_t found = ChunkPages::kNone;
    uint32_t run_begin = 0;
    uint32_t run_end = 0;
    ForEach([&](uint32_t begin, uint32_t end, Use use) {
      if (use != Use::kDirty && (only_dirty || use != Use::kScavenged)) return;
      if (begin != run_end) run_begin = begin;
      run_end = end;
      const uint32_t aligned = (run_begin + alignment - 1) / alignment * alignment;
      if (found == ChunkPages::kNone && aligned + count <= run_end) found = aligned;
    });
    return found;
  }

  // The highest run of dirty pages, or of those that are in no dense block: its first page and length.
  std::pair<uint32_t, uint32_t> HighestDirty(Spare spare) const {
    std::pair<uint32_t, uint32_t> highest{0, 0};
    ForEach([&](uint32_t begin, uint32_t end, Use use) {
      if (use != Use::kDirty) return;
      for (uint32_t page = begin; page < end; ++page) {
        if (spare == Spare::kDenseBlocks && IsInDenseBlock(page)) continue;
        const bool goes_on = highest.second != 0 && highest.first + highest.second == page;
        highest = goes_on ? std::pair{highest.first, highest.second + 1} : std::pair{page, 1u};
      }
    });
    return highest;
  }

  uint32_t limit() const { return limit_; }

 private:
  template <class Visit>
  void ForEach(Visit visit) const {
    for (auto here = uses_.begin(); std::next(here) != uses_.end(); ++here) {
      visit(here->first, std::next(here)->first, here->second);
    }
  }
  bool IsInDenseBlock(uint32_t page) const {
    const uint32_t base = page / ChunkPages::kBlockPages * ChunkPages::kBlockPages;
    const uint32_t free =
        Count(base, ChunkPages::kBlockPages, Use::kDirty) + Count(base, ChunkPages::kBlockPages, Use::kScavenged);
    return ChunkPages::kBlockPages - free >= ChunkPages::kDensePages;
  }
  void Split(uint32_t page) { uses_.emplace(page, std::prev(uses_.upper_bound(page))->second); }
  void Merge() {
    for (auto here = uses_.begin(); std::next(here) != uses_.end();) {
      const auto next = std::next(here);
      if (next->second == here->second && next->first != kChunkPages) {
        uses_.erase(next);
      } else {
        here = next;
      }
    }
  }

  std::map<uint32_t, Use> uses_;
  uint32_t limit_;
};

struct Run {
  uint32_t first;
  uint32_t count;
};

class ChunkPagesModel {
 public:
  ChunkPagesModel(uint64_t seed, uint32_t first, uint32_t limit) : random_(seed), model_(first, limit) {
    pages_->Initialise(first, limit);
  }

  void Run(int operations, int check_every) {
    for (int i = 0; i < operations && !::testing::Test::HasFatalFailure(); ++i) {
      Step();
      if (i % check_every == 0) Check();
    }
    Check();
  }

 private:
  uint32_t RandomCount() {
    return 1 + static_cast<uint32_t>(random_.OneIn(30) ? random_.Below(2000) : random_.Skewed(5));
  }
  uint32_t RandomAlignment() { return random_.OneIn(4) ? 1u << random_.Below(9) : 1; }

  void Step() {
    // Phases of growth and of shrinking, so that both a full and an empty chunk come up.
    const bool grows = (step_++ / 2000) % 2 == 0;
    switch (random_.Below(10)) {
      case 0:
        return TakeAt();
      case 1:
        return GiveBack();
      case 2:
        return random_.OneIn(20) ? Extend() : Take();
      case 3:
      case 4:
        return TakeDirty();
      default:
        return grows == !random_.OneIn(3) ? Take() : Free();
    }
  }

  void Take() {
    const uint32_t count = RandomCount();
    const uint32_t alignment = RandomAlignment();
    uint32_t scavenged = 0;
    const uint32_t first = pages_->Allocate(count, alignment, &scavenged);
    ASSERT_EQ(first, model_.Find(count, alignment, false)) << count << " pages aligned to " << alignment;
    if (first == ChunkPages::kNone) return;
    ASSERT_EQ(scavenged, model_.Count(first, count, Use::kScavenged));
    Own({first, count});
  }

  void TakeDirty() {
    const uint32_t count = RandomCount();
    const uint32_t alignment = RandomAlignment();
    const uint32_t first = pages_->AllocateDirty(count, alignment);
    ASSERT_EQ(first, model_.Find(count, alignment, true)) << count << " dirty pages aligned to " << alignment;
    if (first != ChunkPages::kNone) Own({first, count});
  }

  void TakeAt() {
    const uint32_t first = static_cast<uint32_t>(random_.Below(model_.limit()));
    const uint32_t count = RandomCount();
    uint32_t scavenged = 0;
    const bool is_free = model_.IsFree(first, count);
    const uint32_t expected = is_free ? model_.Count(first, count, Use::kScavenged) : 0;
    ASSERT_EQ(pages_->AllocateAt(first, count, &scavenged), is_free) << first << "+" << count;
    if (!is_free) return;
    ASSERT_EQ(scavenged, expected);
    Own({first, count});
  }

  // A whole run, or its end as when a large object shrinks.
  void Free() {
    if (owned_.empty()) return;
    struct Run& run = owned_[random_.Below(owned_.size())];
    const uint32_t kept = random_.OneIn(4) ? static_cast<uint32_t>(random_.Below(run.count)) : 0;
    pages_->Free(run.first + kept, run.count - kept);
    model_.Set(run.first + kept, run.count - kept, Use::kDirty);
    run.count = kept;
    if (kept == 0) {
      run = owned_.back();
      owned_.pop_back();
    }
  }

  void GiveBack() {
    const uint32_t most = 1 + static_cast<uint32_t>(random_.Skewed(8));
    uint32_t first = 0;
    const Spare spare = random_.OneIn(2) ? Spare::kDenseBlocks : Spare::kNothing;
    const uint32_t count = pages_->TakeDirty(most, spare, &first);
    const auto [begin, length] = model_.HighestDirty(spare);
    ASSERT_EQ(count, std::min(length, most));
    if (count == 0) return;
    ASSERT_EQ(first, begin + length - count);
    const bool is_refused = random_.OneIn(5);
    if (is_refused) {
      pages_->Free(first, count);
    } else {
      pages_->FreeScavenged(first, count);
    }
    model_.Set(first, count, is_refused ? Use::kDirty : Use::kScavenged);
  }

  void Extend() {
    const uint32_t limit = std::min(kChunkPages, model_.limit() + static_cast<uint32_t>(random_.Below(300)));
    pages_->Extend(limit);
    if (limit > model_.limit()) model_.Extend(limit);
  }

  void Own(struct Run run) {
    model_.Set(run.first, run.count, Use::kTaken);
    owned_.push_back(run);
  }

  void Check() {
    pages_->CheckInvariants();
    ASSERT_EQ(pages_->dirty_pages(), model_.Count(Use::kDirty));
    ASSERT_EQ(pages_->free_pages(), model_.Count(Use::kDirty) + model_.Count(Use::kScavenged));
    ASSERT_EQ(pages_->limit(), model_.limit());
    uint32_t tail = 0;
    while (model_.IsFree(model_.limit() - tail - 1, 1)) ++tail;
    ASSERT_EQ(pages_->FreeTail(), tail);
    const auto page = static_cast<uint32_t>(random_.Below(kChunkPages));
    ASSERT_EQ(pages_->IsInUse(page), !model_.IsFree(page, 1));
    ASSERT_EQ(pages_->IsScavenged(page), model_.Count(page, 1, Use::kScavenged) == 1);
  }

  testing::Random random_;
  std::unique_ptr<ChunkPages> pages_ = std::make_unique<ChunkPages>();
  Model model_;
  std::vector<struct Run> owned_;
  int step_ = 0;
};

TEST(ChunkPagesModel, RandomOperationsMatchAnIntervalMap) {
  ChunkPagesModel(testing::Seed("chunk pages"), 1280, 2000).Run(40'000, 50);
}

TEST(ChunkPagesModel, RandomOperationsInASmallRangeMatchAnIntervalMap) {
  // So small that it is full all the time.
  ChunkPagesModel(testing::Seed("few pages"), 7, 150).Run(40'000, 5);
}

TEST(ChunkPagesModel, RandomOperationsInAWholeChunkMatchAnIntervalMap) {
  ChunkPagesModel(testing::Seed("whole chunk"), 1280, kChunkPages).Run(20'000, 50);
}

}  // namespace
}  // namespace acre
