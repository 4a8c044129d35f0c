#pragma once

// Random graphs for marking: objects of all kinds and sizes, with pointers to anywhere in objects and just past them, with
// words that only look like pointers, with slots that were freed while something still points to them. In some graphs most
// objects point to their neighbours of the same class and kind, as where a program has made them one after the other.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "allocator/collect/kind.h"
#include "allocator/collect/tracer.h"
#include "tests/support/allocator/mark_heap.h"
#include "tests/support/seed.h"

namespace acre::testing {

class RandomGraph {
 public:
  static constexpr uint64_t kBox = uint64_t{0xfffa} << 48;

  RandomGraph(Random& random, size_t objects, unsigned max_size_bits) : random_(random) {
    AddKinds();
    const bool is_near = random_.OneIn(2);
    for (size_t i = 0; i < objects; ++i) is_near && random_.OneIn(10) ? AddRun(max_size_bits) : Add(max_size_bits);
    if (random_.OneIn(2)) AddHuge();
    for (const Object& object : objects_) Fill(object);
    for (size_t i = 0; is_near && i < objects_.size(); ++i) PointNear(i);
    for (const Object& object : objects_) {
      if (random_.OneIn(10)) heap_.Free(object.base);
    }
    for (uint64_t i = random_.Below(20) + 5; i > 0; --i) roots_.push_back(AnyWord());
    if (random_.OneIn(2)) LeaveHole();
  }

  MarkHeap& heap() { return heap_; }
  const KindTable& kinds() const { return kinds_; }
  const std::vector<uint64_t>& roots() const { return roots_; }
  size_t objects() const { return objects_.size(); }

  // Whether an object with a trace function lets itself be traced.
  static bool IsReady(const uint64_t* words) { return (words[0] >> 4) % 5 != 1; }

  // Where huge objects are said to lie, without memory: one right behind the chunks of pages, and one of two chunks.
  const std::vector<uintptr_t>& huge_chunks() const { return huge_chunks_; }

  // The white bits of every span, by address of the spans.
  std::vector<uint64_t> WhiteBits() const {
    std::vector<uint64_t> bits;
    const ChunkTable& table = const_cast<MarkHeap&>(heap_).table();
    table.ForEach([&](uintptr_t base, ChunkUse use) {
      if (use != ChunkUse::kPages) return;
      auto* chunk = reinterpret_cast<Chunk*>(base);
      for (uint32_t page = kFirstPage; page < chunk->pages.limit(); ++page) {
        if (chunk->descriptors[page].is_none() || chunk->descriptors[page].number_in_span() != 0) continue;
        bits.insert(bits.end(), std::begin(chunk->white_lines[page].words), std::end(chunk->white_lines[page].words));
      }
    });
    return bits;
  }

 private:
  struct Object {
    uintptr_t base;
    size_t bytes;
  };

  // Sometimes not ready; sometimes it visits words that are no pointers, or one word often.
  static bool Trace(void* /*context*/, void* object, size_t slot_bytes, Tracer* tracer) {
    const auto* words = static_cast<const uint64_t*>(object);
    if (!IsReady(words)) return false;
    for (size_t i = 0; i < slot_bytes / sizeof(uint64_t); i += 3) tracer->Visit(words[i]);
    for (int i = 0; i < 3; ++i) tracer->Visit(words[slot_bytes / sizeof(uint64_t) - 1]);
    return true;
  }

  void AddKinds() {
    kind_list_ = {kConservative, kConservative, kNoPointers};
    for (const uint32_t words : {1u, 2u, 5u, 8u, 64u, 77u, 200u}) {
      std::vector<uint64_t>& bitmap = bitmaps_.emplace_back(words / 64 + 1);
      for (uint64_t& bits : bitmap) bits = random_.Next();
      Kind kind = 0;
      EXPECT_EQ(kinds_.AddBitmap(bitmap.data(), words, &kind), Status::kOk);
      kind_list_.push_back(kind);
    }
    Kind kind = 0;
    EXPECT_EQ(kinds_.AddFunction(Trace, nullptr, &kind), Status::kOk);
    kind_list_.push_back(kind);
    kind_list_.push_back(kind);
  }

  // Whether the address space goes on so far behind the heap. ThreadSanitizer may let the kernel map at its end.
  bool HasChunksBehind(size_t chunks) {
    return heap_.table().limit() + chunks * kChunkBytes <= uintptr_t{1} << kAddressBits;
  }

  // Once there was a huge object here: not all of the heap's range is chunks of pages.
  void LeaveHole() {
    if (!HasChunksBehind(2)) return;
    const uintptr_t hole = heap_.table().limit() + kChunkBytes;
    heap_.table().Set(hole, ChunkUse::kHugeTail);
    heap_.table().Set(hole, ChunkUse::kNone);
  }

  void AddHuge() {
    const uintptr_t first = heap_.table().limit();
    if (!HasChunksBehind(4)) return;
    huge_chunks_ = {first, first + 2 * kChunkBytes, first + 3 * kChunkBytes};
    for (const uintptr_t chunk : huge_chunks_) heap_.table().Set(chunk, ChunkUse::kHuge);
    heap_.table().Set(huge_chunks_.back(), ChunkUse::kHugeTail);
  }

  void Add(unsigned max_size_bits) {
    const size_t bytes = AlignUp(16 + random_.Skewed(max_size_bits), 16);
    objects_.push_back({heap_.Allocate(kind_list_[random_.Below(kind_list_.size())], bytes), bytes});
  }

  void AddRun(unsigned max_size_bits) {
    const Kind kind = kind_list_[random_.Below(kind_list_.size())];
    const size_t bytes = AlignUp(16 + random_.Skewed(std::min(max_size_bits, 8u)), 16);
    for (uint64_t left = random_.Skewed(10); left > 0; --left) objects_.push_back({heap_.Allocate(kind, bytes), bytes});
  }

  // The object leads to one or two of the next three, to their bases mostly.
  void PointNear(size_t i) {
    const Object& object = objects_[i];
    for (uint64_t left = 1 + random_.Below(2); left > 0; --left) {
      const Object& target = objects_[std::min(i + 1 + random_.Below(3), objects_.size() - 1)];
      const uint64_t inside = random_.OneIn(20) ? random_.Below(target.bytes) : 0;
      WordsOf(object.base)[random_.Below(object.bytes / sizeof(uint64_t))] = target.base + inside;
    }
  }

  // Half of the words are nothing; few large objects get all their words filled, so that the graph does not become one.
  void Fill(const Object& object) {
    const size_t words = object.bytes / sizeof(uint64_t);
    const size_t filled = std::min<size_t>(words, 1 + random_.Below(8));
    for (size_t i = 0; i < filled; ++i) WordsOf(object.base)[random_.Below(words)] = AnyWord();
    if (words > 64 && random_.OneIn(50)) {
      for (size_t i = 0; i < words; ++i) WordsOf(object.base)[i] = AnyWord();
    }
  }

  uint64_t AnyWord() {
    if (!huge_chunks_.empty() && random_.OneIn(100)) return AnyHugeWord();
    const Object& target = objects_[random_.Below(objects_.size())];
    switch (random_.Below(12)) {
      case 0: return random_.Next();
      case 1: return target.base + target.bytes;
      case 2: return target.base + random_.Below(kChunkBytes) - kChunkBytes / 2;
      case 3: return target.base + random_.Below(target.bytes);
      case 4: return kBox | target.base;
      case 5: return random_.Below(1000);
      case 6: return 0;
      default: return target.base;
    }
  }

  // Inside, at an end, in the gap.
  uint64_t AnyHugeWord() {
    const uint64_t chunk = huge_chunks_[random_.Below(huge_chunks_.size())];
    if (random_.OneIn(2)) return chunk + random_.Below(kChunkBytes);
    return chunk + random_.Below(3) * kChunkBytes - 16 * random_.Below(2);
  }

  Random& random_;
  MarkHeap heap_;
  KindTable kinds_;
  std::vector<std::vector<uint64_t>> bitmaps_;
  std::vector<Kind> kind_list_;
  std::vector<Object> objects_;
  std::vector<uintptr_t> huge_chunks_;
  std::vector<uint64_t> roots_;
};

}  // namespace acre::testing
