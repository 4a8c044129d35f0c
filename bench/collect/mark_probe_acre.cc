// The collector's core on the kernel's memory: see mark_probe.h.

#include <cstdio>
#include <cstdlib>
#include <cstdint>
#include <limits>
#include <memory>

#include "allocator/collect/collector.h"
#include "bench/collect/mark_probe.h"
#include "os/memory_calls.h"

namespace {

using acre::bench::Collection;

class AcreHeap : public acre::bench::ProbeHeap {
 public:
  explicit AcreHeap(uint32_t threads)
      : heap_(acre::os::KernelMemoryCalls(), std::numeric_limits<size_t>::max(), *table_),
        collector_(heap_, Options(threads)) {
    if (!collector_.Prepare() || !collector_.Attach(mutator_)) std::abort();
  }
  ~AcreHeap() override { collector_.Detach(mutator_); }

  uintptr_t Allocate(size_t bytes) override {
    return reinterpret_cast<uintptr_t>(collector_.Allocate(mutator_, acre::kConservative, bytes));
  }

  void AddRoots(const std::vector<uintptr_t>& roots) override {
    range_.base = roots.data();
    range_.limit = roots.data() + roots.size();
    collector_.roots().Add(range_);
  }

  Collection Collect(size_t objects) override {
    collector_.Collect(mutator_);
    const acre::CycleStats stats = collector_.stats();
    if (stats.live_objects != objects) {
      std::fprintf(stderr, "marked %zu of %zu objects\n", stats.live_objects, objects);
      std::exit(1);
    }
    const auto us = [](uint64_t ns) { return static_cast<unsigned long long>(ns / 1000); };
    std::fprintf(stderr, "stop %llu us: stopping %llu, clearing %llu, marking %llu, counting %llu\n", us(stats.last_stop_ns),
                 us(stats.last_stopping_ns), us(stats.last_clearing_ns), us(stats.last_marking_ns),
                 us(stats.last_counting_ns));
    return {.marking_cpu_ns = stats.last_marking_cpu_ns,
            .marking_ns = stats.last_marking_ns,
            .stop_ns = stats.last_stop_ns,
            .threads = stats.last_markers};
  }

 private:
  static acre::CollectorOptions Options(uint32_t threads) {
    acre::CollectorOptions options;
    options.mark_workers = threads;
    options.min_trigger_bytes = SIZE_MAX;
    return options;
  }

  std::unique_ptr<acre::ChunkTable> table_ = std::make_unique<acre::ChunkTable>();
  acre::SpanHeap heap_;
  acre::Collector collector_;
  acre::CollectedMutator mutator_;
  acre::RootRange range_{};
};

}  // namespace

int main(int count, char** words) {
  const acre::bench::ProbeOptions options = acre::bench::ParseProbe(count, words);
  AcreHeap heap(options.threads);
  return RunProbe(options, heap);
}
