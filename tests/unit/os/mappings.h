#pragma once

// What the kernel says of the test's own address space, and where in it a test may map.

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>

#include "os/memory_calls.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ACRE_TEST_HAS_SHADOW 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define ACRE_TEST_HAS_SHADOW 1
#endif
#endif

namespace acre::os {

#if defined(ACRE_TEST_HAS_SHADOW)
inline constexpr bool kHasShadow = true;  // The sanitizer occupies most of the address space.
#else
inline constexpr bool kHasShadow = false;
#endif

inline constexpr size_t kMiB = size_t{1} << 20;

// The protection of the mapping that holds the address, as in /proc/self/maps ("rw-p"), or "" if there is none.
inline std::string ProtectionAt(uintptr_t address) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    uintptr_t base = 0;
    uintptr_t limit = 0;
    char protection[8] = {};
    if (std::sscanf(line.c_str(), "%lx-%lx %7s", &base, &limit, protection) != 3) continue;
    if (address >= base && address < limit) return protection;
  }
  return "";
}

inline bool MapsMention(const std::string& text) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find(text) != std::string::npos) return true;
  }
  return false;
}

// A range that nothing is mapped in, with as much free room on both sides, so that the kernel follows a hint there. It
// stays free while the test's other threads map nothing.
inline uintptr_t FindFreeRange(size_t bytes) {
  const MemoryCalls& kernel = KernelMemoryCalls();
  const MapResult result = kernel.map(kernel.context, 0, 3 * bytes, Access::kNone, Placement::kHint);
  EXPECT_EQ(result.error, 0);
  EXPECT_EQ(kernel.unmap(kernel.context, result.address, 3 * bytes), 0);
  return result.address + bytes;
}

inline void Fill(uintptr_t base, size_t bytes, int value) { std::memset(reinterpret_cast<void*>(base), value, bytes); }

inline bool IsFilledWith(uintptr_t base, size_t bytes, unsigned char value) {
  const auto* const memory = reinterpret_cast<const unsigned char*>(base);
  // Each byte equals its neighbour: the fast way in builds that check each access.
  return memory[0] == value && std::memcmp(memory, memory + 1, bytes - 1) == 0;
}

}  // namespace acre::os
