#pragma once

// Which descriptors a test process has open, what programs that it starts inherit, and what other code does to descriptors
// that it has not opened.

#include <dirent.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <set>
#include <vector>

namespace acre::testing {

inline std::set<int> OpenDescriptors() {
  std::set<int> numbers;
  DIR* directory = opendir("/proc/self/fd");
  while (const dirent* entry = readdir(directory)) {
    if (entry->d_name[0] != '.') numbers.insert(std::atoi(entry->d_name));
  }
  numbers.erase(dirfd(directory));
  closedir(directory);
  return numbers;
}

inline std::vector<int> OpenedSince(const std::set<int>& before) {
  const std::set<int> now = OpenDescriptors();
  std::vector<int> opened;
  std::set_difference(now.begin(), now.end(), before.begin(), before.end(), std::back_inserter(opened));
  return opened;
}

// As programs do that become daemons.
inline void CloseOpenedSince(const std::set<int>& before) {
  for (const int number : OpenedSince(before)) close(number);
}

// What a test has inherited itself.
inline void CloseInherited() { (void)close_range(3, ~0u, 0); }

inline bool IsOpen(int number) { return fcntl(number, F_GETFD) >= 0; }

// Where /proc cannot be read, since nothing can be opened.
inline int CountOpen(int limit) {
  int count = 0;
  for (int number = 0; number < limit; ++number) count += IsOpen(number) ? 1 : 0;
  return count;
}

// The exit status of a child, or -1.
inline int WaitForExit(pid_t child) {
  int status;
  return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// How many descriptors a program has that is started now, or -1. `walk` is the path of descriptor_walk.
inline int CountInherited(const char* walk) {
  char* const arguments[] = {const_cast<char*>(walk), nullptr};
  pid_t child;
  if (posix_spawn(&child, walk, nullptr, nullptr, arguments, environ) != 0) return -1;
  return WaitForExit(child);
}

// The same by fork and exec, between which the child has copies of all.
inline int CountInheritedByFork(const char* walk) {
  const pid_t child = fork();
  if (child < 0) return -1;
  if (child == 0) {
    execl(walk, walk, nullptr);
    _exit(101);
  }
  return WaitForExit(child);
}

}  // namespace acre::testing
