#pragma once

// Where the control groups of this process are, and what their files say. Everything but ForEachCgroup and what calls it
// is a pure function over text; those two are told where the kernel's files are, so that tests can give them the files of
// other machines.
//
// /proc/self/cgroup has one line per hierarchy, "4:memory:/some/path" (v1) or "0::/some/path" (v2): paths within the
// hierarchy. /proc/self/mountinfo says which part of a hierarchy is mounted where. A container often sees only its own
// part: then the root of the mount is a prefix of the path, or the path has ".." in it, which cannot be followed.

#include <cstddef>
#include <cstdint>

#include "os/linux/text.h"

namespace acre::os {

inline constexpr const char* kCgroupV2 = "";  // In place of a controller: all of v2 is one hierarchy.

// The path in a line of /proc/self/cgroup if the line is about this controller.
bool ParseCgroupLine(Text line, const char* controller, Text* path);

struct CgroupMount {
  Text root;         // The directory of the hierarchy that is mounted.
  Text mount_point;  // With space, tab, line feed and backslash as \ooo.
};

// The mount in a line of /proc/self/mountinfo if it is a cgroup mount of this controller.
bool ParseMountLine(Text line, const char* controller, CgroupMount* mount);

// memory.max or memory.limit_in_bytes: SIZE_MAX for "max", v1's "about 2^63", and what is not understood.
size_t ParseMemoryLimit(Text text);
size_t ReadMemoryLimit(const char* path);  // SIZE_MAX also for a file that there is not, and for null.

// CPUs for a quota of microseconds per period, rounded up; UINT32_MAX for no quota. At least 1.
uint32_t CpusOfQuota(uint64_t quota_us, uint64_t period_us);
uint32_t ParseCpuMax(Text text);  // cpu.max: "max 100000" or "150000 100000".

// The path of a group's directory, which can climb to its parents within the mount.
class CgroupDirectory {
 public:
  // False if it does not fit.
  bool Set(const CgroupMount& mount, Text path);
  // Whether the path lies in the part of the hierarchy that is mounted there. Set takes the mount point if it does not.
  static bool Covers(const CgroupMount& mount, Text path);
  // False, and no change, at the mount point.
  bool Climb();
  // "directory/name", terminated; null if it does not fit. Valid until the next call.
  const char* File(const char* name);

 private:
  static constexpr size_t kCapacity = 1024;

  bool Add(char c);

  char path_[kCapacity];
  size_t mount_point_bytes_ = 0;
  size_t bytes_ = 0;
};

struct CgroupFiles {
  const char* groups = "/proc/self/cgroup";
  const char* mounts = "/proc/self/mountinfo";
};

// Calls visit(context, directory) for the group of this process and then for each of its parents that can be seen. A
// hierarchy may be mounted several times: a mount that covers the group goes before one that does not.
void ForEachCgroup(const CgroupFiles& files, const char* controller, void* context,
                   void (*visit)(void* context, CgroupDirectory* directory));

// The least limit on the group and its parents, where the kernel would slow us down or kill us: memory.max and memory.high,
// and memory.limit_in_bytes of v1. SIZE_MAX if there is none.
size_t LeastCgroupMemoryBytes(const CgroupFiles& files);

}  // namespace acre::os
