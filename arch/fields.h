#pragma once

// Which words of one object may be pointers into the heap, as a set: inline, for a loop that does not wait for the answer
// but foresees it. Many objects at once: arch/scan.h.
//
// SSE2 has no comparison of 64-bit numbers. The upper halves of the differences to the range's low end are compared
// instead: so a word may be in the set that lies up to 4 GiB beyond the range. Each is to be compared once more, which it
// has to be read for anyhow.

#include <cstddef>
#include <cstdint>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace acre::arch {

// The same value, of which the compiler does not know where it comes from: so what is done with it need not wait
// for that, where a branch has foreseen it.
[[gnu::always_inline]] inline uintptr_t ForgetOrigin(uintptr_t value) {
  asm volatile("" : "+r"(value));
  return value;
}

// The meaning: all words with (word - low) >> 32 <= (bytes - 1) >> 32. The reference for the tests, and what is used where
// other threads may write the words and each read has to be atomic by the rules of C++.
class FieldsPortable {
 public:
  FieldsPortable(uint64_t low, uint64_t bytes) : low_(low), last_((bytes - 1) >> 32) {}

  // Bit i: word i may lie in the range, the last of them being word 0. REQUIRES: count is even, from 2 to 64; 0 < bytes < 2^63.
  [[gnu::always_inline]] uint64_t Find(const uint64_t* words, size_t count) const {
    uint64_t found = 0;
    for (size_t i = 0; i != count; ++i) {
      const uint64_t word = __atomic_load_n(&words[count - 1 - i], __ATOMIC_RELAXED);
      found |= uint64_t{(word - low_) >> 32 <= last_} << i;
    }
    return found;
  }

 private:
  const uint64_t low_;
  const uint64_t last_;
};

#if defined(__SSE2__)

class FieldsSse2 {
 public:
  // Numbers are compared with a sign: so 2^63 is added on both sides.
  FieldsSse2(uint64_t low, uint64_t bytes)
      : low_(_mm_set1_epi64x(static_cast<long long>(low ^ uint64_t{1} << 63))),
        above_(_mm_set1_epi32(static_cast<int>((((bytes - 1) >> 32) + 1) ^ uint32_t{1} << 31))) {}

  [[gnu::always_inline]] uint64_t Find(const uint64_t* words, size_t count) const {
    uint64_t found = 0;
    if (count % 4 != 0) {
      const __m128i offsets = Offsets(words);
      found = Compare(offsets, offsets) & 3;
      if (count == 2) return found;
      words += 2;
      count -= 2;
    }
    found = found << 4 | Compare(Offsets(words + 2), Offsets(words));
    for (; count != 4; count -= 4) {
      words += 4;
      found = found << 4 | Compare(Offsets(words + 2), Offsets(words));
    }
    return found;
  }

 private:
  [[gnu::always_inline]] __m128i Offsets(const uint64_t* words) const {
    return _mm_sub_epi64(_mm_loadu_si128(reinterpret_cast<const __m128i*>(words)), low_);
  }

  [[gnu::always_inline]] uint32_t Compare(__m128i first, __m128i second) const {
    const __m128 upper = _mm_shuffle_ps(_mm_castsi128_ps(first), _mm_castsi128_ps(second), 0b01'11'01'11);
    return static_cast<uint32_t>(_mm_movemask_ps(_mm_castsi128_ps(_mm_cmpgt_epi32(above_, _mm_castps_si128(upper)))));
  }

  const __m128i low_;
  const __m128i above_;
};

#endif

#if defined(__SSE2__) && !defined(__SANITIZE_THREAD__)
using Fields = FieldsSse2;
#else
using Fields = FieldsPortable;
#endif

}  // namespace acre::arch
