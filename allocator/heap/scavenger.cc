#include "allocator/heap/scavenger.h"

#include "os/clock.h"
#include "os/thread.h"

namespace acre {

bool Scavenger::Start() {
  if (is_running() || is_stopping()) return true;
  uint32_t state = kNone;
  if (!state_.compare_exchange_strong(state, kStarting, std::memory_order_acquire)) return true;
  {
    os::MutexLock lock(work_mutex_);
    (void)poller_.Open();  // Without a queue it serves time and calls, and nothing is heard of pressure.
  }
  // Not after the thread has begun: it may have ended by then.
  state_.store(kRunning, std::memory_order_relaxed);
  if (os::StartThread(&Scavenger::Run, this, "acre-scavenge")) return true;
  os::MutexLock lock(work_mutex_);
  poller_.Close();
  state_.store(kNone, std::memory_order_release);
  return false;
}

void Scavenger::Press() {
  os::MutexLock lock(work_mutex_);
  if (is_running()) poller_.Press();
}

void Scavenger::Stop() {
  is_stopping_.store(true, std::memory_order_relaxed);
  while (is_running()) {
    {
      os::MutexLock lock(work_mutex_);
      poller_.Wake();
    }
    os::YieldThread();
  }
}

void Scavenger::WorkInstead(uint64_t now_ns) {
  uint64_t last_ns = worked_instead_ns_.load(std::memory_order_relaxed);
  if (now_ns - last_ns < kScavengeTickNs) return;
  if (!worked_instead_ns_.compare_exchange_strong(last_ns, now_ns, std::memory_order_relaxed)) return;
  os::MutexLock lock(work_mutex_);
  (void)heap_.ReleaseIdle(now_ns, kInsteadBytes);
}

void Scavenger::AfterForkInChild() {
  poller_.Close();
  state_.store(kNone, std::memory_order_relaxed);
}

void Scavenger::Run(void* argument) {
  auto& self = *static_cast<Scavenger*>(argument);
  self.Work();
  {
    os::MutexLock lock(self.work_mutex_);
    self.poller_.Close();
  }
  self.state_.store(kNone, std::memory_order_release);
}

void Scavenger::Work() {
  uint64_t pause_ns = kScavengeTickNs;
  uint64_t last_work_ns = os::MonotonicNs();
  for (;;) {
    const os::Poller::Heard heard = poller_.Wait(pause_ns);
    if (is_stopping()) return;
    bool has_worked = heard.is_pressed;
    if (heard.is_pressed) ReleaseEverything();
    pause_ns = ReleaseStep(&has_worked);
    const uint64_t now_ns = os::MonotonicNs();
    if (has_worked) last_work_ns = now_ns;
    if (now_ns - last_work_ns >= idle_ns_) return;
  }
}

void Scavenger::ReleaseEverything() {
  for (size_t released = 1; released != 0 && !is_stopping();) {
    os::MutexLock lock(work_mutex_);
    released = heap_.ReleaseSome(kScavengeStepBytes);
  }
}

// Returns how long to sleep.
uint64_t Scavenger::ReleaseStep(bool* has_worked) {
  os::MutexLock lock(work_mutex_);
  const uint64_t cpu_ns = os::ThreadCpuNs();
  const IdleRelease release = heap_.ReleaseIdle(os::MonotonicNs(), kScavengeStepBytes);
  if (release.released_bytes != 0) *has_worked = true;
  const ScavengeStep step{.released_bytes = release.released_bytes,
                          .worked_ns = os::ThreadCpuNs() - cpu_ns,
                          .idle_bytes = release.idle_bytes};
  return pace_.PauseNs(step, os::MonotonicNs());
}

}  // namespace acre
