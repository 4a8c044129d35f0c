#pragma once

// Ranges of bits in arrays of 64-bit words. Bit i is bit i % 64 of word i / 64. Plain functions over spans of words, so
// that the same code serves page bitmaps and slot bitmaps wherever they lie.

#include <bit>
#include <cstdint>

namespace acre {

inline constexpr uint32_t kWordBits = 64;

// A mask of `count` ones from bit `first` on, within one word: first + count <= 64, count >= 1.
constexpr uint64_t WordMask(uint32_t first, uint32_t count) { return (~uint64_t{0} >> (kWordBits - count)) << first; }

// Calls visit(word_index, mask) for each word that the range [first, first + count) touches.
template <class Visit>
constexpr void ForEachWord(uint32_t first, uint32_t count, Visit visit) {
  while (count > 0) {
    const uint32_t bit = first % kWordBits;
    const uint32_t here = count < kWordBits - bit ? count : kWordBits - bit;
    visit(first / kWordBits, WordMask(bit, here));
    first += here;
    count -= here;
  }
}

inline bool TestBit(const uint64_t* words, uint32_t bit) { return (words[bit / kWordBits] >> (bit % kWordBits)) & 1; }

inline void SetBits(uint64_t* words, uint32_t first, uint32_t count) {
  ForEachWord(first, count, [words](uint32_t word, uint64_t mask) { words[word] |= mask; });
}

inline void ClearBits(uint64_t* words, uint32_t first, uint32_t count) {
  ForEachWord(first, count, [words](uint32_t word, uint64_t mask) { words[word] &= ~mask; });
}

inline uint32_t CountBits(const uint64_t* words, uint32_t first, uint32_t count) {
  uint32_t total = 0;
  ForEachWord(first, count, [words, &total](uint32_t word, uint64_t mask) {
    total += static_cast<uint32_t>(std::popcount(words[word] & mask));
  });
  return total;
}

// The number of ones in `count` whole words, at most 31. The baseline of x86-64 has no instruction for it, and std::popcount
// becomes a call: so bits are added side by side, first in pairs, then in fours, then in bytes, which hold 8 * 31.
inline uint32_t CountOnes(const uint64_t* words, uint32_t count) {
  constexpr uint64_t kPairs = 0x5555'5555'5555'5555;
  constexpr uint64_t kFours = 0x3333'3333'3333'3333;
  constexpr uint64_t kBytes = 0x0f0f'0f0f'0f0f'0f0f;
  constexpr uint64_t kEvenBytes = 0x00ff'00ff'00ff'00ff;
  constexpr uint64_t kSumOfFour = 0x0001'0001'0001'0001;  // Times four numbers of 16 bits: their sum is the highest.
  uint64_t bytes = 0;
  for (uint32_t index = 0; index < count; ++index) {
    uint64_t ones = words[index];
    ones -= (ones >> 1) & kPairs;
    ones = (ones & kFours) + ((ones >> 2) & kFours);
    bytes += (ones + (ones >> 4)) & kBytes;
  }
  bytes = (bytes & kEvenBytes) + ((bytes >> 8) & kEvenBytes);
  return static_cast<uint32_t>((bytes * kSumOfFour) >> 48);
}

// The first position in [from, limit) where word(i) has a one, or limit. `word` computes the i-th word, so that a
// search can run over a combination of bitmaps.
template <class WordAt>
uint32_t FindOne(uint32_t from, uint32_t limit, WordAt word) {
  if (from >= limit) return limit;
  uint32_t index = from / kWordBits;
  uint64_t bits = word(index) & (~uint64_t{0} << (from % kWordBits));
  const uint32_t last = (limit - 1) / kWordBits;
  while (bits == 0) {
    if (index == last) return limit;
    bits = word(++index);
  }
  const uint32_t found = index * kWordBits + static_cast<uint32_t>(std::countr_zero(bits));
  return found < limit ? found : limit;
}

template <class WordAt>
uint32_t FindZero(uint32_t from, uint32_t limit, WordAt word) {
  return FindOne(from, limit, [&word](uint32_t index) { return ~word(index); });
}

// One past the last position in [base, from) where word(i) has a one, or base: the start of the run of zeros that ends
// at `from`.
template <class WordAt>
uint32_t FindLastOneEnd(uint32_t base, uint32_t from, WordAt word) {
  while (from > base) {
    const uint32_t index = (from - 1) / kWordBits;
    const uint32_t used = (from - 1) % kWordBits + 1;
    const uint64_t bits = word(index) & (~uint64_t{0} >> (kWordBits - used));
    if (bits != 0) {
      const uint32_t found = index * kWordBits + kWordBits - static_cast<uint32_t>(std::countl_zero(bits));
      return found > base ? found : base;
    }
    from = index * kWordBits;
  }
  return base;
}

}  // namespace acre
