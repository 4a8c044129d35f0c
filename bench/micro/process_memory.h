// The memory of this process as the kernel counts it, read without the heap.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace acre::bench {

[[noreturn]] inline void Fail(const char* what) {
  std::fprintf(stderr, "%s\n", what);
  std::exit(1);
}

inline int64_t NowNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

// Resident memory in MiB. /proc/self/smaps_rollup counts pages exactly; statm may lag by some pages for each CPU.
inline double ResidentMib() {
  char text[256];
  const int file = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
  if (file < 0) Fail("cannot read /proc/self/smaps_rollup");
  const ssize_t length = read(file, text, sizeof text - 1);
  close(file);
  if (length <= 0) Fail("cannot read /proc/self/smaps_rollup");
  text[length] = '\0';
  unsigned long kib = 0;
  const char* line = text;
  while (*line != '\0' && *line != '\n') ++line;  // The first line names the range of addresses.
  if (std::sscanf(line, " Rss: %lu kB", &kib) != 1) Fail("/proc/self/smaps_rollup has no Rss");
  return static_cast<double>(kib) / 1024;
}

inline void* MapApart(size_t bytes) {
  void* base = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) Fail("cannot map memory");
  return base;
}

inline void UnmapApart(void* base, size_t bytes) {
  if (munmap(base, bytes) != 0) Fail("cannot unmap memory");
}

}  // namespace acre::bench
