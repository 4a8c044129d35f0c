// gcbench [DEPTH]: the shape of the benchmark by John Ellis, Pete Kovac and Hans Boehm, written anew. A tree of DEPTH + 2 is
// built and dropped; a tree of DEPTH (18 unless told otherwise) and an array of numbers live until the end; meanwhile trees
// of depth 4, 6 … DEPTH are built and dropped, of each depth as many as have the nodes of two trees of DEPTH + 2: first from
// the top down, where each child is stored into a node that is there, then from the bottom up.
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
using collect::NodesOf;
using collect::PopulateTopDown;

constexpr unsigned kLeastDepth = 4;
constexpr unsigned kMostDepth = 26;
constexpr unsigned kDefaultDepth = 18;
constexpr unsigned kStretch = 2;
constexpr size_t kNumbers = 500'000;

Node* BuildTopDown(Heap& heap, unsigned depth) {
  Node* root = heap.New<Node>(nullptr, nullptr);
  PopulateTopDown(heap, depth, root);
  return root;
}

template <class Build>
void RunShortLived(Heap& heap, unsigned depth, size_t trees, const char* how, Build build) {
  for (size_t i = 1; i < trees; ++i) DropTree(heap, build(heap, depth));
  // The last one is counted, so that none can be left out.
  Node* last = build(heap, depth);
  std::printf("%zu trees of depth %u %s, %zu nodes each\n", trees, depth, how, CountNodes(last));
  DropTree(heap, last);
}

void Run(Heap& heap, unsigned depth) {
  Node* stretch = BuildBottomUp(heap, depth + kStretch);
  std::printf("stretch tree: %zu nodes\n", CountNodes(stretch));
  DropTree(heap, stretch);

  Node* long_lived = BuildTopDown(heap, depth);
  double* numbers = heap.NewNumbers(kNumbers);
  for (size_t i = 0; i < kNumbers / 2; ++i) numbers[i] = 1.0 / static_cast<double>(i + 1);

  for (unsigned each = kLeastDepth; each <= depth; each += 2) {
    const size_t trees = 2 * NodesOf(depth + kStretch) / NodesOf(each);
    RunShortLived(heap, each, trees, "top down", BuildTopDown);
    RunShortLived(heap, each, trees, "bottom up", BuildBottomUp);
  }
  std::printf("long lived tree: %zu nodes, the thousandth number is %g\n", CountNodes(long_lived), numbers[1000 - 1]);
  DropTree(heap, long_lived);
  heap.Delete(numbers);
}

}  // namespace

int main(int count, char** arguments) {
  const unsigned long depth = count > 1 ? std::strtoul(arguments[1], nullptr, 10) : kDefaultDepth;
  if (depth < kLeastDepth || depth > kMostDepth) {
    std::fprintf(stderr, "usage: gcbench [DEPTH], a depth of %u to %u\n", kLeastDepth, kMostDepth);
    return 2;
  }
  Heap heap;
  Run(heap, static_cast<unsigned>(depth));
  collect::ReportHeap(heap);
  return 0;
}
