// Objects that were written after they were scanned: the marker beside a plain reference on random graphs, and cases
// that are easily got wrong, one by one.

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "allocator/collect/mark_lifo.h"
#include "allocator/collect/marker.h"
#include "tests/support/allocator/mark_heap.h"
#include "tests/support/allocator/random_graph.h"

namespace acre {
namespace {

using testing::MarkHeap;
using testing::Random;
using testing::RandomGraph;
using testing::WordsOf;

// ---- Beside a reference ---------------------------------------------------------------------------------------------

struct Range {
  uintptr_t base;
  uintptr_t limit;

  bool Overlaps(uintptr_t object, size_t bytes) const { return object < limit && base < object + bytes; }
};

// Any objects are marked, whatever points to what.
void MarkAny(RandomGraph& graph, Random& random) {
  ClearMarks(graph.heap().table());
  const uint64_t density = random.Below(3);
  ForEachSpan(graph.heap().table(), [&](Span* span) {
    for (uint32_t word = 0; word < kLineWords; ++word) {
      uint64_t kept = random.Next();
      if (density == 0) kept |= random.Next();
      if (density == 2) kept &= random.Next();
      WhiteBitsOf(span)[word] &= kept;
    }
  });
}

// In one chunk, of whole pages of the OS or of words only, around an object or anywhere.
Range AnyRange(RandomGraph& graph, Random& random) {
  std::vector<Span*> spans;
  ForEachSpan(graph.heap().table(), [&](Span* span) { spans.push_back(span); });
  const Span* span = spans[random.Below(spans.size())];
  const uintptr_t chunk = ChunkOf(span)->base();
  const uintptr_t lowest = chunk + kFirstPage * kPageBytes;
  const uintptr_t highest = chunk + kChunkBytes;
  if (random.OneIn(20)) return {lowest, highest};
  const size_t unit = random.OneIn(3) ? sizeof(uint64_t) : 4096;
  const uintptr_t base = (BaseOf(span) + random.Below(BytesOf(span))) / unit * unit;
  const uintptr_t limit = base + unit * (1 + random.Skewed(8));
  return {base, std::min(limit, highest)};
}

// What the words of the part say where the kind's bitmap has a bit.
void AddPart(MarkLifo& plain, const KindTable& kinds, Kind kind, uintptr_t object, const Range& part) {
  const size_t period = kinds.PeriodWords(kind);
  const size_t first = (part.base - object) / sizeof(uint64_t);
  const size_t behind = (part.limit - object) / sizeof(uint64_t);
  for (size_t i = first; i < behind; ++i) {
    if ((kinds.FieldMask(kind, static_cast<uint32_t>(i % period)) & 1) != 0) plain.AddRoot(WordsOf(object)[i]);
  }
}

// Marks by the plain marker what the marked objects lead to that overlap the range. Returns how many these are.
size_t MarkPlainly(RandomGraph& graph, const MarkerOptions& options, const Range& range) {
  std::vector<uintptr_t> stack(graph.objects());
  MarkerOptions plain_options = options;
  MarkLifo plain(graph.heap().table(), graph.kinds(), plain_options, stack);
  std::vector<uintptr_t> whole;
  std::vector<std::pair<uintptr_t, Range>> parts;
  ForEachSpan(graph.heap().table(), [&](Span* span) {
    if (FormOf(span->kind) == TraceForm::kNone) return;
    ForEachMarked(span, [&](Grey grey) {
      const uintptr_t object = ObjectOf(grey);
      const size_t bytes = SlotBytesOf(grey);
      if (!range.Overlaps(object, bytes)) return;
      const bool is_traced = FormOf(span->kind) == TraceForm::kFunction && RandomGraph::IsReady(WordsOf(object));
      if (span->size_class != kLargeClass || is_traced) return whole.push_back(object);
      parts.push_back({object, {std::max(object, range.base), std::min(object + bytes, range.limit)}});
    });
  });
  for (const auto& [object, part] : parts) {
    const Kind kind = FindSlot(graph.heap().table(), object).span->kind;
    AddPart(plain, graph.kinds(), FormOf(kind) == TraceForm::kFunction ? kConservative : kind, object, part);
  }
  // An object that becomes white is marked by its own address, which does not mean the one before it, and scanned.
  for (const uintptr_t object : whole) {
    const Slot slot = FindSlot(graph.heap().table(), object);
    SetBits(WhiteBitsOf(slot.span), slot.index, 1);
  }
  plain_options.end_pointers = EndPointers::kIgnored;
  for (const uintptr_t object : whole) plain.AddRoot(object);
  plain_options.end_pointers = options.end_pointers;
  EXPECT_TRUE(plain.Drain());
  return whole.size() + parts.size();
}

// So that both begin with the same marks.
class SavedMarks {
 public:
  explicit SavedMarks(RandomGraph& graph) : graph_(graph) {
    ForEachSpan(graph.heap().table(), [&](Span* span) {
      lines_.insert(lines_.end(), WhiteBitsOf(span), WhiteBitsOf(span) + kLineWords);
    });
  }
  void Restore() const {
    auto line = lines_.begin();
    ForEachSpan(graph_.heap().table(), [&](Span* span) {
      std::copy(line, line + kLineWords, WhiteBitsOf(span));
      line += kLineWords;
    });
  }

 private:
  RandomGraph& graph_;
  std::vector<uint64_t> lines_;
};

MarkerOptions AnyOptions(Random& random) {
  MarkerOptions options;
  if (random.OneIn(3)) options.end_pointers = EndPointers::kCount;
  if (random.OneIn(4)) {
    options.value_format = {.tag_mask = uint64_t{0xffff} << 48, .tag = RandomGraph::kBox,
                            .tag_xor = RandomGraph::kBox, .tag_and = ~uint64_t{0}};
  }
  if (random.OneIn(3)) options.max_stack_bytes = random.Below(3) * MarkSegment::kBytes;
  return options;
}

struct Totals {
  size_t written = 0;  // Objects that were scanned again.
  size_t found = 0;    // Objects that were marked by that.
  size_t empty = 0;    // Ranges without a marked object.
};

// Whether each bit of the subset is a bit of the set.
bool Contains(const std::vector<uint64_t>& set, const std::vector<uint64_t>& subset) {
  return std::equal(set.begin(), set.end(), subset.begin(), subset.end(), [](uint64_t a, uint64_t b) { return (b & ~a) == 0; });
}

void CompareOnce(RandomGraph& graph, Random& random, Totals* totals) {
  const MarkerOptions options = AnyOptions(random);
  MarkAny(graph, random);
  const SavedMarks saved(graph);
  const Range range = AnyRange(graph, random);
  const size_t before = CountMarks(graph.heap().table()).objects;
  const size_t written = MarkPlainly(graph, options, range);
  totals->written += written;
  totals->found += CountMarks(graph.heap().table()).objects - before;
  totals->empty += written == 0 ? 1 : 0;
  const std::vector<uint64_t> expected = graph.WhiteBits();

  saved.Restore();
  Marker marker(graph.heap().space(), graph.heap().table(), graph.kinds(), options);
  ASSERT_EQ(marker.Prepare(1), Status::kOk);
  marker.Begin();
  if (random.OneIn(2)) {
    marker.ScanWritten(range.base, range.limit);
  } else {  // In two calls, as the kernel may find it.
    const uintptr_t middle = range.base + random.Below(range.limit - range.base) / sizeof(uint64_t) * sizeof(uint64_t);
    if (middle != range.base) marker.ScanWritten(range.base, middle);
    if (random.OneIn(2)) marker.Drain();
    marker.ScanWritten(middle, range.limit);
  }
  marker.Drain();
  marker.Finish();
  CheckMarks(graph.heap().table());
  const std::vector<uint64_t> white = graph.WhiteBits();
  if (white == expected) return;
  // What finds no room is scanned again with all that is marked on its page: in a cycle that leads to what would be marked
  // anyhow, and here, where any objects are marked, as far as all that is marked leads.
  saved.Restore();
  MarkPlainly(graph, options, {0, UINTPTR_MAX});
  const bool may_overflow = options.max_stack_bytes != SIZE_MAX;
  ASSERT_TRUE(may_overflow && Contains(expected, white) && Contains(white, graph.WhiteBits()))
      << "range " << range.base << " to " << range.limit << ", end pointers " << static_cast<int>(options.end_pointers)
      << ", box " << options.value_format.tag << ", stack " << options.max_stack_bytes;
}

void Compare(const char* what, size_t graphs, size_t objects, unsigned max_size_bits, int rounds) {
  Random random(testing::Seed(what));
  Totals totals;
  for (size_t number = 0; number < graphs; ++number) {
    RandomGraph graph(random, 1 + random.Below(objects), max_size_bits);
    for (int round = 0; round < rounds; ++round) {
      CompareOnce(graph, random, &totals);
      if (::testing::Test::HasFatalFailure()) return;
    }
  }
  EXPECT_GT(totals.written, 0u);
  EXPECT_GT(totals.found, 0u);
  EXPECT_GT(totals.empty, 0u);
}

TEST(MarkWrittenModelTest, SmallObjectsAreScannedAgainAsByThePlainMarker) {
  Compare("small, written", 40, 5000, 7, 20);
}
TEST(MarkWrittenModelTest, ObjectsOfAllSizesAreScannedAgainAsByThePlainMarker) {
  Compare("mixed, written", 40, 2000, 15, 20);
}
TEST(MarkWrittenModelTest, PartsOfLargeObjectsAreScannedAgainAsByThePlainMarker) {
  Compare("large, written", 15, 400, 20, 20);
}
TEST(MarkWrittenModelTest, ManyWrittenObjectsOverflowTheStackAndAreScannedAgainAsByThePlainMarker) {
  Compare("wide, written", 2, 200'000, 8, 20);
}

// ---- One by one -----------------------------------------------------------------------------------------------------

class MarkWrittenTest : public ::testing::Test {
 protected:
  static constexpr size_t kOsPageBytes = 4096;

  MarkWrittenTest() { EXPECT_EQ(marker_.Prepare(1), Status::kOk); }

  // An object that is marked already, and whose words each lead to a leaf of their own, which is white.
  struct Marked {
    uintptr_t base;
    std::vector<uintptr_t> leaves;
  };
  Marked Make(Kind kind, size_t bytes) {
    Marked made{heap_.Allocate(kind, bytes), {}};
    for (size_t i = 0; i < bytes / sizeof(uint64_t); ++i) {
      made.leaves.push_back(heap_.Allocate(kPlain, 16));
      WordsOf(made.base)[i] = made.leaves.back();
    }
    return made;
  }

  // With these marked, and the range written.
  void Scan(const std::vector<uintptr_t>& marked, uintptr_t base, uintptr_t limit) {
    Begin(marked);
    marker_.ScanWritten(base, limit);
    marker_.Drain();
    marker_.Finish();
  }
  void Begin(const std::vector<uintptr_t>& marked) {
    ClearMarks(heap_.table());
    marker_.Begin();
    for (const uintptr_t object : marked) {
      const Slot slot = FindSlot(heap_.table(), object);
      ClearBits(WhiteBitsOf(slot.span), slot.index, 1);
    }
  }

  // The leaves [first, behind) are marked, and no other.
  void ExpectLeaves(const Marked& object, size_t first, size_t behind) {
    for (size_t i = 0; i < object.leaves.size(); ++i) {
      ASSERT_EQ(heap_.IsMarked(object.leaves[i]), i >= first && i < behind) << "word " << i;
    }
  }
  void ExpectAll(const Marked& object) { ExpectLeaves(object, 0, object.leaves.size()); }
  void ExpectNone(const Marked& object) { ExpectLeaves(object, 0, 0); }

  MarkHeap heap_;
  KindTable kinds_;
  Marker marker_{heap_.space(), heap_.table(), kinds_, {}};
};

TEST_F(MarkWrittenTest, WhiteObjectsOnAWrittenPageStayWhite) {
  const Marked black = Make(kConservative, 64);
  const Marked white = Make(kConservative, 64);
  ASSERT_EQ(PageOf(black.base), PageOf(white.base));
  const uintptr_t page = black.base & ~(kPageBytes - 1);
  Scan({black.base}, page, page + kPageBytes);
  ExpectAll(black);
  ExpectNone(white);
  EXPECT_FALSE(heap_.IsMarked(white.base));
}

TEST_F(MarkWrittenTest, PointerFreeObjectsAreNotReadAgain) {
  for (const size_t bytes : {size_t{64}, size_t{2000}, size_t{100'000}}) {
    const Marked plain = Make(kPlain, bytes);
    Scan({plain.base}, plain.base & ~(kPageBytes - 1), (plain.base | (kPageBytes - 1)) + 1);
    ExpectNone(plain);
  }
}

// An object that lies across pages: whichever of them was written, all of it is scanned.
TEST_F(MarkWrittenTest, AnObjectIsScannedThatOnlyOverlapsAWrittenPage) {
  const auto page_of = [](uintptr_t address) { return address & ~(kOsPageBytes - 1); };
  for (const size_t bytes : {size_t{48}, size_t{832}, size_t{3072}, size_t{20'000}}) {
    const size_t slot_bytes = kSizeClasses[ClassForSize(bytes)].slot_bytes;
    uintptr_t object = 0;
    for (int i = 0; i < 1000 && (object == 0 || page_of(object) == page_of(object + slot_bytes - 1)); ++i) {
      object = heap_.Allocate(kConservative, bytes);
    }
    ASSERT_NE(page_of(object), page_of(object + slot_bytes - 1)) << bytes;
    const uintptr_t first = heap_.Allocate(kPlain, 16);
    const uintptr_t last = heap_.Allocate(kPlain, 16);
    WordsOf(object)[0] = first;
    WordsOf(object + slot_bytes)[-1] = last;
    for (uintptr_t page = page_of(object); page < object + slot_bytes; page += kOsPageBytes) {
      Scan({object}, page, page + kOsPageBytes);
      EXPECT_TRUE(heap_.IsMarked(first)) << bytes;
      EXPECT_TRUE(heap_.IsMarked(last)) << bytes;
    }
    const uintptr_t behind = page_of(object + slot_bytes - 1) + kOsPageBytes;
    Scan({object}, behind, behind + kOsPageBytes);
    EXPECT_FALSE(heap_.IsMarked(first)) << "the page behind, " << bytes;
  }
}

// A byte at either end is enough; what touches without overlapping is not.
TEST_F(MarkWrittenTest, TheRangeCountsToTheByte) {
  const Marked before = Make(kConservative, 128);
  const Marked object = Make(kConservative, 128);
  const Marked after = Make(kConservative, 128);
  ASSERT_EQ(before.base + 128, object.base);
  ASSERT_EQ(object.base + 128, after.base);
  const std::vector<uintptr_t> all = {before.base, object.base, after.base};
  Scan(all, object.base, object.base + 128);
  ExpectNone(before);
  ExpectAll(object);
  ExpectNone(after);
  Scan(all, object.base - 8, object.base + 8);
  ExpectAll(before);
  ExpectAll(object);
  ExpectNone(after);
  Scan(all, object.base + 120, object.base + 136);
  ExpectNone(before);
  ExpectAll(object);
  ExpectAll(after);
}

// The bytes behind the last slot belong to no object; the last slot is not theirs.
TEST_F(MarkWrittenTest, LeftOverBytesAtASpansEndAreNothing) {
  int tried = 0;
  for (uint32_t number = 1; number < kSizeClassCount; ++number) {
    const SizeClassInfo& info = kSizeClasses[number];
    const size_t span_bytes = size_t{info.span_pages} * kPageBytes;
    const size_t used_bytes = size_t{info.slots} * info.slot_bytes;
    if (used_bytes == span_bytes) continue;
    ++tried;
    std::vector<uintptr_t> slots;
    for (uint32_t slot = 0; slot < info.slots; ++slot) slots.push_back(heap_.Allocate(kConservative, info.slot_bytes));
    const Span* span = FindSlot(heap_.table(), slots[0]).span;
    ASSERT_EQ(slots.back() + info.slot_bytes, BaseOf(span) + used_bytes);
    const uintptr_t leaf = heap_.Allocate(kPlain, 16);
    for (const uintptr_t slot : slots) WordsOf(slot)[0] = leaf;
    for (size_t offset = used_bytes; offset < span_bytes; offset += 8) *WordsOf(BaseOf(span) + offset) = leaf;
    Scan(slots, BaseOf(span) + used_bytes, BaseOf(span) + span_bytes);
    EXPECT_FALSE(heap_.IsMarked(leaf)) << info.slot_bytes;
    Scan({slots.back()}, BaseOf(span) + used_bytes - 8, BaseOf(span) + span_bytes);
    EXPECT_TRUE(heap_.IsMarked(leaf)) << info.slot_bytes;
  }
  EXPECT_GT(tried, 0);
}

TEST_F(MarkWrittenTest, PagesWithoutSpansAreNothing) {
  const uintptr_t object = heap_.Allocate(kConservative, 64);
  const uintptr_t leaf = heap_.Allocate(kPlain, 16);
  WordsOf(object)[3] = leaf;
  const uintptr_t chunk = ChunkOf(object)->base();
  Scan({object}, chunk + kFirstPage * kPageBytes, chunk + kChunkBytes);
  EXPECT_TRUE(heap_.IsMarked(leaf));
}

TEST_F(MarkWrittenTest, OfALargeObjectOnlyTheWrittenPartIsScanned) {
  constexpr size_t kBytes = 10 * kPageBytes;
  constexpr size_t kPageWords = kPageBytes / sizeof(uint64_t);
  const Marked large = Make(kConservative, kBytes);
  Scan({large.base}, large.base + 3 * kPageBytes, large.base + 5 * kPageBytes);
  ExpectLeaves(large, 3 * kPageWords, 5 * kPageWords);
  Scan({large.base}, large.base, large.base + kOsPageBytes);
  ExpectLeaves(large, 0, kPageWords / 2);
  Scan({large.base}, large.base + kBytes - kOsPageBytes, large.base + kBytes);
  ExpectLeaves(large, 10 * kPageWords - kPageWords / 2, 10 * kPageWords);
  Scan({}, large.base, large.base + kBytes);
  ExpectNone(large);
}

std::vector<uint64_t> BitmapOf(uint32_t period) {
  return std::vector<uint64_t>(period / kWordBits + 1, 0x9249249249249249);
}

TEST_F(MarkWrittenTest, PartsOfLargeArraysKeepTheirBitmapsPhase) {
  constexpr size_t kBytes = 6 * kPageBytes;
  constexpr size_t kPartWords = kOsPageBytes / sizeof(uint64_t);
  for (const uint32_t period : {1u, 3u, 7u, 64u, 65u, 100u, 130u, 2000u}) {
    const std::vector<uint64_t> bitmap = BitmapOf(period);
    Kind kind = 0;
    ASSERT_EQ(kinds_.AddBitmap(bitmap.data(), period, &kind), Status::kOk);
    const Marked array = Make(kind, kBytes);
    for (size_t part = 0; part < kBytes / kOsPageBytes; ++part) {
      Scan({array.base}, array.base + part * kOsPageBytes, array.base + (part + 1) * kOsPageBytes);
      const size_t first = part * kPartWords;
      for (size_t i = 0; i < array.leaves.size(); ++i) {
        const bool is_field = TestBit(bitmap.data(), static_cast<uint32_t>(i % period));
        const bool is_scanned = i >= first && i < (part + 1) * kPartWords;
        ASSERT_EQ(heap_.IsMarked(array.leaves[i]), is_field && is_scanned) << period << ", part " << part << ", " << i;
      }
    }
  }
}

// Visits every other word; an object whose first word is 1 is not ready.
bool TraceEven(void* context, void* object, size_t slot_bytes, Tracer* tracer) {
  ++*static_cast<size_t*>(context);
  const auto* words = static_cast<const uint64_t*>(object);
  if (words[0] == 1) return false;
  for (size_t i = 0; i < slot_bytes / sizeof(uint64_t); i += 2) tracer->Visit(words[i]);
  return true;
}

TEST_F(MarkWrittenTest, ATraceFunctionIsAskedForTheWholeObject) {
  size_t calls = 0;
  Kind kind = 0;
  ASSERT_EQ(kinds_.AddFunction(TraceEven, &calls, &kind), Status::kOk);
  for (const size_t bytes : {size_t{64}, size_t{2048}, size_t{12} * kPageBytes}) {
    const Marked object = Make(kind, bytes);
    calls = 0;
    Scan({object.base}, object.base + bytes - 8, object.base + bytes);
    EXPECT_EQ(calls, 1u) << bytes;
    for (size_t i = 0; i < object.leaves.size(); ++i) ASSERT_EQ(heap_.IsMarked(object.leaves[i]), i % 2 == 0) << bytes;
  }
}

// Else an object that was written all over would be traced as often as it has pages.
TEST_F(MarkWrittenTest, OneRangeTracesALargeObjectOnce) {
  size_t calls = 0;
  Kind kind = 0;
  ASSERT_EQ(kinds_.AddFunction(TraceEven, &calls, &kind), Status::kOk);
  const uintptr_t first = heap_.Allocate(kind, 12 * kPageBytes);
  const uintptr_t second = heap_.Allocate(kind, 9 * kPageBytes);
  ASSERT_EQ(first + 12 * kPageBytes, second);
  const uintptr_t leaf = heap_.Allocate(kPlain, 16);
  WordsOf(second)[2] = leaf;
  Scan({first, second}, first + kOsPageBytes, second + 5 * kPageBytes + kOsPageBytes);
  EXPECT_EQ(calls, 2u);
  EXPECT_TRUE(heap_.IsMarked(leaf));
  calls = 0;
  Scan({first, second}, first, second);
  EXPECT_EQ(calls, 1u);
  EXPECT_FALSE(heap_.IsMarked(leaf));
}

TEST_F(MarkWrittenTest, ALargeObjectThatIsNotReadyIsScannedAsAWhole) {
  constexpr size_t kPageWords = kPageBytes / sizeof(uint64_t);
  size_t calls = 0;
  Kind kind = 0;
  ASSERT_EQ(kinds_.AddFunction(TraceEven, &calls, &kind), Status::kOk);
  const Marked object = Make(kind, 12 * kPageBytes);
  WordsOf(object.base)[0] = 1;
  Scan({object.base}, object.base + 7 * kPageBytes, object.base + 9 * kPageBytes);
  EXPECT_EQ(calls, 1u);
  ExpectLeaves(object, 1, 12 * kPageWords);
}

// As many as several segments of the mark stack hold, with memory for them and without.
TEST_F(MarkWrittenTest, AnyNumberOfObjectsMayBeWritten) {
  constexpr size_t kObjects = 5 * MarkSegment::kEntries;
  std::vector<uintptr_t> objects;
  std::vector<uintptr_t> leaves;
  for (size_t i = 0; i < kObjects; ++i) {
    objects.push_back(heap_.Allocate(kConservative, 16));
    leaves.push_back(heap_.Allocate(kPlain, 16));
    WordsOf(objects.back())[i % 2] = leaves.back();
  }
  const uintptr_t chunk = ChunkOf(objects[0])->base();
  ASSERT_EQ(ChunkOf(objects.back())->base(), chunk);
  for (const size_t max_stack_bytes : {SIZE_MAX, size_t{0}}) {
    Marker marker(heap_.space(), heap_.table(), kinds_, {.max_stack_bytes = max_stack_bytes});
    ASSERT_EQ(marker.Prepare(1), Status::kOk);
    Begin(objects);
    marker.Begin();
    marker.ScanWritten(chunk + kFirstPage * kPageBytes, chunk + kChunkBytes);
    marker.Drain();
    marker.Finish();
    CheckMarks(heap_.table());
    EXPECT_EQ(CountMarks(heap_.table()).objects, 2 * kObjects);
  }
}

// ---- Huge ones ------------------------------------------------------------------------------------------------------

// Nobody but the owner knows where it lies: so this one is the test's.
class MarkWrittenPartTest : public MarkWrittenTest {
 protected:
  static constexpr size_t kWords = 64 * 1024;

  MarkWrittenPartTest() : memory_(kWords) {
    for (uint64_t& word : memory_) {
      leaves_.push_back(heap_.Allocate(kPlain, 16));
      word = leaves_.back();
    }
  }

  void ScanPart(Kind kind, size_t first, size_t behind) {
    Begin({});
    const auto base = reinterpret_cast<uintptr_t>(memory_.data());
    marker_.ScanWrittenPart({.object = base, .object_bytes = kWords * 8, .kind = kind, .base = base + first * 8,
                             .limit = base + behind * 8});
    marker_.Drain();
    marker_.Finish();
  }

  std::vector<uint64_t> memory_;
  std::vector<uintptr_t> leaves_;
};

TEST_F(MarkWrittenPartTest, OnlyThePartIsScanned) {
  for (const auto& [first, behind] : {std::pair<size_t, size_t>{0, 512}, {512, 1024}, {5 * 512, 100 * 512},
                                      {kWords - 512, kWords}, {0, kWords}}) {
    ScanPart(kConservative, first, behind);
    for (size_t i = 0; i < kWords; ++i) ASSERT_EQ(heap_.IsMarked(leaves_[i]), i >= first && i < behind) << i;
  }
}

TEST_F(MarkWrittenPartTest, TheBitmapsPhaseIsThatOfTheObject) {
  for (const uint32_t period : {3u, 65u, 100u, 5000u}) {
    const std::vector<uint64_t> bitmap = BitmapOf(period);
    Kind kind = 0;
    ASSERT_EQ(kinds_.AddBitmap(bitmap.data(), period, &kind), Status::kOk);
    for (const auto& [first, behind] : {std::pair<size_t, size_t>{0, 512}, {512, 1024}, {33 * 512, 100 * 512},
                                        {kWords - 512, kWords}}) {
      ScanPart(kind, first, behind);
      for (size_t i = 0; i < kWords; ++i) {
        const bool is_scanned = i >= first && i < behind;
        ASSERT_EQ(heap_.IsMarked(leaves_[i]), is_scanned && TestBit(bitmap.data(), static_cast<uint32_t>(i % period)))
            << period << ", word " << i;
      }
    }
  }
}

TEST_F(MarkWrittenPartTest, ATraceFunctionIsAskedForTheWholeObjectUnlessItIsNotReady) {
  size_t calls = 0;
  Kind kind = 0;
  ASSERT_EQ(kinds_.AddFunction(TraceEven, &calls, &kind), Status::kOk);
  ScanPart(kind, 512, 1024);
  EXPECT_EQ(calls, 1u);
  for (size_t i = 0; i < kWords; ++i) ASSERT_EQ(heap_.IsMarked(leaves_[i]), i % 2 == 0) << i;
  memory_[0] = 1;
  ScanPart(kind, 512, 1024);
  EXPECT_EQ(calls, 2u);
  for (size_t i = 0; i < kWords; ++i) ASSERT_EQ(heap_.IsMarked(leaves_[i]), i >= 512 && i < 1024) << i;
}

}  // namespace
}  // namespace acre
