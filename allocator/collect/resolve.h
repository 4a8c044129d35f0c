#pragma once

// From a word to the object it points into: its grey form, and the place of its white bit.
//
// Chunk table, page descriptor, one multiplication: no span record is read (one behind a pointer halves the speed on
// random graphs). The word may be anything. Slots beyond the last one of a span, and slots that are free, are resolved
// like others; their white bit is 0, and so they are never marked: see mark_bits.h.
//
// The descriptor may change while a span is made or freed. The caller keeps spans with marked objects in place, and a
// span that is made while marking goes on has no objects that a word could rightly mean before its descriptors are there.

#include <array>
#include <cstddef>
#include <cstdint>

#include "allocator/collect/grey.h"
#include "allocator/span/chunk.h"
#include "arch/slots.h"

namespace acre {

// A grey object, and its white bit: the word that it is in, and its place there.
struct Resolved {
  Grey grey;
  uint64_t* white_word;
  uint64_t white_mask;
};

inline constexpr uint32_t kLineBitsShift = 9;
static_assert(sizeof(BitLine) * 8 == 1u << kLineBitsShift);

// The allocation word lies this far before the white word.
inline constexpr size_t kWhiteWordDistance =
    (offsetof(Chunk, white_lines) - offsetof(Chunk, alloc_lines)) / sizeof(uint64_t);
inline uint64_t* AllocWordOf(uint64_t* white_word) { return white_word - kWhiteWordDistance; }

namespace resolve_internal {

// For every value of the class byte the reciprocal, and above it the bytes of a slot: a large object is slot 0 wherever
// one points into it, and so is what has no class.
constexpr std::array<uint64_t, 256> MakeArithmetic() {
  std::array<uint64_t, 256> table{};
  for (uint32_t number = 1; number < kSizeClassCount; ++number) {
    table[number] = kSizeClasses[number].reciprocal | uint64_t{kSizeClasses[number].slot_bytes} << 32;
  }
  return table;
}
alignas(64) inline constexpr std::array<uint64_t, 256> kArithmetic = MakeArithmetic();

}  // namespace resolve_internal

// All zeros where there is no span. Others may write it meanwhile.
[[gnu::always_inline]] inline PageDescriptor LoadDescriptor(const Chunk* chunk, uint32_t page) {
  return std::bit_cast<PageDescriptor>(
      __atomic_load_n(reinterpret_cast<const uint32_t*>(&chunk->descriptors[page]), __ATOMIC_RELAXED));
}

// Of a word in a chunk of pages. False: its page belongs to no span.
[[gnu::always_inline]] inline bool ResolveInChunk(uintptr_t word, Resolved* resolved) {
  const uintptr_t chunk_base = word & ~kChunkMask;
  auto* chunk = reinterpret_cast<Chunk*>(chunk_base);
  const uint32_t page = PageOf(word);
  const PageDescriptor descriptor = LoadDescriptor(chunk, page);
  if (descriptor.is_none()) [[unlikely]] return false;
  const uint32_t first = page - descriptor.number_in_span();
  const uint32_t span_offset = first << kPageShift;
  const uint32_t offset = static_cast<uint32_t>(word & kChunkMask) - span_offset;
  const uint64_t arithmetic = resolve_internal::kArithmetic[descriptor.size_class()];
  const auto slot = static_cast<uint32_t>((uint64_t{offset} * static_cast<uint32_t>(arithmetic)) >> 32);
  resolved->grey = MakeGrey(chunk_base + span_offset + slot * static_cast<uint32_t>(arithmetic >> 32), descriptor);
  resolved->white_word = &chunk->white_lines[first].words[slot / kWordBits];
  resolved->white_mask = uint64_t{1} << slot % kWordBits;
  return true;
}

// The same for many words of chunks of pages: arch/slots.h.
inline constexpr arch::SlotLayout kSlotLayout = {.descriptors = offsetof(Chunk, descriptors),
                                                 .lines = offsetof(Chunk, white_lines),
                                                 .arithmetic = resolve_internal::kArithmetic.data()};
static_assert(arch::SlotLayout::kChunkShift == kChunkShift && arch::SlotLayout::kPageShift == kPageShift);
static_assert(arch::SlotLayout::kLineBitsShift == kLineBitsShift);

// Of any word whatever. False: no object of a span (it may still lie in a huge object).
inline bool Resolve(const ChunkTable& table, uintptr_t word, Resolved* resolved) {
  return table.IsChunk(word) && ResolveInChunk(word, resolved);
}

}  // namespace acre
