// A list of nodes on a heap of its own.

#include <acre/manual_heap.h>

#include <cstdint>
#include <cstdio>

struct Node {
  Node* next;
  uint64_t value;
};

int main() {
  acre::ManualHeap heap;
  acre::ManualMutator mutator(heap);  // One for each thread.

  Node* list = nullptr;
  for (uint64_t i = 0; i < 100'000; ++i) {
    auto* node = static_cast<Node*>(mutator.Allocate(sizeof(Node)));
    if (node == nullptr) return 1;  // Nothing throws.
    *node = {list, i};
    list = node;
  }

  uint64_t sum = 0;
  uint64_t nodes = 0;
  while (Node* node = list) {
    sum += node->value;
    ++nodes;
    list = node->next;
    mutator.Free(node);
  }
  std::printf("%llu nodes, sum %llu\n", static_cast<unsigned long long>(nodes), static_cast<unsigned long long>(sum));
  std::printf("live after the list is gone: %zu bytes\n", heap.statistics().live_bytes);
}
