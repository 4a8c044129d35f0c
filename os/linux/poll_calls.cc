// The table of a poller's calls with epoll(7).

#include "os/poll_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>

#include <limits>

#include "os/clock.h"
#include "os/linux/pressure.h"
#include "os/linux/system_call.h"

namespace acre::os {
namespace {

constexpr uint32_t kMostEvents = 8;

int Create() {
  const long queue = SystemCall(SYS_epoll_create1, int{EPOLL_CLOEXEC});
  if (queue != -ENOSYS) return static_cast<int>(queue);
#if defined(SYS_epoll_create)  // No architecture newer than epoll_create1 has it.
  // Before Linux 2.6.27, and in sandboxes that were made then. The number is a size, and unused.
  const long plain = SystemCall(SYS_epoll_create, 1);
  if (plain >= 0) (void)SystemCall(SYS_fcntl, plain, F_SETFD, FD_CLOEXEC);
  return static_cast<int>(plain);
#else
  return -ENOSYS;
#endif
}

epoll_event EventFor(Interest interest, uint32_t token) {
  epoll_event event{};
  event.events = interest == Interest::kReadable ? EPOLLIN : EPOLLPRI;  // Errors are told of without being asked for.
  event.data.u32 = token;
  return event;
}

int Add(int queue, int descriptor, Interest interest, uint32_t token) {
  epoll_event event = EventFor(interest, token);
  const long result = SystemCall(SYS_epoll_ctl, queue, EPOLL_CTL_ADD, descriptor, &event);
  return result == -EEXIST ? 0 : static_cast<int>(result);
}

// A change to what is there already: refused by everything but the queue that has the file.
bool Holds(int queue, int descriptor, uint32_t token) {
  epoll_event event = EventFor(Interest::kReadable, token);
  return SystemCall(SYS_epoll_ctl, queue, EPOLL_CTL_MOD, descriptor, &event) == 0;
}

int Remove(int queue, int descriptor, Interest) {
  epoll_event event{};  // Not null: a fault before Linux 2.6.9.
  return static_cast<int>(SystemCall(SYS_epoll_ctl, queue, EPOLL_CTL_DEL, descriptor, &event));
}

// Rounded up, so that a wait is not too short; -1 waits for ever.
int MillisecondsFor(uint64_t timeout_ns) {
  if (timeout_ns == std::numeric_limits<uint64_t>::max()) return -1;
  constexpr uint64_t kMost = std::numeric_limits<int>::max();
  const uint64_t ms = timeout_ns / kNsPerMs + (timeout_ns % kNsPerMs != 0 ? 1 : 0);
  return static_cast<int>(ms < kMost ? ms : kMost);
}

// epoll_pwait without a mask is epoll_wait, which newer architectures lack.
int Wait(int queue, PollEvent* events, uint32_t most, uint64_t timeout_ns) {
  epoll_event found[kMostEvents];
  if (most > kMostEvents) most = kMostEvents;
  constexpr size_t kMaskBytes = 8;
  const long count =
      SystemCall(SYS_epoll_pwait, queue, found, most, MillisecondsFor(timeout_ns), nullptr, kMaskBytes);
  for (long i = 0; i < count; ++i) {
    events[i] = {.token = found[i].data.u32, .is_broken = (found[i].events & (EPOLLERR | EPOLLHUP)) != 0};
  }
  return static_cast<int>(count);
}

uint32_t OpenPressure(PressureSource* sources, uint32_t most) { return OpenPressureSources({}, sources, most); }

constexpr PollCalls kEpollCalls = {
    .create = Create,
    .add = Add,
    .holds = Holds,
    .remove = Remove,
    .wait = Wait,
    .is_inherited = true,
    .open_pressure = OpenPressure,
    .read_pressure = ReadPressureSource,
};

}  // namespace

const PollCalls& SystemPollCalls() { return kEpollCalls; }

}  // namespace acre::os
