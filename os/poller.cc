#include "os/poller.h"

#include <errno.h>

#include <limits>

#include "os/clock.h"

namespace acre::os {
namespace {

constexpr uint64_t kForever = std::numeric_limits<uint64_t>::max();

}  // namespace

int Poller::Open() {
  Close();
  told_.store(0, std::memory_order_relaxed);
  (void)event_.Wait(0);
  opener_ = CurrentProcessId();
  const int error = OpenQueue();
  if (error != 0) Close();
  error_.store(error, std::memory_order_relaxed);
  has_queue_.store(error == 0, std::memory_order_release);
  return error;
}

int Poller::OpenQueue() {
  if (const int error = OpenSocketPair(&bell_, &rope_); error != 0) return error;
  const int queue = calls_.create();
  if (queue < 0) return -queue;
  if (const int error = queue_.Take(queue); error != 0) return error;
  if (const int error = calls_.add(queue_.number(), bell_.number(), Interest::kReadable, kBellToken); error < 0) return -error;
  AddSources();
  return 0;
}

// Those that cannot be had or waited for are done without.
void Poller::AddSources() {
  PressureSource opened[kMaxSources];
  const uint32_t count = calls_.open_pressure(opened, kMaxSources);
  source_count_ = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const int error = calls_.add(queue_.number(), opened[i].descriptor.number(), Interest::kUrgent, source_count_);
    if (error < 0) {
      opened[i].descriptor.Close();
    } else {
      sources_[source_count_++] = opened[i];
    }
  }
}

bool Poller::IsOfThisProcess() const { return opener_ == CurrentProcessId(); }

void Poller::Close() {
  has_queue_.store(false, std::memory_order_relaxed);
  for (PressureSource& source : sources_) {
    source.descriptor.Close();
    source = {};
  }
  source_count_ = 0;
  // Else its number is none of ours in a child.
  if (calls_.is_inherited || IsOfThisProcess()) queue_.Close();
  queue_ = {};
  bell_.Close();
  rope_.Close();
  error_.store(0, std::memory_order_relaxed);
}

void Poller::Ring(uint32_t bit) {
  told_.fetch_or(bit, std::memory_order_release);
  event_.Signal();
  if (!has_queue_.load(std::memory_order_acquire) || !IsOfThisProcess()) return;
  // Full, it will be heard anyway. Not ours any more, the waiting thread will find out that its queue is not either.
  constexpr char kStroke = 0;
  if (rope_.IsOurs()) (void)SendSome(rope_, &kStroke, sizeof kStroke);
}

Poller::Heard Poller::Wait(uint64_t timeout_ns) {
  const uint64_t began_ns = MonotonicNs();
  for (;;) {
    const uint32_t told = told_.exchange(0, std::memory_order_acquire);
    if (told != 0) return {.is_woken = (told & kWoken) != 0, .is_pressed = (told & kPressed) != 0};
    const uint64_t passed_ns = MonotonicNs() - began_ns;
    if (passed_ns >= timeout_ns) return {};
    const uint64_t left_ns = timeout_ns == kForever ? kForever : timeout_ns - passed_ns;
    if (has_queue_.load(std::memory_order_relaxed) && IsOfThisProcess()) {
      WaitInQueue(left_ns);
    } else {
      (void)event_.Wait(left_ns);
    }
  }
}

void Poller::WaitInQueue(uint64_t timeout_ns) {
  if (!bell_.IsOurs() || !calls_.holds(queue_.number(), bell_.number(), kBellToken)) {
    GiveUpQueue(EBADF);
    return;
  }
  PollEvent events[kMaxSources + 1];
  const int found = calls_.wait(queue_.number(), events, kMaxSources + 1, timeout_ns);
  if (found < 0 && found != -EINTR) GiveUpQueue(-found);
  for (int i = 0; i < found; ++i) {
    if (events[i].token == kBellToken) {
      HearBell();
    } else {
      HearSource(events[i]);
    }
  }
}

// Before the bits are taken: what rang earlier has set its bit by now.
void Poller::HearBell() {
  char strokes[64];
  while (ReadSome(bell_, strokes, sizeof strokes) == static_cast<long>(sizeof strokes)) {
  }
}

void Poller::HearSource(const PollEvent& event) {
  PressureSource& source = sources_[event.token];
  if (!source.descriptor.IsOurs()) {
    GiveUpQueue(EBADF);
    return;
  }
  const PollCalls::Told told = calls_.read_pressure(&source, event.is_broken);
  if (told == PollCalls::Told::kPressure) told_.fetch_or(kPressed, std::memory_order_relaxed);
  if (told == PollCalls::Told::kGone) {
    (void)calls_.remove(queue_.number(), source.descriptor.number(), Interest::kUrgent);
    source.descriptor.Close();
  }
}

// The descriptors stay until Close: somebody may be about to ring.
void Poller::GiveUpQueue(int error) {
  has_queue_.store(false, std::memory_order_relaxed);
  error_.store(error, std::memory_order_relaxed);
}

}  // namespace acre::os
