// Marking: graphs of ten shapes, marked by a plain stack and by waves, with one thread and with two.
//
//   mark_bench [--mib 128] [--repeat 5] [--shape TEXT] [--body NAME] [--threads 2] [--small-pages] [--huge] [--bare]
//
// Prints for each shape MB of live objects per CPU second (nanoseconds an object), medians; for several threads also the
// wall time's gain over one. Contenders take turns, so that a disturbance hits all of them. Each run's marks are counted:
// all objects, or the program stops.
//
// With --huge there is an object with chunks of its own in the heap, not reached, so that not every word in the heap's
// range lies in a chunk of pages. With --bare the objects of shapes of one size are also marked by waves and by a plain
// loop that know no heap (mark_bare.h), by one thread: two columns more before the gains.

#include <sys/mman.h>
#include <time.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "allocator/collect/marker.h"
#include "arch/cpu.h"
#include "bench/micro/mark_bare.h"
#include "bench/micro/mark_shapes.h"
#include "tests/support/allocator/mark_heap.h"

namespace {

using acre::CountMarks;
using acre::Marker;
using acre::Resolved;
using acre::bench::BarePlain;
using acre::bench::BareWaves;
using acre::bench::Graph;
using acre::bench::Shape;
using acre::testing::MarkHeap;

struct Options {
  size_t mib = 128;
  size_t repeat = 5;
  std::string shape;
  std::string body;
  uint32_t threads = 2;
  bool is_small_pages = false;
  bool has_huge = false;
  bool has_bare = false;
};

double Seconds(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

struct Time {
  double cpu_s;
  double wall_s;
};

// What waves are compared with: the same look-up, one object at a time, fields pushed from the last to the first.
class PlainStack {
 public:
  PlainStack(const acre::ChunkTable& table, size_t objects) : table_(table), stack_(objects + 1) {}

  void Run(const std::vector<uintptr_t>& roots) {
    low_ = table_.base();
    bytes_ = table_.limit() - low_;
    for (size_t i = roots.size(); i-- > 0;) Visit(roots[i]);
    while (depth_ > 0) {
      const acre::Grey grey = stack_[--depth_];
      const size_t words = acre::SlotBytesOf(grey) / sizeof(uint64_t);
      const auto* fields = reinterpret_cast<const uint64_t*>(acre::ObjectOf(grey));
      for (size_t i = words; i-- > 0;) Visit(fields[i]);
    }
  }

 private:
  void Visit(uint64_t word) {
    Resolved resolved;
    if (word - low_ >= bytes_ || !acre::Resolve(table_, word, &resolved)) return;
    if (!acre::SetMark<acre::Markers::kOne>(resolved)) return;
    if (acre::IsTraced(resolved.grey)) stack_[depth_++] = resolved.grey;
  }

  const acre::ChunkTable& table_;
  uint64_t low_ = 0;
  uint64_t bytes_ = 0;
  std::vector<acre::Grey> stack_;
  size_t depth_ = 0;
};

class Source : public acre::bench::ObjectSource {
 public:
  explicit Source(MarkHeap& heap) : heap_(heap) {}
  uintptr_t Allocate(size_t bytes) override { return heap_.Allocate(acre::kConservative, bytes); }

 private:
  MarkHeap& heap_;
};

class Bench {
 public:
  Bench(const Shape& shape, const Options& options) : options_(options) {
    heap_.page_heap().set_huge_page_threshold(options.is_small_pages ? SIZE_MAX : 0);
    Source source(heap_);
    graph_ = shape.make(source, options.mib << 20);
    if (options.has_huge) heap_.table().Set(heap_.table().limit() + acre::kChunkBytes, acre::ChunkUse::kHuge);
  }

  void Row(const char* name) {
    acre::MarkerOptions marker_options;
    for (const acre::arch::ScanBody& body : acre::arch::ScanBodies()) {
      if (options_.body == body.name) marker_options.scan_body = &body;
    }
    Marker marker(heap_.space(), heap_.table(), kinds_, marker_options);
    if (marker.Prepare(options_.threads) != acre::Status::kOk) std::abort();
    PlainStack plain(heap_.table(), graph_.objects);
    std::vector<std::function<void()>> contenders = {
        [&] { plain.Run(graph_.roots); },
        [&] { Waves(marker); },
        [&] { Parallel(marker); },
    };
    std::unique_ptr<BareWaves> bare_waves;
    std::unique_ptr<BarePlain> bare_plain;
    if (const size_t object_bytes = BareObjectBytes(); options_.has_bare && object_bytes != 0) {
      const acre::arch::ScanBody& best = acre::arch::ChooseScanBody(acre::arch::DetectCpuFeatures());
      bare_waves = std::make_unique<BareWaves>(marker_options.scan_body == nullptr ? best : *marker_options.scan_body,
                                               heap_.table().base(), heap_.table().limit(), object_bytes, graph_.objects);
      bare_plain = std::make_unique<BarePlain>(heap_.table().base(), heap_.table().limit(), object_bytes, graph_.objects);
      contenders.push_back([&] { CheckBare("waves", bare_waves->Run(graph_.roots)); });
      contenders.push_back([&] { CheckBare("plain loop", bare_plain->Run(graph_.roots)); });
    }
    std::vector<std::vector<Time>> times(contenders.size());
    for (size_t round = 0; round <= options_.repeat; ++round) {
      for (size_t i = 0; i < contenders.size(); ++i) {
        const Time time = Measure(contenders[i], i < kBare ? graph_.objects : 0);
        if (round > 0) times[i].push_back(time);  // The first one warms up.
      }
    }
    Print(name, times);
  }

 private:
  static constexpr size_t kBare = 3;  // Leave the heap's own bits alone.

  Time Measure(const std::function<void()>& run, size_t expected_marks) {
    acre::ClearMarks(heap_.table());
    const Time before{Seconds(CLOCK_PROCESS_CPUTIME_ID), Seconds(CLOCK_MONOTONIC)};
    run();
    const Time after{Seconds(CLOCK_PROCESS_CPUTIME_ID), Seconds(CLOCK_MONOTONIC)};
    if (CountMarks(heap_.table()).objects != expected_marks) {
      std::fprintf(stderr, "marked %zu of %zu objects\n", CountMarks(heap_.table()).objects, graph_.objects);
      std::exit(1);
    }
    return {after.cpu_s - before.cpu_s, after.wall_s - before.wall_s};
  }

  void AddRoots(Marker& marker) {
    marker.Begin();
    const auto base = reinterpret_cast<uintptr_t>(graph_.roots.data());
    marker.AddRootRange(base, base + graph_.roots.size() * sizeof(uintptr_t));
  }

  void Waves(Marker& marker) {
    AddRoots(marker);
    marker.Drain();
    marker.Finish();
    marker.ReleaseMemory();
  }

  void Parallel(Marker& marker) {
    AddRoots(marker);
    marker.BeginParallel(options_.threads);
    std::vector<std::thread> threads;
    for (uint32_t number = 1; number < options_.threads; ++number) {
      threads.emplace_back([&marker, number] { marker.Work(number); });
    }
    marker.Work(0);
    for (std::thread& thread : threads) thread.join();
    marker.Finish();
    marker.ReleaseMemory();
  }

  // Of all objects, or 0 where they differ or no shift leads to one.
  size_t BareObjectBytes() const {
    const size_t object_bytes = graph_.bytes / graph_.objects;
    return std::has_single_bit(object_bytes) && graph_.bytes % graph_.objects == 0 ? object_bytes : 0;
  }

  void CheckBare(const char* what, size_t marked) const {
    if (marked == graph_.objects) return;
    std::fprintf(stderr, "bare %s marked %zu of %zu objects\n", what, marked, graph_.objects);
    std::exit(1);
  }

  static double Median(std::vector<Time> times, double Time::*member) {
    std::sort(times.begin(), times.end(), [=](const Time& a, const Time& b) { return a.*member < b.*member; });
    return times[times.size() / 2].*member;
  }

  void Print(const char* name, const std::vector<std::vector<Time>>& times) {
    std::printf("%-28s", name);
    for (const std::vector<Time>& of : times) {
      const double cpu_s = Median(of, &Time::cpu_s);
      std::printf(" %6.0f (%5.1f)", static_cast<double>(graph_.bytes) / 1e6 / cpu_s,
                  cpu_s * 1e9 / static_cast<double>(graph_.objects));
    }
    std::printf("  %5.2f  %5.2f\n", Median(times[0], &Time::wall_s) / Median(times[1], &Time::wall_s),
                Median(times[1], &Time::wall_s) / Median(times[2], &Time::wall_s));
    std::fflush(stdout);
  }

  const Options& options_;
  MarkHeap heap_;
  acre::KindTable kinds_;
  Graph graph_;
};

Options Parse(int count, char** words) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    const char* value = i + 1 < count ? words[i + 1] : "";
    if (word == "--mib") options.mib = std::strtoull(value, nullptr, 10), ++i;
    else if (word == "--repeat") options.repeat = std::strtoull(value, nullptr, 10), ++i;
    else if (word == "--shape") options.shape = value, ++i;
    else if (word == "--body") options.body = value, ++i;
    else if (word == "--threads") options.threads = static_cast<uint32_t>(std::strtoul(value, nullptr, 10)), ++i;
    else if (word == "--small-pages") options.is_small_pages = true;
    else if (word == "--huge") options.has_huge = true;
    else if (word == "--bare") options.has_bare = true;
    else {
      std::fprintf(stderr, "mark_bench: unknown option %s\n", word.c_str());
      std::exit(2);
    }
  }
  return options;
}

}  // namespace

int main(int count, char** words) {
  const Options options = Parse(count, words);
  std::printf("%zu MiB, MB per CPU second (ns an object)\n", options.mib);
  std::printf("%-28s %14s %14s %11u thr.  gain  gain\n", "shape", "plain stack", "marker", options.threads);
  for (const Shape& shape : acre::bench::Shapes()) {
    if (std::strstr(shape.name, options.shape.c_str()) == nullptr) continue;
    Bench(shape, options).Row(shape.name);
  }
}
