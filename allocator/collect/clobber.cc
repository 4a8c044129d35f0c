#include "allocator/collect/clobber.h"

#include <cstring>

#include "os/check.h"

namespace acre {

void Clobber(uintptr_t base, size_t bytes) { std::memset(reinterpret_cast<void*>(base), kClobberByte, bytes); }

void CheckClobbered(uintptr_t base, size_t bytes, size_t slot_bytes) {
  constexpr uint64_t kClobberWord = uint64_t{0x0101010101010101} * kClobberByte;
  for (size_t at = 0; at < bytes; at += sizeof(uint64_t)) {
    const uint64_t word = *reinterpret_cast<const uint64_t*>(base + at);
    if (word == kClobberWord) [[likely]] continue;
    const size_t offset = at % slot_bytes;
    os::Fatal("write after death: the word at ", os::Hex{base + at}, ", ", offset, " bytes into a slot of ", slot_bytes,
              " bytes that was freed, is ", os::Hex{word}, " and not ", os::Hex{kClobberWord});
  }
}

}  // namespace acre
