#pragma once

// What is written over dead objects, and looked for before their memory is used again (ACRE_DEBUG=clobber=1): who reads
// one that is dead finds rubbish, who writes one is found out.

#include <cstddef>
#include <cstdint>

namespace acre {

enum class Freed : bool { kLeft, kClobbered };  // What becomes of the memory of dead objects.

inline constexpr uint8_t kClobberByte = 0xdb;  // Eight of them are no address.

// `bytes`: whole words, as below. Cost: that of memset.
void Clobber(uintptr_t base, size_t bytes);

// Slots of `slot_bytes` each, from `base` on, hold what Clobber wrote. A fatal line names the first word that does not.
void CheckClobbered(uintptr_t base, size_t bytes, size_t slot_bytes);

}  // namespace acre
