#include "bench/collect/mark_probe.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace acre::bench {

ProbeOptions ParseProbe(int count, char** words) {
  ProbeOptions options;
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    if (word == "--shapes") {
      for (const Shape& shape : Shapes()) std::puts(shape.name);
      std::exit(0);
    }
    const char* value = i + 1 < count ? words[++i] : "";
    if (word == "--shape") options.shape = value;
    else if (word == "--mib") options.mib = std::strtoull(value, nullptr, 10);
    else if (word == "--collections") options.collections = std::strtoull(value, nullptr, 10);
    else if (word == "--threads") options.threads = static_cast<uint32_t>(std::strtoul(value, nullptr, 10));
    else {
      std::fprintf(stderr, "mark_probe: unknown option %s\n", word.c_str());
      std::exit(2);
    }
  }
  return options;
}

int RunProbe(const ProbeOptions& options, ProbeHeap& heap) {
  for (const Shape& shape : Shapes()) {
    if (std::strcmp(shape.name, options.shape) != 0) continue;
    const Graph graph = shape.make(heap, options.mib << 20);
    heap.AddRoots(graph.roots);
    (void)heap.Collect(graph.objects);
    for (size_t i = 0; i < options.collections; ++i) {
      const Collection collection = heap.Collect(graph.objects);
      std::printf("%zu %zu %llu %llu %llu %u\n", graph.objects, graph.bytes,
                  static_cast<unsigned long long>(collection.marking_cpu_ns),
                  static_cast<unsigned long long>(collection.stop_ns),
                  static_cast<unsigned long long>(collection.marking_ns), collection.threads);
    }
    return 0;
  }
  std::fprintf(stderr, "mark_probe: no shape is named %s\n", options.shape);
  return 2;
}

}  // namespace acre::bench
