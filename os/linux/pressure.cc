#include "os/linux/pressure.h"

#include <errno.h>
#include <fcntl.h>

#include <limits>

#include "os/linux/system_call.h"

namespace acre::os {
namespace {

using Told = PollCalls::Told;

// Some task waits for memory for 150 ms of 2 s: reclaim has become work, and nothing is lost yet. The end of the text is a
// byte that the kernel overwrites.
constexpr char kTrigger[] = "some 150000 2000000";
constexpr size_t kEventsBytes = 512;  // Six lines of today's kernels are about 80.

struct SourceList {
  PressureSource* sources;
  uint32_t most;
  uint32_t count;

  // Takes the descriptor over.
  bool Add(long descriptor, bool is_counter) {
    if (descriptor < 0) return false;
    PressureSource source;
    if (count == most) {
      CloseNumber(static_cast<int>(descriptor));
      return false;
    }
    if (source.descriptor.Take(static_cast<int>(descriptor)) != 0) return false;
    source.is_counter = is_counter;
    sources[count++] = source;
    return true;
  }
  void DropLast() { sources[--count].descriptor.Close(); }
};

long OpenFile(const char* path, int flags) {
  if (path == nullptr) return -ENAMETOOLONG;
  return SystemCall(SYS_openat, AT_FDCWD, path, flags | O_NONBLOCK | O_CLOEXEC, 0);
}

void AddTrigger(const char* path, SourceList* list) {
  const long file = OpenFile(path, O_RDWR);
  if (!list->Add(file, false)) return;
  const int number = list->sources[list->count - 1].descriptor.number();
  if (SystemCall(SYS_write, number, kTrigger, sizeof kTrigger) != static_cast<long>(sizeof kTrigger)) list->DropLast();
}

bool ReadEvents(const Descriptor& file, uint64_t* events) {
  char text[kEventsBytes];
  const long bytes = SystemCall(SYS_pread64, file.number(), text, sizeof text, 0);
  if (bytes < 0) return false;
  *events = CountPressureEvents({text, static_cast<size_t>(bytes)});
  return true;
}

void AddCounter(const char* path, SourceList* list) {
  if (!list->Add(OpenFile(path, O_RDONLY), true)) return;
  PressureSource& source = list->sources[list->count - 1];
  if (!ReadEvents(source.descriptor, &source.events)) list->DropLast();
}

struct GroupVisit {
  SourceList* list;
  bool is_own;       // The first group is the process's.
  bool has_counter;
};

bool HasLimit(CgroupDirectory* directory) {
  constexpr size_t kNone = std::numeric_limits<size_t>::max();
  return ReadMemoryLimit(directory->File("memory.max")) != kNone || ReadMemoryLimit(directory->File("memory.high")) != kNone;
}

void VisitGroup(void* context, CgroupDirectory* directory) {
  auto& visit = *static_cast<GroupVisit*>(context);
  if (visit.is_own) AddTrigger(directory->File("memory.pressure"), visit.list);
  visit.is_own = false;
  if (visit.has_counter || !HasLimit(directory)) return;
  visit.has_counter = true;
  AddCounter(directory->File("memory.events"), visit.list);
}

}  // namespace

uint32_t OpenPressureSources(const PressureFiles& files, PressureSource* sources, uint32_t most) {
  SourceList list{.sources = sources, .most = most, .count = 0};
  AddTrigger(files.machine, &list);
  GroupVisit visit{.list = &list, .is_own = true, .has_counter = false};
  ForEachCgroup(files.groups, kCgroupV2, &visit, VisitGroup);
  return list.count;
}

Told ReadPressureSource(PressureSource* source, bool is_broken) {
  if (!source->is_counter) return is_broken ? Told::kGone : Told::kPressure;
  uint64_t events;
  if (!ReadEvents(source->descriptor, &events)) return Told::kGone;  // The group is no more.
  const bool has_more = events > source->events;
  source->events = events;
  return has_more ? Told::kPressure : Told::kNothing;
}

uint64_t CountPressureEvents(Text text) {
  uint64_t sum = 0;
  while (!text.empty()) {
    Text line = CutUntil('\n', &text);
    const Text name = CutUntil(' ', &line);
    uint64_t count;
    if (!TextEquals(name, "high") && !TextEquals(name, "max") && !TextEquals(name, "oom")) continue;
    if (ParseNumber(line, &count)) sum += count;
  }
  return sum;
}

}  // namespace acre::os
