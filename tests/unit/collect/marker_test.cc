#include "allocator/collect/marker.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <thread>
#include <vector>

#include "os/fake/fake_memory.h"
#include "tests/support/allocator/mark_heap.h"

namespace acre {
namespace {

using testing::MarkHeap;
using testing::WordsOf;

// Where chunks are said to be, without memory. ThreadSanitizer may let the kernel map at the end of the address space.
bool HasChunksBehind(MarkHeap& heap) { return heap.table().limit() + 8 * kChunkBytes <= uintptr_t{1} << kAddressBits; }

class MarkerTest : public ::testing::Test {
 protected:
  void Make(const MarkerOptions& options = {}, uint32_t workers = 1) {
    marker_ = std::make_unique<Marker>(heap_.space(), heap_.table(), kinds_, options);
    ASSERT_EQ(marker_->Prepare(workers), Status::kOk);
  }
  void Mark(const std::vector<uint64_t>& roots) {
    if (marker_ == nullptr) Make();
    ClearMarks(heap_.table());
    marker_->Begin();
    for (const uint64_t root : roots) marker_->AddRoot(root);
    marker_->Drain();
    marker_->Finish();
    CheckMarks(heap_.table());
  }
  size_t Marked() { return CountMarks(heap_.table()).objects; }

  MarkHeap heap_;
  KindTable kinds_;
  std::unique_ptr<Marker> marker_;
};

TEST_F(MarkerTest, NothingIsMarkedWithoutRootsOrWithRootsThatMeanNothing) {
  Mark({});
  EXPECT_EQ(Marked(), 0u);
  const uintptr_t object = heap_.Allocate(kConservative, 64);
  Mark({0, 1, ~uint64_t{0}, object - kPageBytes * 2, object + 64, ChunkOf(object)->base(), uint64_t{1} << 63});
  EXPECT_EQ(Marked(), 0u);
}

TEST_F(MarkerTest, AnyAddressInsideOfAnObjectKeepsItAndOnlyIt) {
  for (const size_t bytes : {16, 48, 512, 832, 32 * 1024, 100 * 1024}) {
    const uintptr_t before = heap_.Allocate(kConservative, bytes);
    const uintptr_t object = heap_.Allocate(kConservative, bytes);
    const uintptr_t after = heap_.Allocate(kConservative, bytes);
    for (const uintptr_t word : {object, object + 1, object + bytes / 2, object + bytes - 1}) {
      Mark({word});
      EXPECT_TRUE(heap_.IsMarked(object));
      EXPECT_FALSE(heap_.IsMarked(before));
      EXPECT_FALSE(heap_.IsMarked(after));
    }
  }
}

TEST_F(MarkerTest, AWordOnePastTheEndCountsOnlyByOption) {
  for (const size_t bytes : {16, 48, 512, 8192, 32 * 1024, 100 * 1024}) {
    const uintptr_t object = heap_.Allocate(kConservative, bytes);
    const uintptr_t end = object + SlotBytesOf(MakeGrey(object, ChunkOf(object)->descriptors[PageOf(object)]));
    Make();
    Mark({end});
    EXPECT_FALSE(heap_.IsMarked(object)) << bytes;
    Make({.end_pointers = EndPointers::kCount});
    Mark({end});
    EXPECT_TRUE(heap_.IsMarked(object)) << bytes;
  }
}

TEST_F(MarkerTest, TheEndOfTheHighestChunkIsOnePastItsLastObject) {
  const uintptr_t object = heap_.Allocate(kConservative, kUsablePages * kPageBytes);
  ASSERT_EQ(object + kUsablePages * kPageBytes, heap_.table().limit());
  Make({.end_pointers = EndPointers::kCount});
  Mark({heap_.table().limit()});
  EXPECT_TRUE(heap_.IsMarked(object));
}

TEST_F(MarkerTest, ObjectsWithoutPointersAreMarkedAndNotScanned) {
  const uintptr_t object = heap_.Allocate(kNoPointers, 64);
  const uintptr_t inside = heap_.Allocate(kConservative, 64);
  WordsOf(object)[0] = inside;
  Mark({object});
  EXPECT_TRUE(heap_.IsMarked(object));
  EXPECT_FALSE(heap_.IsMarked(inside));
}

TEST_F(MarkerTest, ABitmapSaysWhichWordsOfSmallAndLargeArraysArePointers) {
  for (const uint32_t period : {1u, 3u, 7u, 64u, 65u, 100u, 130u}) {
    std::vector<uint64_t> bitmap(period / kWordBits + 1, 0x9249249249249249);
    Kind kind = 0;
    ASSERT_EQ(kinds_.AddBitmap(bitmap.data(), period, &kind), Status::kOk);
    for (const size_t bytes : {64, 512, 1024, 200 * 1024}) {
      const uintptr_t array = heap_.Allocate(kind, bytes);
      std::vector<uintptr_t> leaves;
      for (size_t i = 0; i < bytes / sizeof(uint64_t); ++i) {
        leaves.push_back(heap_.Allocate(kNoPointers, 16));
        WordsOf(array)[i] = leaves.back();
      }
      Mark({array});
      for (size_t i = 0; i < leaves.size(); ++i) {
        const bool is_field = TestBit(bitmap.data(), static_cast<uint32_t>(i % period));
        ASSERT_EQ(heap_.IsMarked(leaves[i]), is_field) << period << " " << bytes << " " << i;
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

TEST_F(MarkerTest, ATraceFunctionNamesThePointersOfObjectsOfAnySize) {
  size_t calls = 0;
  Kind kind = 0;
  ASSERT_EQ(kinds_.AddFunction(TraceEven, &calls, &kind), Status::kOk);
  for (const size_t first : {0, 1}) {
    for (const size_t bytes : {16, 512, 1024, 1024 * 1024}) {
      const uintptr_t object = heap_.Allocate(kind, bytes);
      std::vector<uintptr_t> leaves;
      WordsOf(object)[0] = first;
      for (size_t i = 1; i < bytes / sizeof(uint64_t); ++i) {
        leaves.push_back(heap_.Allocate(kNoPointers, 16));
        WordsOf(object)[i] = leaves.back();
      }
      calls = 0;
      Mark({object});
      EXPECT_EQ(calls, 1u);
      for (size_t i = 0; i < leaves.size(); ++i) {
        ASSERT_EQ(heap_.IsMarked(leaves[i]), first == 1 || (i + 1) % 2 == 0) << bytes << " " << i;
      }
    }
  }
}

TEST_F(MarkerTest, BoxedWordsKeepWhatTheyHold) {
  constexpr uint64_t kTag = uint64_t{0xfffc} << 48;
  MarkerOptions options;
  options.value_format = {.tag_mask = uint64_t{0xffff} << 48, .tag = kTag, .tag_xor = kTag, .tag_and = ~uint64_t{0}};
  const uintptr_t object = heap_.Allocate(kConservative, 64);
  const uintptr_t boxed = heap_.Allocate(kConservative, 64);
  const uintptr_t raw = heap_.Allocate(kConservative, 64);
  WordsOf(object)[3] = kTag | boxed;
  WordsOf(object)[4] = raw;
  Make(options);
  Mark({kTag | object});
  EXPECT_EQ(Marked(), 3u);
  Make();
  Mark({kTag | object});
  EXPECT_EQ(Marked(), 0u);
}

TEST_F(MarkerTest, RootRangesCountTheirWholeWordsWhereverTheyBegin) {
  std::vector<uintptr_t> words;
  for (int i = 0; i < 200; ++i) words.push_back(heap_.Allocate(kConservative, 64));
  const auto base = reinterpret_cast<uintptr_t>(words.data());
  Make();
  for (const size_t head : {0, 1, 8}) {
    for (const size_t tail : {0, 1, 8}) {
      for (const bool is_at_once : {false, true}) {
        ClearMarks(heap_.table());
        marker_->Begin();
        const uintptr_t limit = base + words.size() * sizeof(uintptr_t) - tail;
        if (is_at_once) {
          marker_->ScanRootRange(base + head, limit);
          EXPECT_TRUE(heap_.IsMarked(words[100]));
        } else {
          marker_->AddRootRange(base + head, limit);
        }
        marker_->Drain();
        EXPECT_EQ(Marked(), words.size() - (head != 0) - (tail != 0));
      }
    }
  }
  ClearMarks(heap_.table());
  marker_->Begin();
  marker_->AddRootRange(base + 1, base + 2);
  marker_->ScanRootRange(base + 8, base);
  marker_->Drain();
  EXPECT_EQ(Marked(), 0u);
}

TEST_F(MarkerTest, MarkingInPiecesEndsWithTheSame) {
  uintptr_t previous = 0;
  for (int i = 0; i < 10'000; ++i) {
    const uintptr_t object = heap_.Allocate(kConservative, 32);
    WordsOf(object)[0] = previous;
    WordsOf(object)[1] = i % 3 == 0 ? heap_.Allocate(kConservative, 2000) : 0;
    previous = object;
  }
  Make();
  ClearMarks(heap_.table());
  marker_->Begin();
  marker_->AddRoot(previous);
  size_t pieces = 1;
  while (!marker_->DrainSome(1)) ++pieces;
  EXPECT_GT(pieces, 10u);
  EXPECT_EQ(Marked(), 10'000u + 3334u);
}

// A list in the order of its nodes, of which each has a leaf beside it, and one in a hundred something else.
class MarkerOfNeighboursTest : public MarkerTest {
 protected:
  static constexpr size_t kNodes = 20'000;

  uintptr_t Make(size_t bytes) {
    nodes_.clear();
    for (size_t i = 0; i < 2 * kNodes; ++i) nodes_.push_back(heap_.Allocate(kConservative, bytes));
    for (size_t i = 0; i < 2 * kNodes; i += 2) {
      const uintptr_t next = i + 2 < 2 * kNodes ? nodes_[i + 2] : 0;
      // Inside of the next one now and then.
      WordsOf(nodes_[i])[0] = next != 0 && i % 7 == 0 ? next + bytes - 1 : next;
      WordsOf(nodes_[i])[bytes / sizeof(uint64_t) - 1] = i % 100 == 0 ? Other(i / 100) : nodes_[i + 1];
      WordsOf(nodes_[i + 1])[0] = nodes_[i];
    }
    return nodes_[0];
  }

  // What the loop for neighbours leaves to others: objects in pieces, of other classes, without pointers.
  uintptr_t Other(size_t number) {
    constexpr size_t kBytes[] = {16, 48, 512, 528, 4000, 100'000};
    return heap_.Allocate(number % 3 == 0 ? kNoPointers : kConservative, kBytes[number % std::size(kBytes)]);
  }

  std::vector<uintptr_t> nodes_;
};

TEST_F(MarkerOfNeighboursTest, AllAreMarkedAndNothingElse) {
  for (const size_t bytes : {16, 32, 48, 64, 80, 144, 512}) {
    Mark({Make(bytes)});
    // Where a node leads to something else, that is marked instead of its leaf.
    EXPECT_EQ(Marked(), 2 * kNodes) << bytes;
    for (size_t i = 0; i < 2 * kNodes; ++i) ASSERT_EQ(heap_.IsMarked(nodes_[i]), i % 100 != 1) << bytes << " " << i;
  }
}

// From 100 places at once, so that there is more than one list to go on with, and in pieces.
TEST_F(MarkerOfNeighboursTest, SeveralListsInPiecesAndByThreeMarkers) {
  const uintptr_t first = Make(64);
  std::vector<uint64_t> roots;
  for (size_t i = 0; i < 100; ++i) roots.push_back(first + i * 64 * 200);
  Mark(roots);
  const size_t expected = Marked();
  MarkerTest::Make({}, 3);
  ClearMarks(heap_.table());
  marker_->Begin();
  for (const uint64_t root : roots) marker_->AddRoot(root);
  size_t pieces = 1;
  while (!marker_->DrainSome(2)) ++pieces;
  EXPECT_GT(pieces, 100u);
  marker_->Finish();
  EXPECT_EQ(Marked(), expected);
  ClearMarks(heap_.table());
  marker_->Begin();
  for (const uint64_t root : roots) marker_->AddRoot(root);
  marker_->BeginParallel(3);
  std::vector<std::thread> threads;
  for (uint32_t number = 0; number < 3; ++number) threads.emplace_back([&, number] { marker_->Work(number); });
  for (std::thread& thread : threads) thread.join();
  marker_->Finish();
  EXPECT_EQ(Marked(), expected);
}

// A tree whose nodes lie depth-first, and no memory for more than the first segment of the stack: a bushy one, so that
// it is not enough. An array waits meanwhile to be scanned in pieces.
TEST_F(MarkerOfNeighboursTest, WithoutMemoryForTheStack) {
  MarkerTest::Make({.max_stack_bytes = 0});
  constexpr size_t kSpine = 400;
  constexpr size_t kFan = 60;
  size_t objects = 0;
  uintptr_t previous = 0;
  std::vector<uintptr_t> spine;
  for (size_t i = 0; i < kSpine; ++i) spine.push_back(heap_.Allocate(kConservative, 512));
  for (const uintptr_t node : spine) {
    if (previous != 0) WordsOf(previous)[0] = node;
    for (size_t i = 1; i <= kFan; ++i, ++objects) WordsOf(node)[i] = heap_.Allocate(kConservative, 16);
    previous = node;
  }
  // Neighbours first, so that the marker takes to them.
  const uintptr_t list = Make(64);
  WordsOf(list)[4] = spine[0];
  constexpr size_t kWords = 100'000;
  const uintptr_t array = heap_.Allocate(kConservative, kWords * sizeof(uint64_t));
  for (size_t i = kWords - 1000; i < kWords; ++i, ++objects) WordsOf(array)[i] = heap_.Allocate(kNoPointers, 16);
  Mark({array, list});
  EXPECT_EQ(Marked(), objects + 1 + kSpine + 2 * kNodes);
}

// Far more grey objects at once than the first segment holds, and no memory for a second: each leaf leads to one more.
class MarkerWithoutMemoryTest : public MarkerTest {
 protected:
  static constexpr size_t kLeaves = 100'000;

  uintptr_t MakeWideGraph() {
    const uintptr_t array = heap_.Allocate(kConservative, kLeaves * sizeof(uint64_t));
    for (size_t i = 0; i < kLeaves; ++i) {
      const uintptr_t leaf = heap_.Allocate(kConservative, 32);
      WordsOf(array)[i] = leaf;
      WordsOf(leaf)[i % 4] = heap_.Allocate(i % 2 == 0 ? kConservative : kNoPointers, 48);
    }
    // Only an array that is scanned at once makes so many grey: the others' ranges fill the room for ranges.
    return array;
  }
};

TEST_F(MarkerWithoutMemoryTest, ObjectsWithoutRoomAreFoundAgainByTheirPages) {
  Make({.max_stack_bytes = 0});
  const uintptr_t array = MakeWideGraph();
  ClearMarks(heap_.table());
  marker_->Begin();
  marker_->ScanRootRange(array, array + kLeaves * sizeof(uint64_t));
  EXPECT_EQ(Marked(), kLeaves);
  EXPECT_GT(CountBits(ChunkOf(array)->pending_marks, 0, kChunkPages), 0u);
  marker_->Drain();
  EXPECT_EQ(Marked(), 2 * kLeaves);
  CheckMarks(heap_.table());
}

TEST_F(MarkerWithoutMemoryTest, SeveralMarkersFindThemAsWell) {
  Make({.max_stack_bytes = 0}, 3);
  const uintptr_t array = MakeWideGraph();
  ClearMarks(heap_.table());
  marker_->Begin();
  marker_->ScanRootRange(array, array + kLeaves * sizeof(uint64_t));
  marker_->BeginParallel(3);
  std::vector<std::thread> threads;
  for (uint32_t number = 0; number < 3; ++number) threads.emplace_back([&, number] { marker_->Work(number); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Marked(), 2 * kLeaves);
  CheckMarks(heap_.table());
}

TEST(MarkerMemoryTest, WorkersThatFindNoMemoryAreNotThere) {
  os::FakeMemory fake;
  MarkHeap heap(fake.calls());
  const KindTable kinds;
  Marker marker(heap.space(), heap.table(), kinds, {});
  ASSERT_EQ(marker.Prepare(1), Status::kOk);
  fake.FailNth(1, ENOMEM, os::FakeMemory::Repeat::kForever, os::FakeMemory::Kind::kMap);
  EXPECT_EQ(marker.Prepare(4), Status::kOutOfMemory);
  EXPECT_EQ(marker.workers(), 1u);
  fake.StopFailing();
  EXPECT_EQ(marker.Prepare(4), Status::kOk);
  EXPECT_EQ(marker.workers(), 4u);
}

// Huge objects, whose owner is played by the test.
struct HugeUnderTest {
  uintptr_t base;
  size_t bytes;
  bool is_marked = false;
  bool is_waiting = false;

  static bool Mark(void* context, uintptr_t word) {
    auto* self = static_cast<HugeUnderTest*>(context);
    if (word - self->base >= self->bytes || self->is_marked) return false;
    self->is_marked = self->is_waiting = true;
    return true;
  }
  static bool Take(void* context, uintptr_t* base, size_t* bytes, Kind* kind) {
    auto* self = static_cast<HugeUnderTest*>(context);
    if (!self->is_waiting) return false;
    self->is_waiting = false;
    *base = self->base;
    *bytes = self->bytes;
    *kind = kConservative;
    return true;
  }
};

TEST_F(MarkerTest, HugeObjectsAreMarkedByTheirOwnerAndScanned) {
  const uintptr_t small = heap_.Allocate(kConservative, 64);
  const uintptr_t inside = heap_.Allocate(kConservative, 64);
  // Two chunks of address space that only the table knows, and the object's memory elsewhere: what is read is what the
  // owner says.
  if (!HasChunksBehind(heap_)) GTEST_SKIP() << "the heap lies at the end of the address space";
  const uintptr_t claimed = heap_.table().limit() + kChunkBytes;
  heap_.table().Set(claimed, ChunkUse::kHuge);
  heap_.table().Set(claimed + kChunkBytes, ChunkUse::kHugeTail);
  std::vector<uint64_t> memory(1000);
  memory[999] = inside;
  struct Elsewhere {
    HugeUnderTest huge;
    uintptr_t memory;
    static bool Take(void* context, uintptr_t* base, size_t* bytes, Kind* kind) {
      auto* self = static_cast<Elsewhere*>(context);
      if (!HugeUnderTest::Take(&self->huge, base, bytes, kind)) return false;
      *base = self->memory;
      *bytes = 8000;
      return true;
    }
  } owner{{claimed, 2 * kChunkBytes}, reinterpret_cast<uintptr_t>(memory.data())};
  MarkerOptions options;
  options.huge_objects = {&owner, [](void* context, uintptr_t word) {
                            return HugeUnderTest::Mark(&static_cast<Elsewhere*>(context)->huge, word);
                          }, Elsewhere::Take};
  WordsOf(small)[1] = claimed + kChunkBytes + 5;
  Make(options);
  Mark({small});
  EXPECT_TRUE(owner.huge.is_marked);
  EXPECT_FALSE(owner.huge.is_waiting);
  EXPECT_TRUE(heap_.IsMarked(inside));
  heap_.table().Set(claimed, ChunkUse::kNone);
  heap_.table().Set(claimed + kChunkBytes, ChunkUse::kNone);
}

// Chunks that only the table knows: nothing in them is read.
class MarkerBesideHugeTest : public MarkerTest {
 protected:
  static constexpr size_t kObjects = 5000;  // Waves of them, and more than a batch of candidates in each.

  // Each leads to the next, to a leaf, into the huge object, and to where no chunk is.
  void MakeObjects(uintptr_t huge, uintptr_t gap) {
    for (size_t i = 0; i < kObjects; ++i) objects_.push_back(heap_.Allocate(kConservative, 128));
    for (size_t i = 0; i < kObjects; ++i) {
      uint64_t* words = WordsOf(objects_[i]);
      words[0] = objects_[(i + 1) % kObjects];
      words[3] = objects_[(i * 7 + 1) % kObjects];
      words[5] = huge + i * 8;
      words[6] = gap + i * 8;
      words[9] = heap_.Allocate(kNoPointers, 16);
    }
  }
  MarkerOptions Options(EndPointers end_pointers = EndPointers::kIgnored) {
    MarkerOptions options;
    options.end_pointers = end_pointers;
    options.huge_objects = {&huge_words_, [](void* context, uintptr_t word) {
                              static_cast<std::vector<uintptr_t>*>(context)->push_back(word);
                              return false;
                            }, nullptr};
    return options;
  }

  std::vector<uintptr_t> objects_;
  std::vector<uintptr_t> huge_words_;  // What the huge objects' owner was asked for.
};

TEST_F(MarkerBesideHugeTest, WavesTellPagesHugeObjectsAndGapsApart) {
  const uintptr_t first = heap_.Allocate(kConservative, 16);
  if (!HasChunksBehind(heap_)) GTEST_SKIP() << "the heap lies at the end of the address space";
  const uintptr_t huge = heap_.table().limit() + kChunkBytes;
  MakeObjects(huge, huge - kChunkBytes);
  heap_.table().Set(huge, ChunkUse::kHuge);
  for (const EndPointers end_pointers : {EndPointers::kIgnored, EndPointers::kCount}) {
    huge_words_.clear();
    Make(Options(end_pointers));
    Mark({objects_[0]});
    EXPECT_EQ(Marked(), 2 * kObjects);
    EXPECT_FALSE(heap_.IsMarked(first));
    std::sort(huge_words_.begin(), huge_words_.end());
    huge_words_.erase(std::unique(huge_words_.begin(), huge_words_.end()), huge_words_.end());
    // Where ends count, the byte before each second one as well, but for the first: there is the gap.
    const size_t ends = end_pointers == EndPointers::kCount ? kObjects / 2 - 1 : 0;
    EXPECT_EQ(huge_words_.size(), kObjects + ends);
  }
}

TEST_F(MarkerBesideHugeTest, TheEndOfPagesIsAlsoTheBeginningOfAHugeObject) {
  const uintptr_t object = heap_.Allocate(kConservative, kUsablePages * kPageBytes);
  if (!HasChunksBehind(heap_)) GTEST_SKIP() << "the heap lies at the end of the address space";
  const uintptr_t huge = heap_.table().limit();
  ASSERT_EQ(object + kUsablePages * kPageBytes, huge);
  heap_.table().Set(huge, ChunkUse::kHuge);
  Make(Options(EndPointers::kCount));
  Mark({huge, huge + kChunkBytes, ChunkOf(object)->base()});
  EXPECT_TRUE(heap_.IsMarked(object));
  EXPECT_EQ(huge_words_, (std::vector<uintptr_t>{huge, huge + kChunkBytes - 1}));
}

TEST_F(MarkerBesideHugeTest, ChunksMayComeWhileMarkingGoesOn) {
  (void)heap_.Allocate(kConservative, 16);
  if (!HasChunksBehind(heap_)) GTEST_SKIP() << "the heap lies at the end of the address space";
  const uintptr_t gap = heap_.table().limit();
  for (const bool has_gap : {false, true}) {
    const uintptr_t limit = has_gap ? gap + 4 * kChunkBytes : gap;
    if (has_gap) heap_.table().Set(limit, ChunkUse::kHuge);
    objects_.clear();
    MakeObjects(gap + kChunkBytes, limit + kChunkBytes);
    Make(Options());
    ClearMarks(heap_.table());
    marker_->Begin();
    marker_->AddRoot(objects_[0]);
    huge_words_.clear();
    ASSERT_FALSE(marker_->DrainSome(2));
    EXPECT_TRUE(huge_words_.empty());
    // A huge object, inside of the range that Begin found or beyond; and a chunk of pages in the gap or elsewhere.
    heap_.table().Set(gap + kChunkBytes, ChunkUse::kHuge);
    heap_.table().Set(limit + kChunkBytes, ChunkUse::kHuge);
    Span* span = heap_.page_heap().AllocateLarge(kUsablePages, 1, kConservative);
    ASSERT_NE(span, nullptr);
    WordsOf(objects_[kObjects / 2])[7] = BaseOf(span);
    marker_->Drain();
    marker_->Finish();
    EXPECT_EQ(Marked(), 2 * kObjects + 1);  // The new one is black.
    EXPECT_EQ(huge_words_.empty(), !has_gap);
    for (const uintptr_t word : huge_words_) EXPECT_EQ(word & ~kChunkMask, gap + kChunkBytes);
    heap_.table().Set(gap + kChunkBytes, ChunkUse::kNone);
    heap_.table().Set(limit + kChunkBytes, ChunkUse::kNone);
  }
}

}  // namespace
}  // namespace acre
