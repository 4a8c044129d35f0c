// Boehm's collector as Debian builds it, with its defaults: see mark_probe.h.

#define GC_THREADS
#include <gc.h>
#include <time.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "bench/collect/mark_probe.h"

namespace {

using acre::bench::Collection;

uint64_t ReadNs(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

// What its events tell; the library takes a plain function.
struct Times {
  uint64_t stop_from_ns;
  uint64_t mark_from_ns;
  uint64_t cpu_from_ns;
  Collection collection;
} times;

void OnEvent(GC_EventType event) {
  switch (event) {
    case GC_EVENT_PRE_STOP_WORLD:
      times.stop_from_ns = ReadNs(CLOCK_MONOTONIC);
      break;
    case GC_EVENT_MARK_START:
      times.mark_from_ns = ReadNs(CLOCK_MONOTONIC);
      times.cpu_from_ns = ReadNs(CLOCK_PROCESS_CPUTIME_ID);
      break;
    case GC_EVENT_MARK_END:
      times.collection.marking_cpu_ns = ReadNs(CLOCK_PROCESS_CPUTIME_ID) - times.cpu_from_ns;
      times.collection.marking_ns = ReadNs(CLOCK_MONOTONIC) - times.mark_from_ns;
      break;
    case GC_EVENT_POST_START_WORLD:
      times.collection.stop_ns = ReadNs(CLOCK_MONOTONIC) - times.stop_from_ns;
      break;
    default:
      break;
  }
}

class BoehmHeap : public acre::bench::ProbeHeap {
 public:
  explicit BoehmHeap(uint32_t threads) {
    setenv("GC_MARKERS", std::to_string(threads).c_str(), 1);
    GC_INIT();
    GC_start_mark_threads();
    GC_disable();  // Until the graph is built.
    GC_set_on_collection_event(&OnEvent);
  }

  uintptr_t Allocate(size_t bytes) override { return reinterpret_cast<uintptr_t>(GC_malloc(bytes)); }

  void AddRoots(const std::vector<uintptr_t>& roots) override {
    GC_enable();
    GC_add_roots(const_cast<uintptr_t*>(roots.data()), const_cast<uintptr_t*>(roots.data() + roots.size()));
  }

  Collection Collect(size_t objects) override {
    times = {};
    GC_gcollect();
    GC_prof_stats_s stats;
    GC_get_prof_stats(&stats, sizeof stats);
    if (stats.heapsize_full - stats.free_bytes_full < objects * 16) {
      std::fprintf(stderr, "it has freed what is reachable\n");
      std::exit(1);
    }
    times.collection.threads = static_cast<uint32_t>(GC_get_parallel()) + 1;
    return times.collection;
  }
};

}  // namespace

int main(int count, char** words) {
  const acre::bench::ProbeOptions options = acre::bench::ParseProbe(count, words);
  BoehmHeap heap(options.threads);
  return RunProbe(options, heap);
}
