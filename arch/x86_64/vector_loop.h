#pragma once

// Writing ranges of more than a few vectors, at any destination. The essay is in vector_write.h; W1 to W3 refer to it.

#include "arch/x86_64/vector_write.h"

namespace acre::arch {
namespace {

// True if the source may be read from its beginning to its end while the destination is written. Unsigned: a
// destination below the source counts as far above it.
ACRE_INLINE bool IsForwardSafe(const Byte* to, FromMemory source, size_t bytes) {
  return AddressOf(to) - AddressOf(source.from) >= bytes;
}
ACRE_INLINE bool IsForwardSafe(const Byte* /*to*/, Zeros /*source*/, size_t /*bytes*/) { return true; }

// True if no byte is in both ranges.
ACRE_INLINE bool IsDisjoint(const Byte* to, FromMemory source, size_t bytes) {
  return AddressOf(to) - AddressOf(source.from) >= bytes && AddressOf(source.from) - AddressOf(to) >= bytes;
}
ACRE_INLINE bool IsDisjoint(const Byte* /*to*/, Zeros /*source*/, size_t /*bytes*/) { return true; }

template <class V, class Source>
ACRE_INLINE void WriteFourAligned(Byte* to, Source source, size_t offset) {
  const auto v0 = source.template Load<V>(offset);
  const auto v1 = source.template Load<V>(offset + V::kBytes);
  const auto v2 = source.template Load<V>(offset + 2 * V::kBytes);
  const auto v3 = source.template Load<V>(offset + 3 * V::kBytes);
  V::StoreAligned(to + offset, v0);
  V::StoreAligned(to + offset + V::kBytes, v1);
  V::StoreAligned(to + offset + 2 * V::kBytes, v2);
  V::StoreAligned(to + offset + 3 * V::kBytes, v3);
}

// At least 5V bytes. The loop writes aligned vectors up to less than 4V before the end; three vectors at word
// boundaries come behind it, then the tail and the head.
template <class V, class Source>
ACRE_INLINE void WriteForward(Byte* to, Source source, size_t bytes) {
  const size_t last = bytes - V::kBytes;
  const size_t loop_limit = bytes - 4 * V::kBytes;
  const size_t rest = loop_limit + BytesToWordBoundary(to + loop_limit);
  const auto head = source.template Load<V>(0);
  const auto rest0 = source.template Load<V>(rest);
  const auto rest1 = source.template Load<V>(rest + V::kBytes);
  const auto rest2 = source.template Load<V>(rest + 2 * V::kBytes);
  const auto tail = source.template Load<V>(last);
  const size_t loop_base = -AddressOf(to) % V::kBytes;
  for (size_t i = loop_base; i < loop_limit; i += 4 * V::kBytes) {
    WriteFourAligned<V>(to, source, i);
  }
  InOrder();
  V::Store(to + rest, rest0);
  V::Store(to + rest + V::kBytes, rest1);
  V::Store(to + rest + 2 * V::kBytes, rest2);
  InOrder();
  V::Store(to + last, tail);
  // Blocks of this size mostly begin at vectors' boundaries; one store less is then 6 % at 512 bytes.
  if (loop_base != 0) V::Store(to, head);
}

// At least 5V bytes; the mirror image.
template <class V, class Source>
ACRE_INLINE void WriteBackward(Byte* to, Source source, size_t bytes) {
  const size_t last = bytes - V::kBytes;
  const size_t first = BytesToWordBoundary(to);
  const auto head = source.template Load<V>(0);
  const auto first0 = source.template Load<V>(first);
  const auto first1 = source.template Load<V>(first + V::kBytes);
  const auto first2 = source.template Load<V>(first + 2 * V::kBytes);
  const auto first3 = source.template Load<V>(first + 3 * V::kBytes);
  const auto tail = source.template Load<V>(last);
  for (size_t i = bytes - AddressOf(to + bytes) % V::kBytes; i > 4 * V::kBytes; i -= 4 * V::kBytes) {
    WriteFourAligned<V>(to, source, i - 4 * V::kBytes);
  }
  InOrder();
  V::Store(to + first + 3 * V::kBytes, first3);
  V::Store(to + first + 2 * V::kBytes, first2);
  V::Store(to + first + V::kBytes, first1);
  V::Store(to + first, first0);
  InOrder();
  V::Store(to, head);
  V::Store(to + last, tail);
}

template <class V, class Source>
ACRE_INLINE void WriteLong(Byte* to, Source source, size_t bytes) {
  if (IsForwardSafe(to, source, bytes)) {
    WriteForward<V>(to, source, bytes);
  } else {
    WriteBackward<V>(to, source, bytes);
  }
}

// At least 2V bytes, for ranges too short for the loops above: a vector a turn, at word boundaries, the ends last.
template <class V, class Source>
ACRE_INLINE void WriteMisaligned(Byte* to, Source source, size_t bytes) {
  const size_t last = bytes - V::kBytes;
  const auto head = source.template Load<V>(0);
  const auto tail = source.template Load<V>(last);
  if (IsForwardSafe(to, source, bytes)) {
    for (size_t i = BytesToWordBoundary(to); i <= last; i += V::kBytes) {
      V::Store(to + i, source.template Load<V>(i));
    }
  } else {
    for (size_t i = bytes - AddressOf(to + bytes) % kWordBytes; i >= V::kBytes; i -= V::kBytes) {
      V::Store(to + i - V::kBytes, source.template Load<V>(i - V::kBytes));
    }
  }
  InOrder();
  V::Store(to, head);
  V::Store(to + last, tail);
}

}  // namespace
}  // namespace acre::arch
