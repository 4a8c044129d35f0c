// The table of a poller's calls with kqueue(2), of macOS and the BSDs. There are no files that tell of memory pressure.

#include "os/poll_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/event.h>
#include <time.h>

#include <limits>

#include "os/clock.h"
#include "os/kqueue/poll_calls.h"

namespace acre::os {
namespace {

constexpr uint32_t kMostEvents = 8;

// The result of a call that sets errno, as the table's calls return it.
template <class Call>
int KeepErrno(Call call) {
  const int callers_errno = errno;
  const int result = call();
  const int error = errno;
  errno = callers_errno;
  return result < 0 ? -error : result;
}

// A queue's number is not inherited by a child, but survives an exec.
int Create() {
  return KeepErrno([] {
#if defined(__FreeBSD__) && defined(KQUEUE_CLOEXEC)
    return ::kqueuex(KQUEUE_CLOEXEC);
#elif defined(__NetBSD__) || defined(__OpenBSD__)
    return ::kqueue1(O_CLOEXEC);
#else
    const int queue = ::kqueue();
    if (queue >= 0) (void)::fcntl(queue, F_SETFD, FD_CLOEXEC);
    return queue;
#endif
  });
}

// Urgent data is found with the rest: no source here has any.
int Change(int queue, int descriptor, unsigned short flags, uint32_t token) {
  struct kevent change;
  EV_SET(&change, static_cast<uintptr_t>(descriptor), EVFILT_READ, flags, 0, 0, nullptr);
  change.udata = reinterpret_cast<decltype(change.udata)>(static_cast<uintptr_t>(token));
  return KeepErrno([&] { return ::kevent(queue, &change, 1, nullptr, 0, nullptr); });
}

int Add(int queue, int descriptor, Interest, uint32_t token) { return Change(queue, descriptor, EV_ADD, token); }

// A change to what is there already: refused by everything but the queue that has the file.
bool Holds(int queue, int descriptor, uint32_t token) { return Change(queue, descriptor, EV_ENABLE, token) >= 0; }

int Remove(int queue, int descriptor, Interest) { return Change(queue, descriptor, EV_DELETE, 0); }

int Wait(int queue, PollEvent* events, uint32_t most, uint64_t timeout_ns) {
  struct kevent found[kMostEvents];
  if (most > kMostEvents) most = kMostEvents;
  const bool has_limit = timeout_ns != std::numeric_limits<uint64_t>::max();
  // Some systems refuse years.
  constexpr uint64_t kMostSeconds = 24 * 60 * 60;
  const uint64_t seconds = timeout_ns / kNsPerSecond;
  const timespec timeout = {static_cast<time_t>(seconds < kMostSeconds ? seconds : kMostSeconds),
                            static_cast<long>(timeout_ns % kNsPerSecond)};
  const int count = KeepErrno(
      [&] { return ::kevent(queue, nullptr, 0, found, static_cast<int>(most), has_limit ? &timeout : nullptr); });
  for (int i = 0; i < count; ++i) {
    events[i] = {.token = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(found[i].udata)),
                 .is_broken = (found[i].flags & (EV_EOF | EV_ERROR)) != 0};
  }
  return count;
}

uint32_t OpenPressure(PressureSource*, uint32_t) { return 0; }

PollCalls::Told ReadPressure(PressureSource*, bool) { return PollCalls::Told::kGone; }

constexpr PollCalls kKqueueCalls = {
    .create = Create,
    .add = Add,
    .holds = Holds,
    .remove = Remove,
    .wait = Wait,
    .is_inherited = false,
    .open_pressure = OpenPressure,
    .read_pressure = ReadPressure,
};

}  // namespace

const PollCalls& KqueuePollCalls() { return kKqueueCalls; }

}  // namespace acre::os
