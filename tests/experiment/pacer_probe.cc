// pacer_probe LIVE_MIB GARBAGE_MIB: holds so much in a list, allocates garbage, and tells how often that was collected, how long it took
// and how much memory the heap had at most:
//
//   cycles 12 peak_mib 131.5 mark_cpu_ms 85

#include <acre/acre.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace {

struct Node {
  acre::Ref<Node> next;
  uint64_t words[7];

  template <class Visitor>
  void Trace(Visitor& visit) const {
    visit(next);
  }
};

constexpr size_t kMiB = size_t{1} << 20;

}  // namespace

int main(int count, char** arguments) {
  const size_t live_mib = count == 3 ? std::strtoul(arguments[1], nullptr, 10) : 0;
  const size_t garbage_mib = count == 3 ? std::strtoul(arguments[2], nullptr, 10) : 0;
  if (live_mib == 0 || garbage_mib == 0) {
    std::fprintf(stderr, "usage: pacer_probe LIVE_MIB GARBAGE_MIB\n");
    return 2;
  }
  acre::HeapOptions options;
  options.background = false;
  acre::Heap heap(options);
  acre::Mutator mutator(heap);
  acre::Root<Node> first(heap);
  size_t peak = 0;
  for (size_t bytes = 0; bytes < (live_mib + garbage_mib) * kMiB; bytes += sizeof(Node)) {
    Node* node = mutator.New<Node>();
    if (node == nullptr) return 1;
    if (bytes < live_mib * kMiB) {
      node->next.Set(mutator, first.get());
      first.Set(mutator, node);
    }
    if (bytes % kMiB == 0) peak = std::max(peak, heap.statistics().committed_bytes);
  }
  const acre_statistics statistics = heap.statistics();
  std::printf("cycles %llu peak_mib %.1f mark_cpu_ms %.0f\n", static_cast<unsigned long long>(statistics.cycles),
              static_cast<double>(peak) / kMiB, static_cast<double>(statistics.mark_cpu_ns) / 1e6);
  return 0;
}
