#pragma once

// As much of kqueue(2) on Linux as os/kqueue uses, so that it is built and tested there: over epoll, for tests only. As on
// the BSDs a queue is not close-on-exec by itself; unlike there a forked child has it.

#include <sys/types.h>
#include <time.h>

#include <cstdint>

struct kevent {
  uintptr_t ident;
  int16_t filter;
  uint16_t flags;
  uint32_t fflags;
  int64_t data;
  void* udata;
};

// NOLINTBEGIN: names and form are the system's.
#define EVFILT_READ (-1)
#define EV_ADD 0x0001
#define EV_DELETE 0x0002
#define EV_ENABLE 0x0004
#define EV_ERROR 0x4000
#define EV_EOF 0x8000
#define EV_SET(event, i, f, fl, ff, d, u) \
  (*(event) = {.ident = (i), .filter = (f), .flags = static_cast<uint16_t>(fl), .fflags = (ff), .data = (d), .udata = (u)})
// NOLINTEND

int kqueue();
int kevent(int queue, const struct kevent* changes, int change_count, struct kevent* events, int event_count,
           const timespec* timeout);
