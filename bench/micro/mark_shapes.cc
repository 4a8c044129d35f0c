#include "bench/micro/mark_shapes.h"

#include <algorithm>
#include <cstdlib>
#include <random>

namespace acre::bench {

namespace {

constexpr size_t kKiB = 1024;
constexpr size_t kMiB = 1024 * kKiB;

uint64_t* WordsOf(uintptr_t object) { return reinterpret_cast<uint64_t*>(object); }

uintptr_t New(ObjectSource& heap, Graph& graph, size_t bytes) {
  const uintptr_t object = heap.Allocate(bytes);
  if (object == 0) std::abort();
  ++graph.objects;
  graph.bytes += bytes;
  return object;
}

std::vector<uintptr_t> NewMany(ObjectSource& heap, Graph& graph, size_t objects, size_t bytes) {
  std::vector<uintptr_t> made(objects);
  for (uintptr_t& object : made) object = New(heap, graph, bytes);
  return made;
}

// `lists` lists over the objects in the order given: object i belongs to list i / length.
void Link(Graph& graph, const std::vector<uintptr_t>& objects, size_t lists) {
  const size_t length = objects.size() / lists;
  for (size_t i = 0; i < objects.size(); ++i) {
    const bool is_first = i % length == 0;
    if (is_first) graph.roots.push_back(objects[i]);
    const bool is_last = (i + 1) % length == 0 || i + 1 == objects.size();
    WordsOf(objects[i])[0] = is_last ? 0 : objects[i + 1];
  }
}

constexpr size_t kNode = 64;

// As many lists for each byte as 65,536 are for a GiB.
size_t Lists(size_t bytes) { return bytes / (16 * kKiB); }

Graph ListsInOrder(ObjectSource& heap, size_t bytes) {
  Graph graph;
  Link(graph, NewMany(heap, graph, bytes / kNode, kNode), Lists(bytes));
  return graph;
}

Graph ListsShuffled(ObjectSource& heap, size_t bytes) {
  Graph graph;
  std::vector<uintptr_t> objects = NewMany(heap, graph, bytes / kNode, kNode);
  std::shuffle(objects.begin(), objects.end(), std::mt19937_64(1));
  Link(graph, objects, Lists(bytes));
  return graph;
}

Graph OneList(ObjectSource& heap, size_t bytes) {
  Graph graph;
  Link(graph, NewMany(heap, graph, bytes / kNode, kNode), 1);
  return graph;
}

uintptr_t DepthFirst(ObjectSource& heap, Graph& graph, size_t node_bytes, int depth) {
  const uintptr_t node = New(heap, graph, node_bytes);
  if (depth > 0) {
    WordsOf(node)[0] = DepthFirst(heap, graph, node_bytes, depth - 1);
    WordsOf(node)[1] = DepthFirst(heap, graph, node_bytes, depth - 1);
  }
  return node;
}

int DepthFor(size_t objects) {
  int depth = 0;
  while ((size_t{4} << depth) - 1 <= objects) ++depth;
  return depth;
}

template <size_t kBytes>
Graph TreeDepthFirst(ObjectSource& heap, size_t bytes) {
  Graph graph;
  graph.roots.push_back(DepthFirst(heap, graph, kBytes, DepthFor(bytes / kBytes)));
  return graph;
}

Graph TreeBreadthFirst(ObjectSource& heap, size_t bytes) {
  Graph graph;
  const std::vector<uintptr_t> objects = NewMany(heap, graph, bytes / kNode, kNode);
  for (size_t i = 0; i < objects.size(); ++i) {
    for (size_t child = 0; child < 2; ++child) {
      if (2 * i + 1 + child < objects.size()) WordsOf(objects[i])[child] = objects[2 * i + 1 + child];
    }
  }
  graph.roots.push_back(objects[0]);
  return graph;
}

// Each node has an edge that keeps it reachable, and another one to anywhere.
Graph RandomGraph(ObjectSource& heap, size_t bytes) {
  Graph graph;
  const std::vector<uintptr_t> objects = NewMany(heap, graph, bytes / kNode, kNode);
  std::mt19937_64 random(2);
  std::vector<size_t> order(objects.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::shuffle(order.begin() + 1, order.end(), random);
  // A random tree: the parent of a node comes before it in the order, and has one edge left for elsewhere.
  std::vector<uint8_t> edges(objects.size());
  for (size_t i = 1; i < order.size(); ++i) {
    size_t parent = order[random() % i];
    while (edges[parent] >= 2) parent = order[random() % i];
    WordsOf(objects[parent])[edges[parent]++] = objects[order[i]];
  }
  for (size_t i = 0; i < objects.size(); ++i) {
    while (edges[i] < 2) WordsOf(objects[i])[edges[i]++] = objects[random() % objects.size()];
  }
  graph.roots.push_back(objects[0]);
  return graph;
}

Graph WideArrays(ObjectSource& heap, size_t bytes) {
  constexpr size_t kLeaf = 32;
  constexpr size_t kArray = 8 * kKiB;
  constexpr size_t kSlots = kArray / sizeof(uint64_t);
  Graph graph;
  std::vector<uintptr_t> leaves = NewMany(heap, graph, bytes / (kLeaf + sizeof(uint64_t)) / kSlots * kSlots, kLeaf);
  std::shuffle(leaves.begin(), leaves.end(), std::mt19937_64(3));
  for (size_t i = 0; i < leaves.size(); i += kSlots) {
    const uintptr_t array = New(heap, graph, kArray);
    std::copy_n(leaves.begin() + static_cast<ptrdiff_t>(i), kSlots, WordsOf(array));
    graph.roots.push_back(array);
  }
  return graph;
}

// One table of buckets, chains of three nodes of 48 bytes, each with a value of 32.
Graph HashTable(ObjectSource& heap, size_t bytes) {
  constexpr size_t kEntry = 48;
  constexpr size_t kValue = 32;
  constexpr size_t kChain = 3;
  Graph graph;
  const size_t buckets = bytes / (kChain * (kEntry + kValue) + sizeof(uint64_t));
  std::vector<uintptr_t> entries = NewMany(heap, graph, buckets * kChain, kEntry);
  std::vector<uintptr_t> values = NewMany(heap, graph, buckets * kChain, kValue);
  std::shuffle(entries.begin(), entries.end(), std::mt19937_64(4));
  std::shuffle(values.begin(), values.end(), std::mt19937_64(5));
  for (size_t i = 0; i < entries.size(); ++i) {
    WordsOf(entries[i])[0] = i % kChain == kChain - 1 ? 0 : entries[i + 1];
    WordsOf(entries[i])[2] = values[i];
  }
  // Split where one chunk could not hold it, as a program's table of tables.
  constexpr size_t kPartBytes = 16 * kMiB;
  for (size_t bucket = 0; bucket < buckets;) {
    const size_t here = std::min(buckets - bucket, kPartBytes / sizeof(uint64_t));
    const uintptr_t part = New(heap, graph, here * sizeof(uint64_t));
    for (size_t i = 0; i < here; ++i) WordsOf(part)[i] = entries[(bucket + i) * kChain];
    graph.roots.push_back(part);
    bucket += here;
  }
  return graph;
}

// 16 bytes to 1 KiB, small ones more often; as many pointers as a quarter of the words, three of four to a near object.
Graph Mix(ObjectSource& heap, size_t bytes) {
  Graph graph;
  std::mt19937_64 random(6);
  std::vector<std::pair<uintptr_t, size_t>> objects;
  while (graph.bytes < bytes) {
    const size_t most = size_t{2} << (random() % 6);  // Of 16 bytes each.
    const size_t size = 16 * (1 + random() % most);
    objects.emplace_back(New(heap, graph, size), size);
  }
  constexpr size_t kNear = 64;
  for (size_t i = 0; i < objects.size(); ++i) {
    const size_t words = objects[i].second / sizeof(uint64_t);
    uint64_t* fields = WordsOf(objects[i].first);
    fields[0] = i + 1 < objects.size() ? objects[i + 1].first : 0;
    for (size_t word = 1; word < words; word += 4) {
      const bool is_near = random() % 4 != 0;
      const size_t target = is_near ? std::min(i + random() % kNear, objects.size() - 1) : random() % objects.size();
      fields[word] = objects[target].first;
    }
  }
  graph.roots.push_back(objects[0].first);
  return graph;
}

}  // namespace

const std::vector<Shape>& Shapes() {
  static const std::vector<Shape> shapes = {
      {"lists in order, 64 B", ListsInOrder},
      {"lists shuffled, 64 B", ListsShuffled},
      {"one list in order, 64 B", OneList},
      {"depth-first tree, 64 B", TreeDepthFirst<kNode>},
      {"depth-first tree, 16 B", TreeDepthFirst<16>},
      {"breadth-first tree, 64 B", TreeBreadthFirst},
      {"random graph, 64 B", RandomGraph},
      {"8 KiB arrays of 32 B leaves", WideArrays},
      {"hash table, 48 + 32 B", HashTable},
      {"mix 16 B to 1 KiB", Mix},
  };
  return shapes;
}

}  // namespace acre::bench
