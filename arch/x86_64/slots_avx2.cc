// Four words at a time with 32-byte registers: all but the two look-ups of each word, of its page's descriptor and of its
// class's numbers, is done for four at once. 22 instructions a word in waves of lists, by callgrind; one at a time it was 45.

#include <immintrin.h>

#include "arch/x86_64/slots_wide.h"

namespace acre::arch {

namespace {

constexpr long long kChunkMask = (1ll << SlotLayout::kChunkShift) - 1;
constexpr long long kPageMask = (1ll << SlotLayout::kPageShift) - 1;
constexpr int kDescriptorShift = 2;  // Of 4 bytes each.

// What takes a page's offset in its chunk to its line's.
constexpr int kLineShift = SlotLayout::kPageShift - SlotLayout::kLineBitsShift + 3;

[[gnu::always_inline]] inline uint32_t DescriptorAt(uint64_t address) {
  return __atomic_load_n(reinterpret_cast<const uint32_t*>(address), __ATOMIC_RELAXED);
}

[[gnu::always_inline]] inline void Prefetch(uint64_t address) {
  _mm_prefetch(reinterpret_cast<const char*>(address), _MM_HINT_T0);
}

struct Four {
  __m256i objects;
  __m256i words;
  __m256i masks;
  uint32_t missing;  // Bit i: the i-th word's page has no span.
};

// The words as they are to come out.
[[gnu::always_inline]] inline Four FindFour(__m256i words, size_t descriptors, const uint64_t* arithmetic,
                                            __m256i to_lines) {
  const __m256i chunks = _mm256_andnot_si256(_mm256_set1_epi64x(kChunkMask), words);
  const __m256i offsets = _mm256_and_si256(_mm256_srli_epi64(words, SlotLayout::kPageShift - kDescriptorShift),
                                           _mm256_set1_epi64x((kChunkMask & ~kPageMask) >> (SlotLayout::kPageShift - kDescriptorShift)));
  const __m256i places = _mm256_add_epi64(chunks, offsets);
  const __m128i lower = _mm256_castsi256_si128(places);
  const __m128i upper = _mm256_extracti128_si256(places, 1);
  const uint32_t d0 = DescriptorAt(static_cast<uint64_t>(_mm_cvtsi128_si64(lower)) + descriptors);
  const uint32_t d1 = DescriptorAt(static_cast<uint64_t>(_mm_extract_epi64(lower, 1)) + descriptors);
  const uint32_t d2 = DescriptorAt(static_cast<uint64_t>(_mm_cvtsi128_si64(upper)) + descriptors);
  const uint32_t d3 = DescriptorAt(static_cast<uint64_t>(_mm_extract_epi64(upper, 1)) + descriptors);
  const __m128i narrow = _mm_insert_epi32(
      _mm_insert_epi32(_mm_insert_epi32(_mm_cvtsi32_si128(static_cast<int>(d0)), static_cast<int>(d1), 1),
                       static_cast<int>(d2), 2),
      static_cast<int>(d3), 3);
  const __m256i found = _mm256_cvtepu32_epi64(narrow);
  const __m128i numbers01 = _mm_set_epi64x(static_cast<long long>(arithmetic[d1 & 0xff]),
                                           static_cast<long long>(arithmetic[d0 & 0xff]));
  const __m128i numbers23 = _mm_set_epi64x(static_cast<long long>(arithmetic[d3 & 0xff]),
                                           static_cast<long long>(arithmetic[d2 & 0xff]));
  const __m256i numbers = _mm256_inserti128_si256(_mm256_castsi128_si256(numbers01), numbers23, 1);
  const __m256i pages = _mm256_andnot_si256(_mm256_set1_epi64x(kPageMask), words);
  const __m256i bases = _mm256_sub_epi64(pages, _mm256_slli_epi64(_mm256_srli_epi64(found, 16), SlotLayout::kPageShift));
  const __m256i slots = _mm256_srli_epi64(_mm256_mul_epu32(_mm256_sub_epi64(words, bases), numbers), 32);
  const __m256i inside = _mm256_mul_epu32(slots, _mm256_srli_epi64(numbers, 32));
  Four four;
  four.objects = _mm256_or_si256(_mm256_add_epi64(bases, inside), _mm256_slli_epi64(found, 48));
  const __m256i lines = _mm256_srli_epi64(_mm256_sub_epi64(bases, chunks), kLineShift);
  const __m256i in_line = _mm256_and_si256(_mm256_srli_epi64(slots, 3), _mm256_set1_epi64x(~7ll));
  four.words = _mm256_add_epi64(_mm256_add_epi64(chunks, to_lines), _mm256_add_epi64(lines, in_line));
  four.masks = _mm256_sllv_epi64(_mm256_set1_epi64x(1), _mm256_and_si256(slots, _mm256_set1_epi64x(63)));
  four.missing = static_cast<uint32_t>(_mm_movemask_ps(_mm_castsi128_ps(_mm_cmpeq_epi32(narrow, _mm_setzero_si128()))));
  return four;
}

[[gnu::always_inline]] inline void PrefetchAt(__m256i bytes) {
  const __m128i lower = _mm256_castsi256_si128(bytes);
  const __m128i upper = _mm256_extracti128_si256(bytes, 1);
  Prefetch(static_cast<uint64_t>(_mm_cvtsi128_si64(lower)));
  Prefetch(static_cast<uint64_t>(_mm_extract_epi64(lower, 1)));
  Prefetch(static_cast<uint64_t>(_mm_cvtsi128_si64(upper)));
  Prefetch(static_cast<uint64_t>(_mm_extract_epi64(upper, 1)));
}

}  // namespace

size_t FindSlotsAvx2(const uint64_t* limit, size_t count, const SlotLayout& layout, uint64_t* objects,
                     const FoundBits& bits) {
  constexpr int kReversed = 0x1b;
  const size_t descriptors = layout.descriptors;
  const uint64_t* const arithmetic = layout.arithmetic;
  const __m256i to_lines = _mm256_set1_epi64x(static_cast<long long>(layout.lines));
  uint64_t* const places = bits.words;
  uint64_t* const masks = bits.masks;
  size_t found = 0;
  for (size_t left = count; left > 0;) {
    __m256i words;
    size_t here = 4;
    if (left >= 4) [[likely]] {
      limit -= 4;
      words = _mm256_permute4x64_epi64(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(limit)), kReversed);
    } else {
      // The last one again in the places that are left over.
      here = left;
      const uint64_t first = limit[-1];
      words = _mm256_set_epi64x(static_cast<long long>(first), static_cast<long long>(left > 2 ? limit[-3] : first),
                                static_cast<long long>(left > 1 ? limit[-2] : first), static_cast<long long>(first));
    }
    left -= here;
    const Four four = FindFour(words, descriptors, arithmetic, to_lines);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(objects + found), four.objects);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(places + found), four.words);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(masks + found), four.masks);
    if (four.missing != 0) [[unlikely]] {
      // In place: each goes to where it is or before.
      size_t kept = found;
      for (size_t i = 0; i < here; ++i) {
        objects[kept] = objects[found + i];
        places[kept] = places[found + i];
        masks[kept] = masks[found + i];
        kept += (four.missing >> i & 1) ^ 1;
      }
      found = kept;
      continue;
    }
    PrefetchAt(four.words);
    found += here;
  }
  return found;
}

}  // namespace acre::arch
