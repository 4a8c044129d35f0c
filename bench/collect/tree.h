#pragma once

// Binary trees of nodes of two pointers, 16 bytes.

#include "bench/collect/heap.h"

namespace collect {

struct Node {
  static constexpr uint64_t kPointerBitmap = 0b11;

  Node(Node* its_left, Node* its_right) : left(its_left), right(its_right) {}

  Field<Node> left;
  Field<Node> right;
};
static_assert(sizeof(Node) == 2 * sizeof(void*));

constexpr size_t NodesOf(unsigned depth) { return (size_t{2} << depth) - 1; }

// A full tree, its children made before each node.
inline Node* BuildBottomUp(Heap& heap, unsigned depth) {
  if (depth == 0) return heap.New<Node>(nullptr, nullptr);
  Node* left = BuildBottomUp(heap, depth - 1);
  Node* right = BuildBottomUp(heap, depth - 1);
  return heap.New<Node>(left, right);
}

// Makes `node` the root of a full tree, each node before its children.
inline void PopulateTopDown(Heap& heap, unsigned depth, Node* node) {
  if (depth == 0) return;
  node->left.Store(heap, heap.New<Node>(nullptr, nullptr));
  node->right.Store(heap, heap.New<Node>(nullptr, nullptr));
  PopulateTopDown(heap, depth - 1, node->left.Load());
  PopulateTopDown(heap, depth - 1, node->right.Load());
}

inline size_t CountNodes(const Node* node) {
  return node->left.Load() == nullptr ? 1 : 1 + CountNodes(node->left.Load()) + CountNodes(node->right.Load());
}

// The end of a tree, which a collector finds by itself.
inline void DropTree(Heap& heap, Node* node) {
  if constexpr (Heap::kFreesByHand) {
    if (node->left.Load() != nullptr) {
      DropTree(heap, node->left.Load());
      DropTree(heap, node->right.Load());
    }
    heap.Delete(node);
  }
}

}  // namespace collect
