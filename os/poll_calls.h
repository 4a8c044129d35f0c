#pragma once

// The system calls a poller is made of, as a table: os/linux provides those with epoll, os/kqueue those with kqueue. Calls
// return 0, or something of at least 0, or the negated error number. They keep errno.

#include <cstddef>
#include <cstdint>

#include "os/descriptor.h"

namespace acre::os {

// A file that tells of memory pressure. Zeroed: none.
struct PressureSource {
  Descriptor descriptor;
  uint64_t events = 0;  // How many it has told of, if it counts them.
  bool is_counter = false;
};

// What a wait found: the number under which the file was added, and whether the file is broken.
struct PollEvent {
  uint32_t token;
  bool is_broken;
};

enum class Interest : uint8_t { kReadable, kUrgent };

struct PollCalls {
  // A new queue, close-on-exec.
  int (*create)();
  // Adds a file; changes nothing if it is there already with the same interest and token.
  int (*add)(int queue, int descriptor, Interest interest, uint32_t token);
  // Whether the number is still the queue to which the file was added.
  bool (*holds)(int queue, int descriptor, uint32_t token);
  int (*remove)(int queue, int descriptor, Interest interest);
  // Waits until something is found or the time has passed (UINT64_MAX: no limit), or a signal was handled (-EINTR). Returns
  // the number of events, 0 after the time.
  int (*wait)(int queue, PollEvent* events, uint32_t most, uint64_t timeout_ns);
  // Whether a forked child has the queue's number open (and shares the queue with its parent).
  bool is_inherited;

  // Opens what there is, at most so many. Returns their number.
  uint32_t (*open_pressure)(PressureSource* sources, uint32_t most);
  // Something was found of a source. Whether that means pressure; or it is of no use any more.
  enum class Told : uint8_t { kNothing, kPressure, kGone };
  Told (*read_pressure)(PressureSource* source, bool is_broken);
};

// Those of this system.
const PollCalls& SystemPollCalls();

}  // namespace acre::os
