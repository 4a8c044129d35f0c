// How long a thread waits for the collector: a graph lives, threads replace parts of it all the time, and each batch of
// 400 allocations is timed. What is printed is said in kHelp; the graphs are in latency_graphs.h, the arithmetic is in
// latency_delays.h. bench/report/latency.py runs it and draws.

#include <atomic>
#include <barrier>
#include <cinttypes>
#include <cstring>
#include <initializer_list>
#include <string>
#include <string_view>
#include <thread>

#include "bench/workloads/latency_delays.h"
#include "bench/workloads/latency_graphs.h"

namespace {

using latency::Batches;
using latency::LongBatch;
using latency::NowNs;
using latency::Shape;
using latency::Times;

constexpr size_t kMiB = size_t{1} << 20;
constexpr uint64_t kAllocationsOfBatch = 400;
constexpr uint64_t kMillisecondNs = 1'000'000;

constexpr const char* kHelp = R"(usage: latency [option...]

  --mib N               as much lives: nodes of 64 bytes, four of their words may be pointers (256)
  --shape NAME          lists, shuffled, tree, hash or random (lists)
  --seconds S           the window: so long parts are replaced (5)
  --mutators M          threads, each with its own part of the graph (1)
  --option NAME=VALUE   an option of the heap, as tracker=barrier; may be repeated
  --json FILE           writes the figures with time line, distribution and utilisation
  --help                this text

The window begins when the graph is built. Each mutator replaces parts of its graph, and reads the clock whenever it has
allocated 400 nodes more: this is a batch. An idle thread that uses no heap sleeps for a millisecond, over and over.

  longest stop       of the heap, in the window. "At most": a longer one was before it, so that only the power of two is
                     known
  stops, total       how many, and their times together
  batch p50 ... max  the time that a batch took, of all mutators' batches
  MMU                minimal mutator utilisation. Whatever a batch takes longer than the median batch is lost, at its
                     end. Of all windows of a length, this is the least share that is not lost; the worst thread's
  peak RSS / live    resident memory at its peak in the window, less the records of batches, over what a collection
                     found alive after it
  collection CPU     of marking, in the window (mark_cpu_ns); process CPU: of everything
  allocated          millions of nodes a second
  idle thread        by how much it woke up too late at worst: so long may the machine itself delay a thread

Batches and MMU have two columns. The first is by the clock on the wall. The second is without the time for which the
thread was ready to run and had no CPU, since others ran there: how it would be on a machine of its own, but for what
other threads of the heap waited for a CPU.
)";

struct Options {
  size_t mib = 256;
  const Shape* shape = &latency::kShapes[0];
  double seconds = 5;
  size_t mutators = 1;
  acre::HeapOptions heap;
  std::string heap_text;
  std::string json;
};

[[noreturn]] void Fail(const std::string& what) {
  std::fprintf(stderr, "latency: %s; see --help\n", what.c_str());
  std::exit(2);
}

const Shape* ShapeOf(std::string_view name) {
  for (const Shape& shape : latency::kShapes) {
    if (name == shape.name) return &shape;
  }
  Fail("no shape is named " + std::string(name));
}

void SetHeapOption(Options& options, const std::string& text) {
  const size_t equals = text.find('=');
  const std::string value = equals == std::string::npos ? "" : text.substr(equals + 1);
  const acre_status status = acre_options_set(&options.heap, text.substr(0, equals).c_str(), value.c_str());
  if (status != ACRE_OK) Fail(text + ": " + acre_status_text(status));
  options.heap_text += (options.heap_text.empty() ? "" : " ") + text;
}

Options Parse(int count, char** words) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::string_view word = words[i];
    if (word == "--help") {
      std::fputs(kHelp, stdout);
      std::exit(0);
    }
    if (++i == count) Fail(std::string(word) + " is unknown, or needs a value");
    const char* value = words[i];
    if (word == "--mib") options.mib = std::strtoull(value, nullptr, 10);
    else if (word == "--shape") options.shape = ShapeOf(value);
    else if (word == "--seconds") options.seconds = std::strtod(value, nullptr);
    else if (word == "--mutators") options.mutators = std::strtoull(value, nullptr, 10);
    else if (word == "--option") SetHeapOption(options, value);
    else if (word == "--json") options.json = value;
    else Fail(std::string(word) + " is unknown");
  }
  if (options.mutators == 0 || options.mib / options.mutators < 2) Fail("each mutator needs 2 MiB");
  if (!(options.seconds > 0)) Fail("--seconds must be more than 0");
  return options;
}

// A field of /proc/self/status, in bytes.
size_t StatusBytes(const char* field) {
  std::FILE* file = std::fopen("/proc/self/status", "r");
  if (file == nullptr) return 0;
  char line[256];
  unsigned long kib = 0;
  const size_t length = std::strlen(field);
  while (std::fgets(line, sizeof line, file) != nullptr) {
    if (std::strncmp(line, field, length) == 0) std::sscanf(line + length, ": %lu", &kib);
  }
  std::fclose(file);
  return kib * 1024;
}

// From now on the kernel's peak is that of the window. Where it refuses, that of the process counts.
void ForgetPeak() {
  std::FILE* file = std::fopen("/proc/self/clear_refs", "w");
  if (file == nullptr) return;
  std::fputs("5", file);
  std::fclose(file);
}

// What counts up, at one moment.
struct Counters {
  acre_statistics heap{};
  uint64_t cpu_ns = 0;

  static Counters Now(const acre::Heap& heap) {
    return {heap.statistics(), latency::ClockNs(CLOCK_PROCESS_CPUTIME_ID)};
  }
};

struct Run {
  std::vector<std::unique_ptr<Batches>> mutators;
  Counters before;
  Counters after;
  uint64_t window_ns = 0;
  uint64_t idle_worst_ns = 0;
  size_t peak_bytes = 0;
  size_t live_bytes = 0;
};

// The worst lateness of sleeps of a millisecond until then.
uint64_t SleepUntil(uint64_t end_ns) {
  uint64_t worst_ns = 0;
  for (uint64_t now_ns = NowNs(); now_ns < end_ns;) {
    const uint64_t wanted_ns = now_ns + kMillisecondNs;
    const timespec wanted{static_cast<time_t>(wanted_ns / 1'000'000'000), static_cast<long>(wanted_ns % 1'000'000'000)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &wanted, nullptr) != 0) {
    }
    now_ns = NowNs();
    worst_ns = std::max(worst_ns, now_ns - wanted_ns);
  }
  return worst_ns;
}

std::unique_ptr<Batches> ReplaceUntil(latency::Graph& graph, uint64_t end_ns) {
  auto batches = std::make_unique<Batches>(NowNs());
  uint64_t target = graph.allocations();
  do {
    target += kAllocationsOfBatch;
    while (graph.allocations() < target) graph.Replace();
  } while (batches->End() < end_ns);
  return batches;
}

Run Measure(const Options& options) {
  acre::Heap heap(options.heap);
  Run run;
  run.mutators.resize(options.mutators);
  std::atomic<uint64_t> end_ns{0};
  std::barrier turn(static_cast<ptrdiff_t>(options.mutators + 1));
  const auto mutate = [&](size_t number) {
    acre::Mutator mutator(heap);
    if (!mutator.is_valid()) Fail(acre_status_text(mutator.status()));
    const auto wait = [&] {
      acre::Blocking blocking(mutator);
      turn.arrive_and_wait();
    };
    const std::unique_ptr<latency::Graph> graph =
        options.shape->make(mutator, options.mib * kMiB / options.mutators / sizeof(latency::Node), number + 1);
    graph->Build();
    wait();  // All are built.
    wait();  // The window's end is known.
    run.mutators[number] = ReplaceUntil(*graph, end_ns);
    wait();  // All have ended.
    wait();  // The heap has been looked at.
  };
  std::vector<std::thread> threads;
  for (size_t number = 0; number < options.mutators; ++number) threads.emplace_back(mutate, number);

  turn.arrive_and_wait();
  ForgetPeak();
  run.before = Counters::Now(heap);
  const uint64_t began_ns = NowNs();
  end_ns = began_ns + static_cast<uint64_t>(options.seconds * 1e9);
  turn.arrive_and_wait();
  std::thread idle([&] { run.idle_worst_ns = SleepUntil(end_ns); });
  turn.arrive_and_wait();
  run.window_ns = NowNs() - began_ns;
  run.after = Counters::Now(heap);
  run.peak_bytes = StatusBytes("VmHWM");
  for (const auto& batches : run.mutators) run.peak_bytes -= std::min(run.peak_bytes, batches->record_bytes());
  {
    acre::Mutator mutator(heap);
    if (!mutator.is_valid()) Fail(acre_status_text(mutator.status()));
    mutator.Collect();
    run.live_bytes = heap.statistics().live_bytes;
  }
  turn.arrive_and_wait();
  for (std::thread& thread : threads) thread.join();
  idle.join();
  return run;
}

// The longest stop of the window. Not exact: a longer one was before it, and this is the next power of two.
struct LongestStop {
  uint64_t ns = 0;
  bool is_exact = true;
};

LongestStop LongestStopOf(const Run& run) {
  const acre_statistics& before = run.before.heap;
  const acre_statistics& after = run.after.heap;
  if (after.longest_stop_ns > before.longest_stop_ns) return {after.longest_stop_ns, true};
  for (size_t bucket = ACRE_STOP_BUCKETS; bucket-- > 0;) {
    if (after.stops[bucket] == before.stops[bucket]) continue;
    return {std::min(uint64_t{2} << bucket, after.longest_stop_ns), false};
  }
  return {0, true};
}

uint64_t StopsOf(const Run& run) {
  uint64_t stops = 0;
  for (size_t bucket = 0; bucket < ACRE_STOP_BUCKETS; ++bucket) {
    stops += run.after.heap.stops[bucket] - run.before.heap.stops[bucket];
  }
  return stops;
}

// By which clock: Batches::times_ns or Batches::own_times_ns.
using Clock = const Times& (Batches::*)() const;

// What is told of batches by one clock: all mutators' times, and the median.
struct Delays {
  Delays(const Run& its_run, Clock its_clock) : run(its_run), clock(its_clock) {
    for (const auto& batches : run.mutators) {
      const Times& times_ns = (*batches.*clock)();
      sorted_ns.insert(sorted_ns.end(), times_ns.begin(), times_ns.end());
    }
    std::sort(sorted_ns.begin(), sorted_ns.end());
  }

  uint64_t QuantileNs(double share) const { return latency::Quantile(sorted_ns, share); }

  // The worst thread's.
  double Utilisation(double window_ms) const {
    double least = 1;
    for (const auto& batches : run.mutators) {
      const auto window_ns = static_cast<uint64_t>(window_ms * 1e6);
      least = std::min(least, latency::MinimalUtilisation((*batches.*clock)(), QuantileNs(0.5), window_ns));
    }
    return least;
  }

  const Run& run;
  const Clock clock;
  std::vector<uint64_t> sorted_ns;
};

std::vector<LongBatch> LongestBatches(const Run& run) {
  constexpr size_t kShown = 12;
  std::vector<LongBatch> found;
  for (const auto& batches : run.mutators) {
    found.insert(found.end(), batches->long_batches().begin(), batches->long_batches().end());
  }
  std::sort(found.begin(), found.end(), [](const LongBatch& a, const LongBatch& b) { return a.own_ns > b.own_ns; });
  found.resize(std::min(found.size(), kShown));
  return found;
}

double Ms(uint64_t ns) { return static_cast<double>(ns) * 1e-6; }

// The figures, by the name that JSON has and the one that is printed.
struct Row {
  const char* key;
  const char* title;
  double value;
  const char* unit;
};

struct DelayRow {
  const char* key;
  const char* title;
  double value;
  double own_value;
  const char* unit;
};

std::vector<DelayRow> DelayRows(const Delays& delays, const Delays& own) {
  const auto batch = [&](const char* key, const char* title, double share) {
    return DelayRow{key, title, Ms(delays.QuantileNs(share)), Ms(own.QuantileNs(share)), "ms"};
  };
  const auto utilisation = [&](const char* key, const char* title, double window_ms) {
    return DelayRow{key, title, delays.Utilisation(window_ms), own.Utilisation(window_ms), ""};
  };
  return {
      batch("p50_ms", "batch p50", 0.5),
      batch("p99_ms", "batch p99", 0.99),
      batch("p999_ms", "batch p99.9", 0.999),
      batch("max_ms", "batch max", 1),
      utilisation("mmu_1", "MMU 1 ms", 1),
      utilisation("mmu_10", "MMU 10 ms", 10),
      utilisation("mmu_100", "MMU 100 ms", 100),
  };
}

std::vector<Row> Rows(const Run& run, size_t batches) {
  const LongestStop longest = LongestStopOf(run);
  const acre_statistics& before = run.before.heap;
  const acre_statistics& after = run.after.heap;
  const double nodes = static_cast<double>(batches * kAllocationsOfBatch);
  const auto mib = [](size_t bytes) { return static_cast<double>(bytes) / static_cast<double>(kMiB); };
  return {
      {"stop_ms", longest.is_exact ? "longest stop" : "longest stop, at most", Ms(longest.ns), "ms"},
      {"stops", "stops", static_cast<double>(StopsOf(run)), ""},
      {"total_stop_ms", "stops, total", Ms(after.total_stop_ns - before.total_stop_ns), "ms"},
      {"cycles", "cycles", static_cast<double>(after.cycles - before.cycles), ""},
      {"live_mib", "live", mib(run.live_bytes), "MiB"},
      {"rss_mib", "peak RSS", mib(run.peak_bytes), "MiB"},
      {"rss_ratio", "peak RSS / live", static_cast<double>(run.peak_bytes) / static_cast<double>(run.live_bytes), ""},
      {"mark_cpu_ms", "collection CPU", Ms(after.mark_cpu_ns - before.mark_cpu_ns), "ms"},
      {"cpu_ms", "process CPU", Ms(run.after.cpu_ns - run.before.cpu_ns), "ms"},
      {"window_ms", "window", Ms(run.window_ns), "ms"},
      {"allocated_mps", "allocated", nodes / Ms(run.window_ns) * 1e-3, "M/s"},
      {"idle_ms", "idle thread, worst", Ms(run.idle_worst_ns), "ms"},
  };
}

void Print(const Options& options, const std::vector<Row>& rows, const std::vector<DelayRow>& delay_rows,
           const std::vector<LongBatch>& longest) {
  std::printf("%s, %zu MiB, %zu mutators%s%s\n", options.shape->name, options.mib, options.mutators,
              options.heap_text.empty() ? "" : ", ", options.heap_text.c_str());
  for (const Row& row : rows) std::printf("%-22s %12.3f %s\n", row.title, row.value, row.unit);
  std::printf("%22s %12s %12s\n", "", "clock", "less queueing");
  for (const DelayRow& row : delay_rows) {
    std::printf("%-22s %12.3f %12.3f %s\n", row.title, row.value, row.own_value, row.unit);
  }
  if (!longest.empty()) std::printf("longest batches: at ms, clock, less queueing, of it CPU; sleeps, page faults\n");
  for (const LongBatch& batch : longest) {
    std::printf("%22.1f %12.3f %12.3f %9.3f %6" PRIu64 " %6" PRIu64 "\n", Ms(batch.at_ns), Ms(batch.ns),
                Ms(batch.own_ns), Ms(batch.use.cpu_ns), batch.use.sleeps, batch.use.faults);
  }
}

// A list of lists of numbers, piece by piece.
class JsonList {
 public:
  JsonList(std::FILE* file, const char* key) : file_(file) { std::fprintf(file, "  \"%s\": [", key); }
  ~JsonList() { std::fputs("],\n", file_); }
  JsonList(const JsonList&) = delete;
  JsonList& operator=(const JsonList&) = delete;

  void Add(std::initializer_list<double> numbers) {
    const char* separator = is_empty_ ? "[" : ", [";
    is_empty_ = false;
    for (const double number : numbers) {
      std::fprintf(file_, "%s%.9g", separator, number);
      separator = ", ";
    }
    std::fputs("]", file_);
  }

 private:
  std::FILE* const file_;
  bool is_empty_ = true;
};

// Of each of kPieces parts of the window: ms since its beginning, and the longest batch in ms by either clock.
void WriteTimeLine(std::FILE* file, const Run& run) {
  constexpr size_t kPieces = 2000;
  std::vector<uint64_t> longest_ns(kPieces);
  std::vector<uint64_t> own_longest_ns(kPieces);
  for (const auto& batches : run.mutators) {
    uint64_t at_ns = 0;
    auto own_ns = batches->own_times_ns().begin();
    for (const uint64_t ns : batches->times_ns()) {
      const size_t piece = std::min<size_t>(at_ns * kPieces / run.window_ns, kPieces - 1);
      longest_ns[piece] = std::max(longest_ns[piece], ns);
      own_longest_ns[piece] = std::max(own_longest_ns[piece], *own_ns++);
      at_ns += ns;
    }
  }
  JsonList list(file, "time_line");
  for (size_t i = 0; i < kPieces; ++i) {
    if (longest_ns[i] == 0) continue;
    list.Add({Ms(run.window_ns) * static_cast<double>(i) / kPieces, Ms(longest_ns[i]), Ms(own_longest_ns[i])});
  }
}

// Shares of batches, ever closer to 1, and what these take at most.
void WriteDistribution(std::FILE* file, const char* key, const Delays& delays) {
  constexpr double kStep = 0.7;
  JsonList list(file, key);
  list.Add({0, Ms(delays.sorted_ns.front())});
  for (double rest = kStep; rest * static_cast<double>(delays.sorted_ns.size()) >= 1; rest *= kStep) {
    list.Add({1 - rest, Ms(delays.QuantileNs(1 - rest))});
  }
  list.Add({1, Ms(delays.sorted_ns.back())});
}

// Windows in ms, and the minimal utilisation by either clock.
void WriteUtilisation(std::FILE* file, const Delays& delays, const Delays& own) {
  constexpr double kWindowsMs[] = {0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000};
  JsonList list(file, "utilisation");
  for (const double window_ms : kWindowsMs) {
    list.Add({window_ms, delays.Utilisation(window_ms), own.Utilisation(window_ms)});
  }
}

bool WriteJson(const Options& options, const Run& run, const Delays& delays, const Delays& own,
               const std::vector<Row>& rows, const std::vector<DelayRow>& delay_rows,
               const std::vector<LongBatch>& longest) {
  std::FILE* file = std::fopen(options.json.c_str(), "w");
  if (file == nullptr) Fail("cannot write " + options.json);
  std::fputs("{\n", file);
  for (const Row& row : rows) std::fprintf(file, "  \"%s\": %.9g,\n", row.key, row.value);
  for (const DelayRow& row : delay_rows) {
    std::fprintf(file, "  \"%s\": %.9g,\n  \"own_%s\": %.9g,\n", row.key, row.value, row.key, row.own_value);
  }
  WriteTimeLine(file, run);
  WriteDistribution(file, "distribution", delays);
  WriteDistribution(file, "own_distribution", own);
  WriteUtilisation(file, delays, own);
  {
    JsonList list(file, "longest");  // As they are printed.
    for (const LongBatch& batch : longest) {
      list.Add({Ms(batch.at_ns), Ms(batch.ns), Ms(batch.own_ns), Ms(batch.use.cpu_ns),
                static_cast<double>(batch.use.sleeps), static_cast<double>(batch.use.faults)});
    }
  }
  std::fprintf(file, "  \"shape\": \"%s\",\n  \"mib\": %zu,\n  \"mutators\": %zu,\n  \"heap\": \"%s\"\n}\n",
               options.shape->name, options.mib, options.mutators, options.heap_text.c_str());
  return std::fclose(file) == 0;
}

}  // namespace

int main(int count, char** words) {
  const Options options = Parse(count, words);
  const Run run = Measure(options);
  const Delays delays(run, &Batches::times_ns);
  const Delays own(run, &Batches::own_times_ns);
  const std::vector<Row> rows = Rows(run, delays.sorted_ns.size());
  const std::vector<DelayRow> delay_rows = DelayRows(delays, own);
  const std::vector<LongBatch> longest = LongestBatches(run);
  Print(options, rows, delay_rows, longest);
  if (options.json.empty()) return 0;
  return WriteJson(options, run, delays, own, rows, delay_rows, longest) ? 0 : 1;
}
