#pragma once

// Gives idle memory back without being called by the program.
//
// A thread of the library's own, which exists only while there is something to do: it is started by a free that finds 16
// MiB of dirty free memory that has been there for a second, or 64 MiB at once (a program that frees a lot and then only
// sleeps will not call again), and it ends after 5 s without work. Threads are visible (unshare(CLONE_NEWUSER) fails, a
// fork is warned of), so small programs never get one. Where none is wanted or can be had, the same work is done by the
// calls that free.
//
// Threads: Poke by any, holding no lock of the heap.

#include <atomic>
#include <cstdint>

#include "allocator/base/units.h"
#include "allocator/heap/span_heap.h"
#include "os/thread.h"

namespace acre {

class Housekeeper {
 public:
  explicit constexpr Housekeeper(SpanHeap& heap) : heap_(heap) {}
  Housekeeper(const Housekeeper&) = delete;
  Housekeeper& operator=(const Housekeeper&) = delete;

  // Whether a thread may be started.
  void set_may_start_thread(bool may) { may_start_thread_.store(may, std::memory_order_relaxed); }

  // After memory was freed: starts the thread or does its work where that is due. A load and a comparison otherwise. `caller`
  // is the code that asked for the free, where it may be the C library: then no thread is started (os/thread.h).
  void Poke(const void* caller = nullptr) {
    if (heap_.page_heap().dirty_bytes() >= kSomeBytes) [[unlikely]] {
      PokeSlow(caller);
    } else if (seen_ns_.load(std::memory_order_relaxed) != 0) [[unlikely]] {
      seen_ns_.store(0, std::memory_order_relaxed);
    }
  }

  // Ends the thread, if there is one, and waits for it; none is started any more.
  void Stop();

  // In a forked child: the thread is gone.
  void ForgetThread() { is_running_.store(false, std::memory_order_relaxed); }

 private:
  static constexpr size_t kSomeBytes = 16 * kMiB;
  static constexpr size_t kMuchBytes = 64 * kMiB;
  static constexpr uint64_t kTickNs = 250'000'000;
  static constexpr uint32_t kIdleTicks = 20;  // 5 s.

  void PokeSlow(const void* caller);
  static void Run(void* self);

  SpanHeap& heap_;
  std::atomic<bool> may_start_thread_{true};
  os::Event stop_;
  std::atomic<bool> is_running_{false};
  std::atomic<uint64_t> seen_ns_{0};  // When some dirty memory was first seen; 0: not now.
  std::atomic<uint64_t> last_tick_ns_{0};
};

}  // namespace acre
