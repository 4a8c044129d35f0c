#pragma once

// The graphs that marking is measured on: conservative objects, and the words from which all of them can be reached.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace acre::bench {

struct Graph {
  std::vector<uintptr_t> roots;
  size_t objects = 0;
  size_t bytes = 0;
};

// Where objects come from: zeroed, conservative ones, of which none is freed. 0: no memory.
class ObjectSource {
 public:
  virtual ~ObjectSource() = default;
  virtual uintptr_t Allocate(size_t bytes) = 0;
};

struct Shape {
  const char* name;
  Graph (*make)(ObjectSource& heap, size_t bytes);
};

const std::vector<Shape>& Shapes();

}  // namespace acre::bench
