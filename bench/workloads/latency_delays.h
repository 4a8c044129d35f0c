#pragma once

// What a thread's batches say about its delays: see latency.cc's help.

#include <fcntl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <vector>

namespace latency {

inline uint64_t ClockNs(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

inline uint64_t NowNs() { return ClockNs(CLOCK_MONOTONIC); }

// What the kernel has counted of the calling thread.
struct ThreadUse {
  uint64_t cpu_ns = 0;
  uint64_t sleeps = 0;
  uint64_t faults = 0;

  static ThreadUse Now() {
    rusage usage{};
    getrusage(RUSAGE_THREAD, &usage);
    const auto ns = [](const timeval& time) {
      return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_usec) * 1000;
    };
    return {ns(usage.ru_utime) + ns(usage.ru_stime), static_cast<uint64_t>(usage.ru_nvcsw),
            static_cast<uint64_t>(usage.ru_minflt)};
  }
};

inline ThreadUse operator-(const ThreadUse& a, const ThreadUse& b) {
  return {a.cpu_ns - b.cpu_ns, a.sleeps - b.sleeps, a.faults - b.faults};
}

// For how long the thread that made it was ready to run, and had no CPU. 0 where the kernel does not count that.
class CpuQueue {
 public:
  CpuQueue() : file_(open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC)) {}
  ~CpuQueue() {
    if (file_ >= 0) close(file_);
  }
  CpuQueue(const CpuQueue&) = delete;
  CpuQueue& operator=(const CpuQueue&) = delete;

  uint64_t Ns() const {
    char text[64];
    const ssize_t length = file_ < 0 ? 0 : pread(file_, text, sizeof text - 1, 0);
    if (length <= 0) return 0;
    text[length] = '\0';
    char* behind_run_time;
    (void)std::strtoull(text, &behind_run_time, 10);
    return std::strtoull(behind_run_time, nullptr, 10);
  }

 private:
  const int file_;
};

using Times = std::deque<uint64_t>;  // It grows without moving what is there.

struct LongBatch {
  uint64_t at_ns = 0;  // Its beginning, since the window's.
  uint64_t ns = 0;
  uint64_t own_ns = 0;
  ThreadUse use;
};

// The batches of one thread, one right after the other from the window's beginning on; made by this thread.
class Batches {
 public:
  explicit Batches(uint64_t now_ns) : began_ns_(now_ns), last_ns_(now_ns) {}

  uint64_t End() {
    const uint64_t now_ns = NowNs();
    const ThreadUse use = ThreadUse::Now();
    const uint64_t ns = now_ns - last_ns_;
    uint64_t own_ns = ns;
    if (ns >= kQueuedNs) {
      const uint64_t queued_ns = queue_.Ns();
      own_ns -= std::min(ns, queued_ns - last_queued_ns_);
      last_queued_ns_ = queued_ns;
    }
    times_ns_.push_back(ns);
    own_times_ns_.push_back(own_ns);
    if (own_ns >= kLongNs) long_.push_back({last_ns_ - began_ns_, ns, own_ns, use - last_use_});
    last_ns_ = now_ns;
    last_use_ = use;
    return now_ns;
  }

  // By the clock, and less the time in which the thread waited for a CPU.
  const Times& times_ns() const { return times_ns_; }
  const Times& own_times_ns() const { return own_times_ns_; }
  const std::vector<LongBatch>& long_batches() const { return long_; }
  size_t record_bytes() const { return (times_ns_.size() + own_times_ns_.size()) * sizeof(uint64_t); }

 private:
  static constexpr uint64_t kQueuedNs = 50'000;  // A shorter batch does not look: that takes a microsecond.
  static constexpr uint64_t kLongNs = 500'000;

  const CpuQueue queue_;
  const uint64_t began_ns_;
  uint64_t last_ns_;
  uint64_t last_queued_ns_ = queue_.Ns();
  ThreadUse last_use_ = ThreadUse::Now();
  Times times_ns_;
  Times own_times_ns_;
  std::vector<LongBatch> long_;
};

// `sorted` is not empty; a share of 0.5 is the median.
inline uint64_t Quantile(const std::vector<uint64_t>& sorted, double share) {
  const double rank = std::ceil(share * static_cast<double>(sorted.size()));
  return sorted[std::clamp<size_t>(static_cast<size_t>(rank), 1, sorted.size()) - 1];
}

// The least share of any window of that length in which the thread got on. What a batch took beyond the usual is lost,
// and counts as lost at its end. The worst window begins with a loss or ends with one.
inline double MinimalUtilisation(const Times& batches_ns, uint64_t usual_ns, uint64_t window_ns) {
  struct Loss {
    uint64_t base_ns;
    uint64_t limit_ns;
    uint64_t lost_before_ns;
  };
  std::vector<Loss> losses;
  uint64_t now_ns = 0;
  uint64_t lost_ns = 0;
  for (const uint64_t ns : batches_ns) {
    now_ns += ns;
    if (ns <= usual_ns) continue;
    losses.push_back({now_ns - (ns - usual_ns), now_ns, lost_ns});
    lost_ns += ns - usual_ns;
  }
  if (now_ns <= window_ns) return 1 - static_cast<double>(lost_ns) / static_cast<double>(std::max<uint64_t>(now_ns, 1));
  // What was lost before a time, for times that only rise.
  const auto lost_until = [&losses](size_t* index, uint64_t time_ns) {
    while (*index + 1 < losses.size() && losses[*index + 1].base_ns <= time_ns) ++*index;
    const Loss& loss = losses[*index];
    const uint64_t of_this_ns = std::clamp(time_ns, loss.base_ns, loss.limit_ns) - loss.base_ns;
    return loss.lost_before_ns + of_this_ns;
  };
  uint64_t most_ns = 0;
  size_t behind = 0;
  size_t ahead = 0;
  for (const Loss& loss : losses) {
    const uint64_t from_ns = std::min(loss.base_ns, now_ns - window_ns);
    most_ns = std::max(most_ns, lost_until(&ahead, from_ns + window_ns) - lost_until(&behind, from_ns));
  }
  behind = ahead = 0;
  for (const Loss& loss : losses) {
    const uint64_t to_ns = std::max(loss.limit_ns, window_ns);
    most_ns = std::max(most_ns, lost_until(&ahead, to_ns) - lost_until(&behind, to_ns - window_ns));
  }
  return 1 - static_cast<double>(most_ns) / static_cast<double>(window_ns);
}

}  // namespace latency
