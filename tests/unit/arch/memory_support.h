#pragma once

// What the tests of Move and Clear share: memory with guard pages, a fixture that runs over all bodies, a printed seed.

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "arch/cpu.h"
#include "arch/memory.h"
#include "arch/memory_bodies.h"

namespace acre::arch {

using Byte = unsigned char;

// The seed of this run: ACRE_SEED, else a fixed one, so that runs can be compared. Printed by each test that uses it.
inline uint64_t Seed() {
  const char* text = std::getenv("ACRE_SEED");
  const uint64_t seed = text != nullptr ? std::strtoull(text, nullptr, 0) : 20240229;
  std::printf("seed: ACRE_SEED=%llu\n", static_cast<unsigned long long>(seed));
  return seed;
}

// Readable and writable memory between two inaccessible pages: a touch beyond either end faults.
class GuardedMemory {
 public:
  explicit GuardedMemory(size_t bytes) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    bytes_ = (bytes + page - 1) / page * page;
    mapped_bytes_ = bytes_ + 2 * page;
    void* map = mmap(nullptr, mapped_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) std::abort();
    mapping_ = static_cast<Byte*>(map);
    if (mprotect(mapping_ + page, bytes_, PROT_READ | PROT_WRITE) != 0) std::abort();
    base_ = mapping_ + page;
  }
  ~GuardedMemory() { munmap(mapping_, mapped_bytes_); }
  GuardedMemory(const GuardedMemory&) = delete;
  GuardedMemory& operator=(const GuardedMemory&) = delete;

  Byte* base() const { return base_; }
  Byte* limit() const { return base_ + bytes_; }
  size_t bytes() const { return bytes_; }

 private:
  Byte* mapping_;
  size_t mapped_bytes_;
  Byte* base_;
  size_t bytes_;
};

// Contents in which neighbours, and bytes 2^k apart, differ.
inline void FillPattern(Byte* base, size_t bytes, uint64_t seed) {
  uint64_t state = seed * 2 + 1;
  for (size_t i = 0; i < bytes; i++) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    base[i] = static_cast<Byte>(state >> 56);
  }
}

// Runs once per body. Skips what this CPU cannot run, and says so.
class MemoryBodyTest : public ::testing::TestWithParam<MemoryBody> {
 protected:
  void SetUp() override {
    if (!GetParam().is_supported(DetectCpuFeatures())) {
      GTEST_SKIP() << "this CPU or operating system lacks what the " << GetParam().name << " body needs";
    }
  }
  void RunMove(void* to, const void* from, size_t bytes) const { GetParam().move(to, from, bytes); }
  void RunClear(void* base, size_t bytes) const { GetParam().clear(base, bytes); }
};

inline std::vector<MemoryBody> BodiesAndDispatcher() {
  std::vector<MemoryBody> bodies(MemoryBodies().begin(), MemoryBodies().end());
  const auto always = [](const CpuFeatures&) { return true; };
  bodies.push_back({"dispatched", always, always, Move, Clear});
  return bodies;
}

inline void PrintTo(const MemoryBody& body, std::ostream* out) { *out << body.name; }

inline std::string BodyName(const ::testing::TestParamInfo<MemoryBody>& info) { return info.param.name; }

}  // namespace acre::arch
