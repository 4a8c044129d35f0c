#pragma once

// Copying and clearing.
//
// Both have portable, AVX2 and AVX-512 bodies, chosen once by what the CPU has. A naturally aligned 8-byte word within
// the range is never torn: a concurrent reader sees the old or the new word. Any thread; no allocation, no failure.

#include <cstddef>

namespace acre::arch {

// Copies `bytes` from `from` to `to`; the ranges may overlap.
void Move(void* to, const void* from, size_t bytes);

// Zeroes [base, base + bytes).
void Clear(void* base, size_t bytes);

}  // namespace acre::arch
