// The plain bodies of Move and Clear: a word at a time. They are the reference for the fast ones, and the port for
// CPUs that have none.
//
// The destination decides the words: bytes up to its first aligned word, then whole words, then the bytes that are
// left, or all of it from the other end where the ranges overlap that way. So each aligned word of the destination is
// stored once, by one instruction. Stores are relaxed atomics, which keeps compilers from splitting them, from joining
// them, and from turning the loops into calls of the C library's memmove, which may not be there yet.

#include <atomic>
#include <cstdint>
#include <cstring>

#include "arch/memory_bodies.h"

namespace acre::arch {

namespace {

using Byte = unsigned char;
using Word = uintptr_t;

constexpr size_t kWordBytes = sizeof(Word);

bool IsWordAligned(const void* address) { return reinterpret_cast<uintptr_t>(address) % kWordBytes == 0; }

void StoreByte(Byte* to, Byte value) { std::atomic_ref<Byte>(*to).store(value, std::memory_order_relaxed); }

void StoreWord(Byte* to, Word value) {
  std::atomic_ref<Word>(*reinterpret_cast<Word*>(to)).store(value, std::memory_order_relaxed);
}

// Sources need not be aligned as the destination is.
Word LoadWord(const Byte* from) {
  Word value;
  std::memcpy(&value, from, kWordBytes);
  return value;
}

void MoveForward(Byte* to, const Byte* from, size_t bytes) {
  for (; bytes > 0 && !IsWordAligned(to); bytes--) StoreByte(to++, *from++);
  for (; bytes >= kWordBytes; bytes -= kWordBytes) {
    StoreWord(to, LoadWord(from));
    to += kWordBytes;
    from += kWordBytes;
  }
  for (; bytes > 0; bytes--) StoreByte(to++, *from++);
}

void MoveBackward(Byte* to, const Byte* from, size_t bytes) {
  for (; bytes > 0 && !IsWordAligned(to + bytes); bytes--) StoreByte(to + bytes - 1, from[bytes - 1]);
  for (; bytes >= kWordBytes; bytes -= kWordBytes) {
    StoreWord(to + bytes - kWordBytes, LoadWord(from + bytes - kWordBytes));
  }
  for (; bytes > 0; bytes--) StoreByte(to + bytes - 1, from[bytes - 1]);
}

}  // namespace

void MovePortable(void* to, const void* from, size_t bytes) {
  // Unsigned: a destination below the source counts as far above it.
  const size_t distance = reinterpret_cast<uintptr_t>(to) - reinterpret_cast<uintptr_t>(from);
  if (distance >= bytes) {
    MoveForward(static_cast<Byte*>(to), static_cast<const Byte*>(from), bytes);
  } else {
    MoveBackward(static_cast<Byte*>(to), static_cast<const Byte*>(from), bytes);
  }
}

void ClearPortable(void* base, size_t bytes) {
  Byte* to = static_cast<Byte*>(base);
  for (; bytes > 0 && !IsWordAligned(to); bytes--) StoreByte(to++, 0);
  for (; bytes >= kWordBytes; bytes -= kWordBytes) {
    StoreWord(to, 0);
    to += kWordBytes;
  }
  for (; bytes > 0; bytes--) StoreByte(to++, 0);
}

}  // namespace acre::arch
