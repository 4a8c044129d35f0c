// The scan kernels with 64-byte registers: eight words are loaded, compared and compressed at a time.
//
// VPCOMPRESSQ goes to a register and is then stored whole: compressing to memory is much slower on Zen 4 and a little so
// on Zen 5. Words outside of a run are masked out of the load and are not read. Written from measurements of such a loop
// on Zen 5 (56 to 105 GB/s from L2, whatever the share of pointers); this code has not been timed on such a CPU.

#include <immintrin.h>

#include "arch/x86_64/scan_wide.h"

namespace acre::arch {

namespace {

struct Filter512 {
  __m512i low;
  __m512i bytes;
};

[[gnu::always_inline]] inline uint64_t* ScanEight(const uint64_t* words, uint32_t fields, __mmask8 loaded,
                                                  const Filter512& filter, uint64_t* out) {
  __m512i value = _mm512_maskz_loadu_epi64(loaded, words);
  asm("" : "+v"(value));  // Read once: a thread that writes meanwhile must not change a word after the look at it.
  const __mmask8 wanted = static_cast<__mmask8>(fields) & loaded;
  const __mmask8 in_range = _mm512_mask_cmplt_epu64_mask(wanted, _mm512_sub_epi64(value, filter.low), filter.bytes);
  _mm512_storeu_si512(out, _mm512_maskz_compress_epi64(in_range, value));
  return out + static_cast<uint32_t>(_mm_popcnt_u32(in_range));
}

[[gnu::always_inline]] inline uint64_t* ScanRun(const uint64_t* words, size_t count, uint64_t mask,
                                                const Filter512& filter, uint64_t* out) {
  while (count > 8) {
    out = ScanEight(words, static_cast<uint32_t>(mask & 0xff), 0xff, filter, out);
    words += 8;
    mask >>= 8;
    count -= 8;
  }
  const auto rest = static_cast<__mmask8>(_bzhi_u32(0xff, static_cast<uint32_t>(count)));
  return ScanEight(words, static_cast<uint32_t>(mask & 0xff), rest, filter, out);
}

Filter512 Broadcast(const ScanFilter& filter) {
  return {_mm512_set1_epi64(static_cast<long long>(filter.low)), _mm512_set1_epi64(static_cast<long long>(filter.bytes))};
}

}  // namespace

uint64_t* ScanObjectsAvx512(const uint64_t* objects, size_t count, const ScanTables& tables, const ScanFilter& filter,
                            uint64_t* out) {
  const Filter512 wide = Broadcast(filter);
  // Copied, or they would be read again after each store of a candidate.
  const uint8_t* const lengths = tables.words;
  const uint64_t* const masks = tables.field_masks;
  for (size_t i = 0; i < count; ++i) {
    const uint64_t object = objects[i];
    const auto* words = reinterpret_cast<const uint64_t*>(object & kScanAddressMask);
    out = ScanRun(words, lengths[(object >> kScanSizeShift) & 0xff], masks[object >> kScanShapeShift], wide, out);
  }
  return out;
}

uint64_t* ScanAlikeAvx512(const uint64_t* addresses, size_t count, size_t words, uint64_t mask, const ScanFilter& filter,
                          uint64_t* out) {
  const Filter512 wide = Broadcast(filter);
  for (size_t i = 0; i < count; ++i) {
    out = ScanRun(reinterpret_cast<const uint64_t*>(addresses[i]), words, mask, wide, out);
  }
  return out;
}

uint64_t* ScanWordsAvx512(const uint64_t* words, size_t count, uint64_t mask, const ScanFilter& filter, uint64_t* out) {
  return ScanRun(words, count, mask, Broadcast(filter), out);
}

}  // namespace acre::arch
