#pragma once

// One process that builds a graph of a given shape in one collector's heap and collects it some times: what
// mark_compare.py runs for each contender.
//
//   mark_probe_NAME --shape TEXT [--mib 1024] [--collections 3] [--threads 1]
//   mark_probe_NAME --shapes                                                        names all shapes, one a line
//
// Prints a line for each collection: objects, bytes, nanoseconds of CPU that marking took, of the stop, of marking by the
// clock on the wall, and threads that marked. Nothing is freed; while the graph is built nothing is collected; one collection
// before the first warms up.

#include <cstdint>
#include <vector>

#include "bench/micro/mark_shapes.h"

namespace acre::bench {

struct Collection {
  uint64_t marking_cpu_ns = 0;
  uint64_t marking_ns = 0;
  uint64_t stop_ns = 0;
  uint32_t threads = 0;
};

class ProbeHeap : public ObjectSource {
 public:
  // The words are roots from now on; they stay in place.
  virtual void AddRoots(const std::vector<uintptr_t>& roots) = 0;
  // `objects`: how many there are, all of them reachable.
  virtual Collection Collect(size_t objects) = 0;
};

struct ProbeOptions {
  const char* shape = "";
  size_t mib = 1024;
  size_t collections = 3;
  uint32_t threads = 1;
};

// Ends the process on a wrong command line, and after --shapes.
ProbeOptions ParseProbe(int count, char** words);

// The exit status.
int RunProbe(const ProbeOptions& options, ProbeHeap& heap);

}  // namespace acre::bench
