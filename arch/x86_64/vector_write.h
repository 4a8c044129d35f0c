#pragma once

// Writing a range with vector stores: the common part of the AVX2 and AVX-512 bodies of Move and Clear.
//
// A range is written from a source: memory (Move) or zeros (Clear). Up to eight vectors are all loaded before the
// first is stored, so that overlap needs no thought; longer ranges are written in a loop, from the end at which the
// source is not yet overwritten, the other ends held in registers.
//
// No aligned 8-byte word of the destination may be seen half written. What this relies on:
//
// W1. One store of 8, 16, 32 or 64 bytes writes each aligned word that it covers at once, whatever its own alignment.
//     Intel and AMD promise it for aligned 16 bytes; wider and unaligned stores are split, if at all, at multiples of
//     8, as collectors on these CPUs have long relied on. The torn-word test watches it.
// W2. Other cores see a core's stores in order (not streaming stores, which cover whole words once, and are fenced).
// W3. The first store that touches a word covers all of it. Later ones write the same bytes again, which no one sees.
//
// W3 decides the order of stores here. Two stores that meet inside a word would tear it, so stores at aligned places
// come first, and the ends of the range, which lie anywhere, last. Where the destination is aligned to words, as
// nearly all are, vectors counted from its beginning are such places, and the tail comes last; the functions named
// *Misaligned take the others. InOrder() keeps the compiler from changing the order.
//
// V is the vector type: kBytes, Value, Load, Store, StoreAligned, Stream, Zero. All is in an unnamed namespace and
// inlined: each file that includes this compiles it for another instruction set.

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace acre::arch {
namespace {

#define ACRE_INLINE [[gnu::always_inline]] inline

using Byte = unsigned char;

constexpr size_t kWordBytes = 8;

ACRE_INLINE void InOrder() { asm volatile("" ::: "memory"); }

ACRE_INLINE size_t Min(size_t a, size_t b) { return a < b ? a : b; }
ACRE_INLINE uintptr_t AddressOf(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer); }
ACRE_INLINE bool IsWordAligned(const void* pointer) { return AddressOf(pointer) % kWordBytes == 0; }
ACRE_INLINE size_t BytesToWordBoundary(const Byte* to) { return -AddressOf(to) % kWordBytes; }

// The unsigned integers as the smallest vectors, at any address.
template <class Integer>
struct Scalar {
  static constexpr size_t kBytes = sizeof(Integer);
  using Value = Integer;
  struct [[gnu::packed, gnu::may_alias]] Unaligned {
    Integer value;
  };
  ACRE_INLINE static Value Load(const Byte* from) { return reinterpret_cast<const Unaligned*>(from)->value; }
  ACRE_INLINE static void Store(Byte* to, Value value) { reinterpret_cast<Unaligned*>(to)->value = value; }
  ACRE_INLINE static Value Zero() { return 0; }
};

using Bytes1 = Scalar<uint8_t>;
using Bytes4 = Scalar<uint32_t>;
using Bytes8 = Scalar<uint64_t>;

struct Bytes16 {
  static constexpr size_t kBytes = 16;
  using Value = __m128i;
  ACRE_INLINE static Value Load(const Byte* from) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)); }
  ACRE_INLINE static void Store(Byte* to, Value value) { _mm_storeu_si128(reinterpret_cast<__m128i*>(to), value); }
  ACRE_INLINE static Value Zero() { return _mm_setzero_si128(); }
};

struct FromMemory {
  const Byte* from;
  template <class V>
  ACRE_INLINE typename V::Value Load(size_t offset) const {
    return V::Load(from + offset);
  }
  ACRE_INLINE FromMemory After(size_t offset) const { return {from + offset}; }
};

struct Zeros {
  template <class V>
  ACRE_INLINE typename V::Value Load(size_t /*offset*/) const {
    return V::Zero();
  }
  ACRE_INLINE Zeros After(size_t /*offset*/) const { return {}; }
};

// [0, 8) bytes. No whole word fits in, so the order is free.
template <class Source>
ACRE_INLINE void WriteBelowWord(Byte* to, Source source, size_t bytes) {
  if (bytes >= Bytes4::kBytes) {
    const size_t last = bytes - Bytes4::kBytes;
    const auto head = source.template Load<Bytes4>(0);
    const auto tail = source.template Load<Bytes4>(last);
    Bytes4::Store(to, head);
    Bytes4::Store(to + last, tail);
  } else if (bytes > 0) {
    // The first, middle and last byte are all there are.
    const auto head = source.template Load<Bytes1>(0);
    const auto middle = source.template Load<Bytes1>(bytes / 2);
    const auto tail = source.template Load<Bytes1>(bytes - 1);
    Bytes1::Store(to, head);
    Bytes1::Store(to + bytes / 2, middle);
    Bytes1::Store(to + bytes - 1, tail);
  }
}

// [V, 2V] bytes, word-aligned destination.
template <class V, class Source>
ACRE_INLINE void WriteTwo(Byte* to, Source source, size_t bytes) {
  const size_t last = bytes - V::kBytes;
  const auto head = source.template Load<V>(0);
  const auto tail = source.template Load<V>(last);
  V::Store(to, head);
  InOrder();
  V::Store(to + last, tail);
}

// [V, 2V] bytes, any destination. A third vector, at the first word boundary or at the tail if that is before it, comes
// first: it covers the words in which the head ends and the tail begins.
template <class V, class Source>
ACRE_INLINE void WriteTwoMisaligned(Byte* to, Source source, size_t bytes) {
  const size_t last = bytes - V::kBytes;
  const size_t first = Min(BytesToWordBoundary(to), last);
  const auto head = source.template Load<V>(0);
  const auto middle = source.template Load<V>(first);
  const auto tail = source.template Load<V>(last);
  V::Store(to + first, middle);
  InOrder();
  V::Store(to, head);
  InOrder();
  V::Store(to + last, tail);
}

// [V, 4V) bytes, word-aligned destination, without a branch: below 2V, the second and third vector repeat the first.
template <class V, class Source>
ACRE_INLINE void WriteUpToFour(Byte* to, Source source, size_t bytes) {
  const size_t second = bytes / 2 & V::kBytes;
  const size_t third = (bytes & -V::kBytes) - V::kBytes;
  const size_t last = bytes - V::kBytes;
  const auto v0 = source.template Load<V>(0);
  const auto v1 = source.template Load<V>(second);
  const auto v2 = source.template Load<V>(third);
  const auto v3 = source.template Load<V>(last);
  V::Store(to, v0);
  V::Store(to + second, v1);
  V::Store(to + third, v2);
  InOrder();
  V::Store(to + last, v3);
}

// [2V, 4V] bytes, word-aligned destination.
template <class V, class Source>
ACRE_INLINE void WriteFour(Byte* to, Source source, size_t bytes) {
  const size_t third = ((bytes - 1) & -V::kBytes) - V::kBytes;
  const size_t last = bytes - V::kBytes;
  const auto v0 = source.template Load<V>(0);
  const auto v1 = source.template Load<V>(V::kBytes);
  const auto v2 = source.template Load<V>(third);
  const auto v3 = source.template Load<V>(last);
  V::Store(to, v0);
  V::Store(to + V::kBytes, v1);
  V::Store(to + third, v2);
  InOrder();
  V::Store(to + last, v3);
}

// [4V, 8V] bytes, word-aligned destination.
template <class V, class Source>
ACRE_INLINE void WriteEight(Byte* to, Source source, size_t bytes) {
  const size_t fifth = ((bytes - 1) & -V::kBytes) - 3 * V::kBytes;
  const size_t last = bytes - V::kBytes;
  const auto v0 = source.template Load<V>(0);
  const auto v1 = source.template Load<V>(V::kBytes);
  const auto v2 = source.template Load<V>(2 * V::kBytes);
  const auto v3 = source.template Load<V>(3 * V::kBytes);
  const auto v4 = source.template Load<V>(fifth);
  const auto v5 = source.template Load<V>(fifth + V::kBytes);
  const auto v6 = source.template Load<V>(fifth + 2 * V::kBytes);
  const auto v7 = source.template Load<V>(last);
  V::Store(to, v0);
  V::Store(to + V::kBytes, v1);
  V::Store(to + 2 * V::kBytes, v2);
  V::Store(to + 3 * V::kBytes, v3);
  V::Store(to + fifth, v4);
  V::Store(to + fifth + V::kBytes, v5);
  V::Store(to + fifth + 2 * V::kBytes, v6);
  InOrder();
  V::Store(to + last, v7);
}

}  // namespace
}  // namespace acre::arch
