#include "allocator/heap/housekeeper.h"

#include "os/clock.h"

namespace acre {

void Housekeeper::PokeSlow(const void* caller) {
  if (is_running_.load(std::memory_order_relaxed)) return;
  const uint64_t now_ns = os::CoarseMonotonicNs();
  uint64_t seen_ns = seen_ns_.load(std::memory_order_relaxed);
  if (seen_ns == 0) {
    seen_ns_.store(now_ns, std::memory_order_relaxed);
    seen_ns = now_ns;
  }
  if (may_start_thread_.load(std::memory_order_relaxed)) {
    if (now_ns - seen_ns < os::kNsPerSecond && heap_.page_heap().dirty_bytes() < kMuchBytes) return;
    if (caller != nullptr && os::IsInsideCLibrary(caller)) return;
    if (is_running_.exchange(true, std::memory_order_acq_rel)) return;
    seen_ns_.store(0, std::memory_order_relaxed);
    if (os::StartThread(&Housekeeper::Run, this, "acre")) return;
    // Not to be had: the calls that free do the work from now on.
    may_start_thread_.store(false, std::memory_order_relaxed);
    is_running_.store(false, std::memory_order_relaxed);
  }
  uint64_t last_ns = last_tick_ns_.load(std::memory_order_relaxed);
  if (now_ns - last_ns < kTickNs) return;
  if (!last_tick_ns_.compare_exchange_strong(last_ns, now_ns, std::memory_order_relaxed)) return;
  heap_.ReleaseIdle(now_ns);
}

void Housekeeper::Run(void* self) {
  auto* keeper = static_cast<Housekeeper*>(self);
  for (uint32_t idle_ticks = 0; idle_ticks < kIdleTicks;) {
    if (keeper->stop_.Wait(kTickNs)) break;
    const size_t released = keeper->heap_.ReleaseIdle(os::MonotonicNs());
    idle_ticks = released == 0 ? idle_ticks + 1 : 0;
  }
  // The last access: a heap may be destroyed from here on.
  keeper->is_running_.store(false, std::memory_order_release);
}

void Housekeeper::Stop() {
  may_start_thread_.store(false, std::memory_order_relaxed);
  stop_.Signal();
  while (is_running_.load(std::memory_order_acquire)) os::YieldThread();
}

}  // namespace acre
