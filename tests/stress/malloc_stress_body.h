#pragma once

// A random multi-threaded program over any allocator, which checks every block it touches.
//
// Threads allocate, grow and free blocks of skewed random sizes. Half of the blocks go through shared slots, so that
// another thread frees them. A thread ends after some thousand steps with its caches full, and another one takes its
// place. Each block begins with its size and a tag, and is filled with a pattern made of them; both are compared before
// the block is grown or freed.
//
// An allocator is a class `Handle`, made anew by each thread from a reference to `Handle::Shared`, with the members
// Allocate(bytes), AllocateZeroed(bytes), AllocateAligned(bytes, alignment), Reallocate(block, bytes), Free(block).

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "tests/support/seed.h"

namespace acre::stress {

struct Header {
  uint64_t bytes;
  uint64_t tag;
};

[[noreturn]] inline void Wrong(const char* what, const void* block) {
  std::fprintf(stderr, "stress: %s at %p\n", what, block);
  std::abort();
}

inline unsigned char PatternOf(const Header& header) {
  return static_cast<unsigned char>(header.tag ^ header.bytes * 31);
}

inline void Write(void* block, size_t bytes, uint64_t tag) {
  const Header header{bytes, tag};
  std::memcpy(block, &header, sizeof header);
  std::memset(static_cast<char*>(block) + sizeof header, PatternOf(header), bytes - sizeof header);
}

// Compares the first `kept` bytes of a block with what was written to it.
inline void Check(const void* block, size_t kept) {
  Header header;
  std::memcpy(&header, block, sizeof header);
  const auto* at = static_cast<const unsigned char*>(block);
  const unsigned char pattern = PatternOf(header);
  for (size_t i = sizeof header; i < kept; ++i) {
    if (at[i] != pattern) Wrong("contents changed", at + i);
  }
}

inline size_t SizeOf(const void* block) {
  Header header;
  std::memcpy(&header, block, sizeof header);
  return header.bytes;
}

struct Settings {
  uint64_t seed;
  double seconds;
  size_t threads;
};

// Length and seed as the environment says: ACRE_STRESS_SECONDS (default 5), TEST_SEED.
inline Settings SettingsFromEnvironment() {
  const char* seconds = std::getenv("ACRE_STRESS_SECONDS");
  constexpr double kDefaultSeconds = 5;
  constexpr size_t kThreads = 6;
  return {testing::Seed("stress"), seconds != nullptr ? std::atof(seconds) : kDefaultSeconds, kThreads};
}

template <class Handle>
class Stress {
 public:
  Stress(typename Handle::Shared& shared, const Settings& settings)
      : shared_(shared),
        settings_(settings),
        end_(std::chrono::steady_clock::now() +
             std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                 std::chrono::duration<double>(settings.seconds))) {}

  // Runs until the time is over, and frees all. Returns the number of steps.
  uint64_t Run() {
    std::vector<std::thread> supervisors;
    for (size_t i = 0; i < settings_.threads; ++i) {
      supervisors.emplace_back([this, i] {
        // Each generation is a thread of its own: what exits with full caches is as important as what runs.
        for (uint64_t generation = 0; !IsOver(); ++generation) {
          std::thread([this, i, generation] { Generation(settings_.seed + i * 1'000'003 + generation * 17); }).join();
        }
      });
    }
    for (std::thread& supervisor : supervisors) supervisor.join();
    FreeShared();
    return steps_.load();
  }

  bool IsOver() const { return std::chrono::steady_clock::now() >= end_; }

  // Frees what lies in the shared slots: at the end, and in a forked child, which has a copy of them.
  void FreeShared() {
    Handle handle(shared_);
    for (std::atomic<void*>& slot : slots_) Drop(handle, slot.exchange(nullptr, std::memory_order_acq_rel));
  }

  // A thread's life: some thousand steps on its own blocks and on the shared ones.
  void Generation(uint64_t seed) {
    testing::Random random(seed);
    Handle handle(shared_);
    std::vector<void*> own(kOwnBlocks);
    const uint64_t steps = 1000 + random.Below(20'000);
    for (uint64_t step = 0; step < steps; ++step) {
      if (step % 256 == 0 && IsOver()) break;
      void*& block = own[random.Below(own.size())];
      Step(handle, random, block);
    }
    for (void* block : own) Drop(handle, block);
    steps_.fetch_add(steps, std::memory_order_relaxed);
  }

 private:
  static constexpr size_t kOwnBlocks = 300;
  static constexpr size_t kSharedSlots = 512;

  void Step(Handle& handle, testing::Random& random, void*& block) {
    if (block != nullptr && random.OneIn(4)) {
      Grow(handle, random, block);
    } else if (random.OneIn(2)) {
      // Publishes the block and takes over what another thread left there.
      std::atomic<void*>& slot = slots_[random.Below(kSharedSlots)];
      void* taken = slot.exchange(block, std::memory_order_acq_rel);
      Drop(handle, taken);
      block = nullptr;
    } else {
      Drop(handle, block);
      block = Make(handle, random);
    }
  }

  static size_t RandomBytes(testing::Random& random) {
    return sizeof(Header) + random.Skewed(random.OneIn(200) ? 21 : random.OneIn(10) ? 16 : 10);
  }

  static void* Make(Handle& handle, testing::Random& random) {
    const size_t bytes = RandomBytes(random);
    void* block = nullptr;
    switch (random.Below(8)) {
      case 0: {
        block = handle.AllocateZeroed(bytes);
        if (block == nullptr) return nullptr;
        const auto* at = static_cast<const unsigned char*>(block);
        for (size_t i = 0; i < bytes; ++i) {
          if (at[i] != 0) Wrong("zeroed memory is not zero", at + i);
        }
        break;
      }
      case 1: {
        const size_t alignment = size_t{16} << random.Below(9);
        block = handle.AllocateAligned(bytes, alignment);
        if (reinterpret_cast<uintptr_t>(block) % alignment != 0) Wrong("misaligned block", block);
        break;
      }
      default:
        block = handle.Allocate(bytes);
    }
    if (block != nullptr) Write(block, bytes, random.Next());
    return block;
  }

  static void Grow(Handle& handle, testing::Random& random, void*& block) {
    const size_t old_bytes = SizeOf(block);
    Check(block, old_bytes);
    const size_t bytes = RandomBytes(random);
    void* grown = handle.Reallocate(block, bytes);
    if (grown == nullptr) return;
    Check(grown, old_bytes < bytes ? old_bytes : bytes);
    Write(grown, bytes, random.Next());
    block = grown;
  }

  static void Drop(Handle& handle, void* block) {
    if (block == nullptr) return;
    Check(block, SizeOf(block));
    handle.Free(block);
  }

  typename Handle::Shared& shared_;
  const Settings settings_;
  const std::chrono::steady_clock::time_point end_;
  std::array<std::atomic<void*>, kSharedSlots> slots_{};
  std::atomic<uint64_t> steps_{0};
};

}  // namespace acre::stress
