#pragma once

// The graphs of latency.cc: each of as many nodes of 64 bytes as were asked for, all of them reachable, whatever is
// replaced. Replace takes a small part out and puts new nodes in its place, so that as much lives all the time, and
// each part is replaced sooner or later:
//
//   lists     lists of 200 nodes, each one next to the other in memory; a whole list is replaced
//   shuffled  such lists whose nodes are far from each other: one gets a new last node, and loses its first
//   tree      binary trees of a MiB; a subtree of 63 nodes is replaced
//   hash      one table, with chains of three entries, each with a value; one gets a new first entry, and loses its
//             last
//   random    a connected graph, four edges a node, each in both directions; a neighbour of the node that was replaced
//             last is replaced, and its neighbours' edges are turned to the new one
//
// A graph belongs to one thread. It is held by a root of its own.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <vector>

#include "acre/acre.hpp"

namespace latency {

struct Node {
  static constexpr uint64_t kPointerBitmap = 0b1111;
  static constexpr size_t kEdges = 4;

  acre::Ref<Node> edges[kEdges];
  uint64_t data[4];
};
static_assert(sizeof(Node) == 64);

struct Slot {
  static constexpr uint64_t kPointerBitmap = 0b1;

  acre::Ref<Node> node;
};

class Graph {
 public:
  Graph(acre::Mutator& mutator, size_t slots, uint64_t seed)
      : mutator_(mutator), slots_(slots), table_(mutator.NewArray<Slot>(slots)), random_(seed) {
    if (table_ == nullptr) OutOfMemory();
    acre_root_add(mutator.heap().raw(), &root_);
    acre_root_set(mutator.raw(), &root_, table_);
  }
  virtual ~Graph() { acre_root_remove(mutator_.heap().raw(), &root_); }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  virtual void Build() = 0;
  virtual void Replace() = 0;

  uint64_t allocations() const { return allocations_; }

 protected:
  Node* New() {
    Node* node = mutator_.New<Node>();
    if (node == nullptr) [[unlikely]] OutOfMemory();
    ++allocations_;
    return node;
  }

  void Set(acre::Ref<Node>& field, Node* node) { field.Set(mutator_, node); }
  acre::Ref<Node>& slot(size_t index) { return table_[index].node; }
  size_t slots() const { return slots_; }
  size_t Below(size_t limit) { return static_cast<size_t>(random_() % limit); }

 private:
  [[noreturn]] static void OutOfMemory() {
    std::fprintf(stderr, "latency: out of memory\n");
    std::exit(1);
  }

  acre::Mutator& mutator_;
  const size_t slots_;
  Slot* const table_;
  acre_root root_{};
  std::mt19937_64 random_;
  uint64_t allocations_ = 0;
};

inline constexpr size_t kListNodes = 200;

class Lists : public Graph {
 public:
  Lists(acre::Mutator& mutator, size_t nodes, uint64_t seed) : Graph(mutator, nodes / kListNodes, seed) {}

  void Build() override {
    for (size_t i = 0; i < slots(); ++i) Set(slot(i), NewList());
  }
  void Replace() override { Set(slot(Below(slots())), NewList()); }

 private:
  Node* NewList() {
    Node* first = New();
    Node* last = first;
    for (size_t i = 1; i < kListNodes; ++i) {
      Set(last->edges[0], New());
      last = last->edges[0].get();
    }
    return first;
  }
};

// Each list has two slots: its first node and its last.
class ShuffledLists : public Graph {
 public:
  ShuffledLists(acre::Mutator& mutator, size_t nodes, uint64_t seed)
      : Graph(mutator, 2 * (nodes / kListNodes), seed), nodes_(nodes) {}

  void Build() override {
    for (size_t list = 0; list < slots(); list += 2) {
      Set(slot(list), New());
      Set(slot(list + 1), slot(list).get());
    }
    while (allocations() < nodes_) Append(AnyList());
  }
  void Replace() override {
    const size_t list = AnyList();
    Append(list);
    Set(slot(list), slot(list)->edges[0].get());
  }

 private:
  size_t AnyList() { return 2 * Below(slots() / 2); }
  void Append(size_t list) {
    Node* node = New();
    Set(slot(list + 1)->edges[0], node);
    Set(slot(list + 1), node);
  }

  const size_t nodes_;
};

class Trees : public Graph {
 public:
  Trees(acre::Mutator& mutator, size_t nodes, uint64_t seed) : Graph(mutator, nodes >> (kDepth + 1), seed) {}

  void Build() override {
    for (size_t i = 0; i < slots(); ++i) Set(slot(i), NewTree(kDepth));
  }
  void Replace() override {
    Node* parent = slot(Below(slots())).get();
    size_t way = Below(size_t{1} << kDepth);
    for (unsigned depth = kDepth - 1; depth > kReplacedDepth; --depth, way /= 2) parent = parent->edges[way % 2].get();
    Set(parent->edges[way % 2], NewTree(kReplacedDepth));
  }

 private:
  static constexpr unsigned kDepth = 13;
  static constexpr unsigned kReplacedDepth = 5;

  Node* NewTree(unsigned depth) {
    Node* node = New();
    if (depth == 0) return node;
    Set(node->edges[0], NewTree(depth - 1));
    Set(node->edges[1], NewTree(depth - 1));
    return node;
  }
};

class HashTable : public Graph {
 public:
  HashTable(acre::Mutator& mutator, size_t nodes, uint64_t seed) : Graph(mutator, nodes / kNodesOfBucket, seed) {}

  void Build() override {
    constexpr size_t kStride = 2'654'435'761;  // A prime: it visits every bucket.
    for (size_t i = 0; i < kChain * slots(); ++i) Insert(slot(i * kStride % slots()));
  }
  void Replace() override {
    acre::Ref<Node>& bucket = slot(Below(slots()));
    Insert(bucket);
    Node* last = bucket.get();
    for (size_t i = 1; i < kChain; ++i) last = last->edges[0].get();
    Set(last->edges[0], nullptr);
  }

 private:
  static constexpr size_t kChain = 3;
  static constexpr size_t kNodesOfBucket = 2 * kChain;

  void Insert(acre::Ref<Node>& bucket) {
    Node* entry = New();
    Set(entry->edges[1], New());
    Set(entry->edges[0], bucket.get());
    Set(bucket, entry);
  }
};

// The slot has the node that was replaced last.
class RandomGraph : public Graph {
 public:
  RandomGraph(acre::Mutator& mutator, size_t nodes, uint64_t seed) : Graph(mutator, 1, seed), nodes_(nodes) {}

  // From two nodes, each new one is put into the middle of two edges.
  void Build() override {
    std::vector<Node*> made(nodes_);
    Node* first = New();
    Set(slot(0), first);
    Node* second = New();
    for (size_t i = 0; i < Node::kEdges; ++i) {
      Set(second->edges[i], first);
      Set(first->edges[i], second);
    }
    made[0] = first;
    made[1] = second;
    for (size_t count = 2; count < nodes_; ++count) {
      Node* node = made[count] = New();
      for (size_t free = 0; free < Node::kEdges;) {
        free += PutIntoEdge(node, free, made[Below(count)], Below(Node::kEdges));
      }
    }
  }

  void Replace() override {
    Node* old = slot(0)->edges[Below(Node::kEdges)].get();
    Node* node = New();
    for (size_t i = 0; i < Node::kEdges; ++i) {
      Node* neighbour = old->edges[i].get();
      Set(node->edges[i], neighbour);
      Set(EdgeTo(neighbour, old), node);
    }
    Set(slot(0), node);
  }

 private:
  static acre::Ref<Node>& EdgeTo(Node* from, const Node* to) {
    size_t i = 0;
    while (from->edges[i].get() != to) ++i;
    return from->edges[i];
  }

  // Returns how many of the node's edges that took; none where the edge is its own.
  size_t PutIntoEdge(Node* node, size_t free, Node* from, size_t edge) {
    Node* to = from->edges[edge].get();
    if (to == node) return 0;
    Set(node->edges[free], from);
    Set(node->edges[free + 1], to);
    Set(EdgeTo(to, from), node);
    Set(from->edges[edge], node);
    return 2;
  }

  const size_t nodes_;
};

struct Shape {
  const char* name;
  std::unique_ptr<Graph> (*make)(acre::Mutator& mutator, size_t nodes, uint64_t seed);
};

template <class T>
std::unique_ptr<Graph> Make(acre::Mutator& mutator, size_t nodes, uint64_t seed) {
  return std::make_unique<T>(mutator, nodes, seed);
}

inline constexpr Shape kShapes[] = {
    {"lists", Make<Lists>},    {"shuffled", Make<ShuffledLists>}, {"tree", Make<Trees>},
    {"hash", Make<HashTable>}, {"random", Make<RandomGraph>},
};

}  // namespace latency
