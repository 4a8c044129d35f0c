// Move and Clear with 64-byte registers. How words stay whole is told in vector_write.h.
//
// Up to 64 bytes there is one masked load and one masked store for every size: no branch that random sizes could
// mislead. Bytes that are masked out are neither read nor written, and do not fault.
//
// The thresholds come from measurements of loops like these on Zen 5 (glibc 2.36 beside them, GB/s of bytes written,
// buffers reused), not of this code, which has been run in an emulator but not timed: the loop copies 271 to 282 at 4
// to 16 KiB, where glibc's REP MOVSB does 151 to 176; from 32 KiB on it is the other way round (89 to 140 against 113
// to 178; at 16 MiB 38 against 54), so string instructions take over. Clearing: the loop 209 to 278 up to 512 KiB, REP
// STOSB 154 to 180; from 1 MiB on 164 against 174, at 16 MiB 124 against 137. Streaming stores won nowhere by more than
// a few percent.
//
// The string instructions used here are those that move words: each of their iterations is a store of 8 bytes, and the
// destination is aligned first, so no word is torn, which nothing promises of REP MOVSB. On Zen 3 the word forms were
// up to 2.6 times faster from 32 KiB to 4 MiB, and within 20 % either way above; on Zen 5 they have not been measured.

#include "arch/x86_64/memory_wide.h"
#include "arch/x86_64/vector_loop.h"

namespace acre::arch {

namespace {

struct Bytes64 {
  static constexpr size_t kBytes = 64;
  using Value = __m512i;
  ACRE_INLINE static Value Load(const Byte* from) { return _mm512_loadu_si512(from); }
  ACRE_INLINE static void Store(Byte* to, Value value) { _mm512_storeu_si512(to, value); }
  ACRE_INLINE static void StoreAligned(Byte* to, Value value) { _mm512_store_si512(to, value); }
  ACRE_INLINE static Value Zero() { return _mm512_setzero_si512(); }
};

constexpr size_t kKiB = 1024;
constexpr size_t kMiB = 1024 * kKiB;

constexpr size_t kMoveStringBytes = 32 * kKiB;
constexpr size_t kClearStringBytes = 1 * kMiB;

ACRE_INLINE void WriteWords(Byte* to, FromMemory source, size_t words) {
  asm volatile("rep movsq" : "+D"(to), "+S"(source.from), "+c"(words) : : "memory");
}

ACRE_INLINE void WriteWords(Byte* to, Zeros /*source*/, size_t words) {
  asm volatile("rep stosq" : "+D"(to), "+c"(words) : "a"(uint64_t{0}) : "memory");
}

// At least 128 bytes, disjoint. Words from the first line boundary on, then the ends.
template <class Source>
[[gnu::noinline]] void WriteByString(Byte* to, Source source, size_t bytes) {
  const size_t last = bytes - Bytes64::kBytes;
  const size_t first = Bytes64::kBytes - AddressOf(to) % Bytes64::kBytes;
  WriteWords(to + first, source.After(first), (bytes - first) / kWordBytes);
  Bytes64::Store(to, source.template Load<Bytes64>(0));
  Bytes64::Store(to + last, source.template Load<Bytes64>(last));
}

// The lowest `bytes` of 64, for at most 64.
ACRE_INLINE __mmask64 LowBytes(size_t bytes) { return _bzhi_u64(~uint64_t{0}, static_cast<uint32_t>(bytes)); }

// More than 64 bytes, destination not aligned to words: rare, so it stays out of the way of the others.
template <class Source>
[[gnu::noinline, gnu::cold]] void WriteAnyMisaligned(Byte* to, Source source, size_t bytes) {
  if (bytes <= 128) return WriteTwoMisaligned<Bytes64>(to, source, bytes);
  WriteMisaligned<Bytes64>(to, source, bytes);
}

// More than 64 bytes.
template <class Source>
ACRE_INLINE void WriteAnyLong(Byte* to, Source source, size_t bytes, size_t string_bytes) {
  if (bytes > 512) {
    if (bytes >= string_bytes) [[unlikely]] {
      if (IsDisjoint(to, source, bytes)) return WriteByString(to, source, bytes);
    }
    return WriteLong<Bytes64>(to, source, bytes);
  }
  if (!IsWordAligned(to)) [[unlikely]] return WriteAnyMisaligned(to, source, bytes);
  if (bytes <= 128) return WriteTwo<Bytes64>(to, source, bytes);
  if (bytes <= 256) return WriteFour<Bytes64>(to, source, bytes);
  WriteEight<Bytes64>(to, source, bytes);
}

}  // namespace

void MoveAvx512(void* to, const void* from, size_t bytes) {
  if (bytes <= Bytes64::kBytes) [[likely]] {
    const __mmask64 mask = LowBytes(bytes);
    _mm512_mask_storeu_epi8(to, mask, _mm512_maskz_loadu_epi8(mask, from));
    return;
  }
  WriteAnyLong(static_cast<Byte*>(to), FromMemory{static_cast<const Byte*>(from)}, bytes, kMoveStringBytes);
}

void ClearAvx512(void* base, size_t bytes) {
  if (bytes <= Bytes64::kBytes) [[likely]] {
    _mm512_mask_storeu_epi8(base, LowBytes(bytes), _mm512_setzero_si512());
    return;
  }
  WriteAnyLong(static_cast<Byte*>(base), Zeros{}, bytes, kClearStringBytes);
}

}  // namespace acre::arch
