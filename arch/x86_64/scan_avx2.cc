// The scan kernels with 32-byte registers: four words are compared at a time, and a table of sixteen permutations puts the
// candidates among them in front. AVX2 compares signed numbers only, so both sides are shifted by 2^63 first.
//
// A run that is no multiple of four words ends in scalar code of the portable kind: objects of 16 bytes (two words) are
// faster that way.

#include <immintrin.h>

#include "arch/x86_64/scan_wide.h"

namespace acre::arch {

namespace {

// For each set of words out of four, the 32-bit halves that bring them to the front, in order. The rest is rubbish. As
// bytes, to be widened as they are read: so the table is two lines, and the set is its index.
struct Permutations {
  alignas(64) uint8_t halves[16][8];
};

constexpr Permutations MakePermutations() {
  Permutations table{};
  for (int set = 0; set < 16; ++set) {
    int place = 0;
    for (int word = 0; word < 4; ++word) {
      if (((set >> word) & 1) == 0) continue;
      table.halves[set][place++] = static_cast<uint8_t>(2 * word);
      table.halves[set][place++] = static_cast<uint8_t>(2 * word + 1);
    }
  }
  return table;
}

constexpr Permutations kPermutations = MakePermutations();
constexpr uint64_t kTop = uint64_t{1} << 63;

struct Filter256 {
  __m256i minus_low;      // 2^63 - low, so that a difference is shifted by 2^63: to be added to a word.
  __m256i shifted_bytes;  // bytes - 2^63. In a place that is no field -2^63, and nothing is below that.
};

// For four words of which not all may be fields: to be made once for many.
[[gnu::always_inline]] inline Filter256 WithFields(const Filter256& filter, uint64_t fields) {
  const __m256i bits = _mm256_set_epi64x(8, 4, 2, 1);
  const __m256i is_none = _mm256_cmpeq_epi64(
      _mm256_and_si256(_mm256_set1_epi64x(static_cast<long long>(fields)), bits), _mm256_setzero_si256());
  const __m256i lowest = _mm256_set1_epi64x(static_cast<long long>(kTop));
  return {filter.minus_low, _mm256_blendv_epi8(filter.shifted_bytes, lowest, is_none)};
}

// Which of the four pass.
[[gnu::always_inline]] inline uint32_t SetOf(__m256i value, const Filter256& filter) {
  const __m256i offset = _mm256_add_epi64(value, filter.minus_low);
  const __m256i is_below = _mm256_cmpgt_epi64(filter.shifted_bytes, offset);
  return static_cast<uint32_t>(_mm256_movemask_pd(_mm256_castsi256_pd(is_below)));
}

[[gnu::always_inline]] inline uint64_t* PutInFront(__m256i value, uint64_t set, uint64_t* out) {
  const __m256i order =
      _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(kPermutations.halves[set])));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm256_permutevar8x32_epi32(value, order));
  return out + _mm_popcnt_u64(set);
}

// Once: a thread that writes meanwhile must not change a word between the look at it and its copy (compilers like to read
// memory again, as an operand).
[[gnu::always_inline]] inline __m256i ReadOnce(__m256i value) {
  asm("" : "+x"(value));
  return value;
}

[[gnu::always_inline]] inline __m256i LoadFour(const uint64_t* words) {
  return ReadOnce(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(words)));
}

// All four are fields, or the filter knows which are.
[[gnu::always_inline]] inline uint64_t* ScanValue(__m256i value, const Filter256& filter, uint64_t* out) {
  return PutInFront(value, SetOf(value, filter), out);
}

[[gnu::always_inline]] inline uint64_t* ScanFour(const uint64_t* words, uint64_t fields, const Filter256& filter,
                                                 uint64_t* out) {
  constexpr uint64_t kFour = 0xf;
  const __m256i value = LoadFour(words);
  return PutInFront(value, SetOf(value, filter) & fields & kFour, out);
}

[[gnu::always_inline]] inline uint64_t* ScanOne(uint64_t word, uint64_t is_field, const ScanFilter& filter,
                                                uint64_t* out) {
  *out = word;
  return out + (is_field & static_cast<uint64_t>(word - filter.low < filter.bytes));
}

[[gnu::always_inline]] inline uint64_t* ScanTwo(const uint64_t* words, uint64_t mask, const ScanFilter& filter,
                                                uint64_t* out) {
  const uint64_t second = __atomic_load_n(&words[1], __ATOMIC_RELAXED);
  out = ScanOne(__atomic_load_n(&words[0], __ATOMIC_RELAXED), mask & 1, filter, out);
  return ScanOne(second, mask >> 1 & 1, filter, out);
}

[[gnu::always_inline]] inline uint64_t* ScanRun(const uint64_t* words, size_t count, uint64_t mask,
                                                const Filter256& wide, const ScanFilter& filter, uint64_t* out) {
  while (count >= 4) {
    out = ScanFour(words, mask, wide, out);
    words += 4;
    mask >>= 4;
    count -= 4;
  }
  for (; count > 0; --count) {
    out = ScanOne(*words++, mask & 1, filter, out);
    mask >>= 1;
  }
  return out;
}

Filter256 Broadcast(const ScanFilter& filter) {
  return {_mm256_set1_epi64x(static_cast<long long>(kTop - filter.low)),
          _mm256_set1_epi64x(static_cast<long long>(filter.bytes - kTop))};
}

}  // namespace

// The tables and the filter are copied, or they would be read again after each store of a candidate. The most frequent
// sizes have code without a loop: a wave mostly holds objects of one size, and the jump is predicted.
uint64_t* ScanObjectsAvx2(const uint64_t* objects, size_t count, const ScanTables& tables, const ScanFilter& filter,
                          uint64_t* out) {
  const Filter256 wide = Broadcast(filter);
  const ScanFilter narrow = filter;
  const uint8_t* const lengths = tables.words;
  const uint64_t* const masks = tables.field_masks;
  for (size_t i = 0; i < count; ++i) {
    const uint64_t object = objects[i];
    const auto* words = reinterpret_cast<const uint64_t*>(object & kScanAddressMask);
    const size_t length = lengths[(object >> kScanSizeShift) & 0xff];
    const uint64_t mask = masks[object >> kScanShapeShift];
    if (length == 2) {
      out = ScanTwo(words, mask, narrow, out);
    } else if (length == 8) {
      out = ScanFour(words, mask, wide, out);
      out = ScanFour(words + 4, mask >> 4, wide, out);
    } else if (length == 4) {
      out = ScanFour(words, mask, wide, out);
    } else {
      out = ScanRun(words, length, mask, wide, narrow, out);
    }
  }
  return out;
}

size_t TakeAlikeAvx2(const uint64_t* limit, size_t count, uint64_t code, uint64_t* addresses) {
  constexpr int kReversed = 0x1b;
  const auto prefetch = [=](uint64_t object) { _mm_prefetch(reinterpret_cast<const char*>(object - code), _MM_HINT_T0); };
  const __m256i codes = _mm256_set1_epi64x(static_cast<long long>(code));
  const __m256i upper = _mm256_set1_epi64x(static_cast<long long>(~kScanAddressMask));
  size_t taken = 0;
  for (; taken + 4 <= count; taken += 4) {
    limit -= 4;
    const __m256i four = _mm256_xor_si256(_mm256_permute4x64_epi64(LoadFour(limit), kReversed), codes);
    if (_mm256_testz_si256(four, upper) == 0) {
      limit += 4;
      break;
    }
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(addresses + taken), four);
    prefetch(limit[3]);
    prefetch(limit[2]);
    prefetch(limit[1]);
    prefetch(limit[0]);
  }
  for (; taken < count; ++taken) {
    const uint64_t object = *--limit;
    if (((object ^ code) >> kScanSizeShift) != 0) break;
    prefetch(object);
    addresses[taken] = object - code;
  }
  return taken;
}

// Objects of two words are taken in pairs: four words of one register. Others in runs of four.
uint64_t* ScanAlikeAvx2(const uint64_t* addresses, size_t count, size_t words, uint64_t mask, const ScanFilter& filter,
                        uint64_t* out) {
  const Filter256 wide = Broadcast(filter);
  const auto words_of = [&](size_t i) { return reinterpret_cast<const uint64_t*>(addresses[i]); };
  const auto pair = [&](const uint64_t* first, const uint64_t* second) {
    const __m128i lower = _mm_loadu_si128(reinterpret_cast<const __m128i*>(first));
    const __m128i upper = _mm_loadu_si128(reinterpret_cast<const __m128i*>(second));
    return ReadOnce(_mm256_inserti128_si256(_mm256_castsi128_si256(lower), upper, 1));
  };
  if (words == 2) {
    const Filter256 both = WithFields(wide, (mask & 3) | (mask & 3) << 2);
    size_t i = 0;
    for (; i + 2 <= count; i += 2) out = ScanValue(pair(words_of(i), words_of(i + 1)), both, out);
    if (i < count) out = ScanTwo(words_of(i), mask, filter, out);
    return out;
  }
  if (words == 4) {
    const Filter256 fields = WithFields(wide, mask);
    for (size_t i = 0; i < count; ++i) out = ScanValue(LoadFour(words_of(i)), fields, out);
    return out;
  }
  if (words == 8) {
    const Filter256 lower = WithFields(wide, mask);
    const Filter256 upper = WithFields(wide, mask >> 4);
    for (size_t i = 0; i < count; ++i) {
      const uint64_t* first = words_of(i);
      out = ScanValue(LoadFour(first), lower, out);
      out = ScanValue(LoadFour(first + 4), upper, out);
    }
    return out;
  }
  const ScanFilter narrow = filter;
  for (size_t i = 0; i < count; ++i) out = ScanRun(words_of(i), words, mask, wide, narrow, out);
  return out;
}

uint64_t* ScanWordsAvx2(const uint64_t* words, size_t count, uint64_t mask, const ScanFilter& filter, uint64_t* out) {
  return ScanRun(words, count, mask, Broadcast(filter), filter, out);
}

}  // namespace acre::arch
