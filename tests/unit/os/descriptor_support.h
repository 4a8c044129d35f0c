#pragma once

// Which descriptors a test process has open.

#include <dirent.h>
#include <fcntl.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <set>
#include <vector>

namespace acre::os {

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

inline bool IsOpen(int number) { return fcntl(number, F_GETFD) >= 0; }

// Where /proc cannot be read, since nothing can be opened.
inline int CountOpen(int limit) {
  int count = 0;
  for (int number = 0; number < limit; ++number) count += IsOpen(number) ? 1 : 0;
  return count;
}

}  // namespace acre::os
