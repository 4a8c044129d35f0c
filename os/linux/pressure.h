#pragma once

// The kernel's files that tell of memory pressure.
//
// A trigger (Linux 5.2; Documentation/accounting/psi.rst): written into /proc/pressure/memory, or a group's memory.pressure,
// it makes poll say POLLPRI when tasks have been waiting for memory for a part of a window: of the machine, of the group.
// Since Linux 6.5 it needs no privilege if the window is a multiple of 2 s; before, CAP_SYS_RESOURCE.
//
// A group's memory.events (v2) counts how often it came to its limits. A change is POLLPRI too, with POLLERR always, until
// the file is read.
//
// What there is not, or may not be opened, is done without.

#include <cstdint>

#include "os/linux/cgroup.h"
#include "os/linux/text.h"
#include "os/poll_calls.h"

namespace acre::os {

struct PressureFiles {
  const char* machine = "/proc/pressure/memory";
  CgroupFiles groups;
};

// In this order: the machine's trigger, that of this process's group, the events of the lowest group that has a limit.
uint32_t OpenPressureSources(const PressureFiles& files, PressureSource* sources, uint32_t most);

PollCalls::Told ReadPressureSource(PressureSource* source, bool is_broken);

// Of memory.events: how often the group was slowed down (high), was at its limit (max), and found no memory (oom).
uint64_t CountPressureEvents(Text text);

}  // namespace acre::os
