// binary_trees [DEPTH [SHARE]]: the well-known program of the Benchmarks Game. A tree of DEPTH + 1 is built and dropped; one
// of DEPTH (20 unless told otherwise) lives until the end; meanwhile trees of depth 4, 6 … DEPTH are built, counted and
// dropped, of each depth so many that they have about 2^(DEPTH + 5) nodes, divided by SHARE (1).
//
// Standard output is the same on every heap; a line on standard error tells what the heap did.

#include <cstdio>
#include <cstdlib>

#include "bench/collect/tree.h"

namespace {

using collect::BuildBottomUp;
using collect::CountNodes;
using collect::DropTree;
using collect::Heap;
using collect::Node;

constexpr unsigned kLeastDepth = 4;
constexpr unsigned kMostDepth = 28;
constexpr unsigned kDefaultDepth = 20;

size_t BuildCountAndDrop(Heap& heap, unsigned depth) {
  Node* tree = BuildBottomUp(heap, depth);
  const size_t nodes = CountNodes(tree);
  DropTree(heap, tree);
  return nodes;
}

void Run(Heap& heap, unsigned depth, size_t share) {
  std::printf("stretch tree of depth %u\t check: %zu\n", depth + 1, BuildCountAndDrop(heap, depth + 1));
  Node* long_lived = BuildBottomUp(heap, depth);
  for (unsigned each = kLeastDepth; each <= depth; each += 2) {
    const size_t wanted = (size_t{1} << (depth - each + kLeastDepth)) / share;
    const size_t trees = wanted == 0 ? 1 : wanted;
    size_t nodes = 0;
    for (size_t i = 0; i < trees; ++i) nodes += BuildCountAndDrop(heap, each);
    std::printf("%zu\t trees of depth %u\t check: %zu\n", trees, each, nodes);
  }
  std::printf("long lived tree of depth %u\t check: %zu\n", depth, CountNodes(long_lived));
  DropTree(heap, long_lived);
}

}  // namespace

int main(int count, char** arguments) {
  const unsigned long depth = count > 1 ? std::strtoul(arguments[1], nullptr, 10) : kDefaultDepth;
  const unsigned long share = count > 2 ? std::strtoul(arguments[2], nullptr, 10) : 1;
  if (depth < kLeastDepth || depth > kMostDepth || share == 0) {
    std::fprintf(stderr, "usage: binary_trees [DEPTH [SHARE]], a depth of %u to %u\n", kLeastDepth, kMostDepth);
    return 2;
  }
  Heap heap;
  Run(heap, static_cast<unsigned>(depth), share);
  collect::ReportHeap(heap);
  return 0;
}
