#include "allocator/collect/helpers.h"

#include <limits>

#include "os/check.h"

namespace acre {

Helpers::Helpers(uint64_t idle_ns) : idle_ns_(idle_ns) {
  for (Helper& helper : helpers_) helper.owner = this;
}

Helpers::~Helpers() {
  is_ending_.store(true, std::memory_order_seq_cst);
  for (Helper& helper : helpers_) {
    // Again and again: the helper may just have begun a wait by its time limit.
    while (helper.state.load(std::memory_order_acquire) != kNone) {
      helper.wake.Signal();
      os::YieldThread();
    }
  }
}

void Helpers::Ensure(uint32_t wanted) {
  ASSERT(wanted <= kMax);
  if (count() >= wanted || is_making_.exchange(true, std::memory_order_acquire)) return;
  for (uint32_t index = 0; index < wanted; ++index) {
    Helper& helper = helpers_[index];
    uint32_t state = kNone;
    if (!helper.state.compare_exchange_strong(state, kStarting, std::memory_order_acquire)) continue;
    const bool is_made = os::StartThread(&Helpers::Run, &helper, "acre-collect");
    helper.state.store(is_made ? kIdle : kNone, std::memory_order_release);
    if (!is_made) break;
  }
  is_making_.store(false, std::memory_order_release);
}

uint32_t Helpers::Claim(uint32_t most) {
  uint32_t claimed = 0;
  for (Helper& helper : helpers_) {
    if (claimed == most) break;
    uint32_t state = kIdle;
    if (!helper.state.compare_exchange_strong(state, kClaimed, std::memory_order_acquire)) continue;
    helper.number = ++claimed;
  }
  return claimed;
}

void Helpers::Start(Job* job, void* context) {
  for (Helper& helper : helpers_) {
    if (helper.state.load(std::memory_order_relaxed) != kClaimed) continue;
    helper.job = job;
    helper.context = context;
    helper.state.store(kBusy, std::memory_order_release);
    helper.wake.Signal();
  }
}

void Helpers::Join() {
  for (Helper& helper : helpers_) {
    while (helper.state.load(std::memory_order_acquire) == kBusy) (void)done_.Wait(std::numeric_limits<uint64_t>::max());
  }
}

uint32_t Helpers::count() const {
  uint32_t count = 0;
  for (const Helper& helper : helpers_) count += helper.state.load(std::memory_order_relaxed) != kNone ? 1 : 0;
  return count;
}

void Helpers::Run(void* argument) {
  auto& self = *static_cast<Helper*>(argument);
  for (;;) {
    const bool is_woken = self.wake.Wait(self.owner->idle_ns_);
    if (self.state.load(std::memory_order_acquire) == kBusy) {
      self.job(self.context, self.number);
      self.state.store(kIdle, std::memory_order_release);
      self.owner->done_.Signal();
      continue;
    }
    if (is_woken && !self.owner->is_ending_.load(std::memory_order_seq_cst)) continue;  // An old signal.
    uint32_t state = kIdle;
    if (self.state.compare_exchange_strong(state, kNone, std::memory_order_acq_rel)) return;
  }
}

void Helpers::AfterForkInChild() {
  for (Helper& helper : helpers_) {
    helper.state.store(kNone, std::memory_order_relaxed);
    (void)helper.wake.Wait(0);
  }
  (void)done_.Wait(0);
  is_making_.store(false, std::memory_order_relaxed);
}

}  // namespace acre
