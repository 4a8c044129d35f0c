// cgroup_program LIVE_MIB GARBAGE_MIB: replaces lists among those that live, LIVE_MIB in all, until GARBAGE_MIB have gone.
// Prints a sum that is the same whatever the memory; on standard error what the heap took. For cgroup_test.py.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "acre/acre.hpp"

namespace {

struct Node {
  Node(Node* its_next, uint64_t seed) : next(its_next) {
    // About as much work as an interpreter does for an object.
    for (uint64_t& word : rest) {
      seed ^= seed << 13;
      seed ^= seed >> 7;
      seed ^= seed << 17;
      word = seed;
    }
  }

  static constexpr uint64_t kPointerBitmap = 1;

  acre::Ref<Node> next;
  uint64_t rest[7];
};
static_assert(sizeof(Node) == 64);

constexpr size_t kNodesOfList = 4096;
constexpr size_t kListsOfMiB = (size_t{1} << 20) / (kNodesOfList * sizeof(Node));

Node* MakeList(acre::Mutator& mutator, uint64_t seed) {
  Node* first = nullptr;
  for (size_t i = 0; i < kNodesOfList; ++i) {
    first = mutator.New<Node>(first, seed + i);
    if (first == nullptr) std::exit(3);
  }
  return first;
}

uint64_t Sum(const Node* node) {
  uint64_t sum = 0;
  for (; node != nullptr; node = node->next.get()) {
    for (const uint64_t word : node->rest) sum = sum * 31 + word;
  }
  return sum;
}

}  // namespace

int main(int count, char** arguments) {
  const size_t lists = count == 3 ? std::strtoul(arguments[1], nullptr, 10) * kListsOfMiB : 0;
  const size_t rounds = count == 3 ? std::strtoul(arguments[2], nullptr, 10) * kListsOfMiB : 0;
  if (lists == 0 || rounds == 0) {
    std::fprintf(stderr, "usage: cgroup_program LIVE_MIB GARBAGE_MIB\n");
    return 2;
  }
  acre::Heap heap;
  acre::Mutator mutator(heap);
  if (!mutator.is_valid()) return 3;
  std::vector<Node*> live(lists);
  const acre::RootRange range(heap, live.data(), live.data() + live.size());
  for (size_t i = 0; i < lists; ++i) live[i] = MakeList(mutator, i + 1);
  uint64_t sum = 0;
  for (size_t i = 0; i < rounds; ++i) {
    Node*& place = live[i % lists];
    sum += Sum(place);
    place = MakeList(mutator, sum | 1);
  }
  std::printf("%zu lists replaced, sum %llu\n", rounds, static_cast<unsigned long long>(sum));
  const acre_statistics statistics = heap.statistics();
  std::fprintf(stderr, "%llu cycles, %zu KiB held, limit %zu KiB\n", static_cast<unsigned long long>(statistics.cycles),
               statistics.held_bytes >> 10, statistics.memory_limit_bytes >> 10);
  return 0;
}
