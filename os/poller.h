#pragma once

// What a background thread waits in: for a time to pass, for somebody's call, and for the system to say that memory runs short.
//
//   Open()          before the thread starts; with any result the rest can be used
//   Wait(timeout)   by the one thread
//   Wake(), Press() by any thread: Wait returns, or returns at once when it is next called
//   Close()         when nobody calls any more
//
// A call sets a bit, which is what counts; then it rings two bells: an event (a futex), and a socket, for a thread
// that sleeps in the queue (epoll, kqueue) with the files that tell of pressure. A bell that rings for nothing, or twice, does
// no harm. So where there is no queue, since descriptors have run out, or a sandbox forbids it, or the program has closed
// all, the event does alone: calls and time are served still, and pressure is heard of no more.
//
// A forked child has copies of the parent's descriptors, through which it would take what the parent is told: in a child all
// of it is as if it had never been opened, except that Close closes the copies.
//
// Cost: six descriptors at most; a call 2 µs.

#include <atomic>
#include <cstdint>

#include "os/descriptor.h"
#include "os/poll_calls.h"
#include "os/thread.h"

namespace acre::os {

class Poller {
 public:
  explicit Poller(const PollCalls& calls = SystemPollCalls()) : calls_(calls) {}
  ~Poller() { Close(); }
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  // 0, or why nothing will be heard of pressure: EMFILE, ENFILE, ENOSYS, EPERM. Without one: it may be that the system tells
  // nothing of pressure; see source_count. Drops calls that were not waited for.
  int Open();
  void Close();

  // Both false: the time has passed.
  struct Heard {
    bool is_woken = false;
    bool is_pressed = false;
  };
  Heard Wait(uint64_t timeout_ns);  // UINT64_MAX: no limit.

  void Wake() { Ring(kWoken); }
  // As if the system had told of pressure: for whoever learns of it in another way.
  void Press() { Ring(kPressed); }

  // 0, or the first error since Open: of Open, or EBADF when the program has closed what was opened. Any thread.
  int error() const { return error_.load(std::memory_order_relaxed); }
  // How many files are asked about pressure. By the thread that waits, or before.
  uint32_t source_count() const { return has_queue_.load(std::memory_order_relaxed) ? source_count_ : 0; }

 private:
  static constexpr uint32_t kMaxSources = 3;
  static constexpr uint32_t kBellToken = kMaxSources;  // Below it, sources' own.
  static constexpr uint32_t kWoken = 1;
  static constexpr uint32_t kPressed = 2;

  bool IsOfThisProcess() const;
  int OpenQueue();
  void AddSources();
  void Ring(uint32_t bit);
  void WaitInQueue(uint64_t timeout_ns);
  void HearBell();
  void HearSource(const PollEvent& event);
  void GiveUpQueue(int error);

  const PollCalls& calls_;
  std::atomic<uint32_t> told_{0};        // Bits that Wait has not returned yet. Anybody sets, the waiting thread takes.
  Event event_;
  std::atomic<bool> has_queue_{false};   // Written by Open, Close and the waiting thread.
  std::atomic<int> error_{0};
  // Written by Open and Close.
  int32_t opener_ = 0;                   // The process.
  Descriptor queue_;
  Descriptor bell_;                      // Where it is heard, and where it is rung.
  Descriptor rope_;
  PressureSource sources_[kMaxSources];  // Of the waiting thread, between Open and Close.
  uint32_t source_count_ = 0;
};

}  // namespace acre::os
