#include <sys/epoll.h>
#include <sys/event.h>

#include <cerrno>
#include <cstdint>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

namespace {

std::mutex mutex;
std::map<std::pair<int, int>, void*> contexts;  // Of (queue, descriptor). Guarded by mutex.

int Change(int queue, const struct kevent& change) {
  const int descriptor = static_cast<int>(change.ident);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = descriptor;
  int call = EPOLL_CTL_MOD;
  if ((change.flags & EV_ADD) != 0) call = EPOLL_CTL_ADD;
  if ((change.flags & EV_DELETE) != 0) call = EPOLL_CTL_DEL;
  int result = epoll_ctl(queue, call, descriptor, &event);
  if (result != 0 && errno == EEXIST) result = 0;
  const std::lock_guard lock(mutex);
  if (result == 0) contexts[{queue, descriptor}] = change.udata;
  return result;
}

int Milliseconds(const timespec* timeout) {
  constexpr int64_t kMsPerSecond = 1000;
  constexpr int64_t kNsPerMs = 1'000'000;
  if (timeout == nullptr) return -1;
  return static_cast<int>(timeout->tv_sec * kMsPerSecond + (timeout->tv_nsec + kNsPerMs - 1) / kNsPerMs);
}

}  // namespace

int kqueue() { return epoll_create1(0); }

int kevent(int queue, const struct kevent* changes, int change_count, struct kevent* events, int event_count,
           const timespec* timeout) {
  for (int i = 0; i < change_count; ++i) {
    if (Change(queue, changes[i]) != 0) return -1;
  }
  if (event_count == 0) return 0;
  std::vector<epoll_event> found(static_cast<size_t>(event_count));
  const int count = epoll_wait(queue, found.data(), event_count, Milliseconds(timeout));
  const std::lock_guard lock(mutex);
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = found[static_cast<size_t>(i)];
    const bool is_at_end = (event.events & (EPOLLHUP | EPOLLERR)) != 0;
    events[i] = {.ident = static_cast<uintptr_t>(event.data.fd),
                 .filter = EVFILT_READ,
                 .flags = static_cast<uint16_t>(is_at_end ? EV_EOF : 0),
                 .fflags = 0,
                 .data = 0,
                 .udata = contexts[{queue, event.data.fd}]};
  }
  return count;
}
