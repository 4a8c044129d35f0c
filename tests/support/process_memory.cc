#include "tests/support/process_memory.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

// Reads with plain system calls: a measurement that allocates would measure itself, and it is used in children whose
// memory is exhausted.

namespace acre::testing {
namespace {

constexpr size_t kKiB = 1024;

// The number after `key` in a file of the kernel's, or 0.
size_t NumberAfter(const char* path, const char* key) {
  const int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return 0;
  char text[8192];
  const ssize_t got = read(descriptor, text, sizeof text - 1);
  close(descriptor);
  if (got <= 0) return 0;
  text[got] = '\0';
  const char* found = std::strstr(text, key);
  return found == nullptr ? 0 : std::strtoull(found + std::strlen(key), nullptr, 10);
}

}  // namespace

size_t ResidentBytes() {
  const size_t exact = NumberAfter("/proc/self/smaps_rollup", "\nRss:");
  return kKiB * (exact != 0 ? exact : NumberAfter("/proc/self/status", "\nVmRSS:"));
}

size_t VirtualBytes() { return kKiB * NumberAfter("/proc/self/status", "\nVmSize:"); }

size_t MappingCount() {
  const int descriptor = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return 0;
  size_t lines = 0;
  char text[8192];
  ssize_t got = 0;
  while ((got = read(descriptor, text, sizeof text)) > 0) {
    for (ssize_t i = 0; i < got; ++i) lines += text[i] == '\n';
  }
  close(descriptor);
  return lines;
}

size_t MappingLimit() { return NumberAfter("/proc/sys/vm/max_map_count", ""); }

}  // namespace acre::testing
