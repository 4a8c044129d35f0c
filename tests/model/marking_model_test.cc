// The marker beside the plain one: random graphs, every option, every scan kernel, one thread and several, with and without
// memory for the stack. The mark bits of the whole heap must be the same.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "allocator/collect/mark_lifo.h"
#include "allocator/collect/mark_verifier.h"
#include "allocator/collect/marker.h"
#include "arch/scan.h"
#include "tests/support/allocator/random_graph.h"

namespace acre {
namespace {

using testing::Random;
using testing::RandomGraph;

constexpr uint64_t kBoxMask = uint64_t{0xffff} << 48;

// Which of the graph's huge chunks a marking came to. Nothing in them is scanned.
class HugeMarks {
 public:
  HugeMarks(const RandomGraph& graph, MarkerOptions* options) : graph_(graph) {
    options->huge_objects = {this, &HugeMarks::Mark, nullptr};
  }
  uint64_t Take() { return reached_.exchange(0); }

 private:
  static bool Mark(void* context, uintptr_t word) {
    auto* self = static_cast<HugeMarks*>(context);
    const std::vector<uintptr_t>& chunks = self->graph_.huge_chunks();
    const auto chunk = std::find(chunks.begin(), chunks.end(), word & ~kChunkMask);
    EXPECT_NE(chunk, chunks.end()) << word;
    self->reached_ |= uint64_t{1} << (chunk - chunks.begin());
    return false;
  }

  const RandomGraph& graph_;
  std::atomic<uint64_t> reached_{0};
};

std::vector<uint64_t> ExpectedBits(RandomGraph& graph, const MarkerOptions& options) {
  std::vector<uintptr_t> stack(graph.objects());
  MarkLifo plain(graph.heap().table(), graph.kinds(), options, stack);
  ClearMarks(graph.heap().table());
  for (const uint64_t root : graph.roots()) plain.AddRoot(root);
  EXPECT_TRUE(plain.Drain());
  return graph.WhiteBits();
}

std::vector<uint64_t> MarkerBits(RandomGraph& graph, const MarkerOptions& options, uint32_t threads, Random& random) {
  Marker marker(graph.heap().space(), graph.heap().table(), graph.kinds(), options);
  EXPECT_EQ(marker.Prepare(threads), Status::kOk);
  ClearMarks(graph.heap().table());
  marker.Begin();
  const auto base = reinterpret_cast<uintptr_t>(graph.roots().data());
  const uintptr_t limit = base + graph.roots().size() * sizeof(uint64_t);
  switch (random.Below(3)) {
    case 0: marker.AddRootRange(base, limit); break;
    case 1: marker.ScanRootRange(base, limit); break;
    default:
      for (const uint64_t root : graph.roots()) marker.AddRoot(root);
  }
  if (threads == 1) {
    const size_t rounds = random.OneIn(2) ? 1 : SIZE_MAX;
    while (!marker.DrainSome(rounds)) {
    }
  } else {
    marker.BeginParallel(threads);
    std::vector<std::thread> others;
    for (uint32_t number = 1; number < threads; ++number) others.emplace_back([&, number] { marker.Work(number); });
    marker.Work(0);
    for (std::thread& other : others) other.join();
  }
  marker.Finish();
  CheckMarks(graph.heap().table());
  // And the one that looks for the marker's faults at run time: a difference would be fatal.
  MarkVerifier verifier(graph.heap().space(), graph.heap().table(), graph.kinds(), options, nullptr);
  verifier.recorder().range(verifier.recorder().context, base, limit);
  EXPECT_TRUE(verifier.Run());
  EXPECT_EQ(verifier.reached_objects(), CountMarks(graph.heap().table()).objects);
  return graph.WhiteBits();
}

MarkerOptions AnyOptions(Random& random) {
  MarkerOptions options;
  if (random.OneIn(3)) options.end_pointers = EndPointers::kCount;
  if (random.OneIn(4)) {
    options.value_format = {.tag_mask = kBoxMask, .tag = RandomGraph::kBox, .tag_xor = RandomGraph::kBox,
                            .tag_and = ~uint64_t{0}};
  }
  if (random.OneIn(3)) options.max_stack_bytes = random.Below(3) * MarkSegment::kBytes;
  std::vector<const arch::ScanBody*> bodies;
  for (const arch::ScanBody& body : arch::ScanBodies()) {
    if (body.is_supported(arch::DetectCpuFeatures())) bodies.push_back(&body);
  }
  options.scan_body = bodies[random.Below(bodies.size())];
  return options;
}

void RunModel(const char* what, size_t graphs, size_t objects, unsigned max_size_bits) {
  Random random(testing::Seed(what));
  size_t marked = 0;
  size_t marked_huge = 0;
  for (size_t number = 0; number < graphs; ++number) {
    RandomGraph graph(random, 1 + random.Below(objects), max_size_bits);
    for (int round = 0; round < 4; ++round) {
      MarkerOptions options = AnyOptions(random);
      HugeMarks huge(graph, &options);
      const std::vector<uint64_t> expected = ExpectedBits(graph, options);
      const uint64_t expected_huge = huge.Take();
      marked_huge += expected_huge != 0;
      marked += CountMarks(graph.heap().table()).objects;
      for (const uint32_t threads : {1u, 2u, 4u}) {
        ASSERT_EQ(MarkerBits(graph, options, threads, random), expected)
            << "graph " << number << ", " << threads << " threads, " << options.scan_body->name << ", end pointers "
            << static_cast<int>(options.end_pointers) << ", box " << options.value_format.tag << ", stack "
            << options.max_stack_bytes;
        ASSERT_EQ(huge.Take(), expected_huge) << "graph " << number;
      }
    }
  }
  EXPECT_GT(marked, 0u);
  constexpr size_t kEnoughGraphs = 40;  // Of a few, none may have a huge chunk.
  EXPECT_TRUE(graphs < kEnoughGraphs || marked_huge > 0);
}

TEST(MarkingModelTest, SmallObjectsAreMarkedAsByThePlainMarker) { RunModel("small graphs", 60, 5000, 7); }
TEST(MarkingModelTest, ObjectsOfAllSizesAreMarkedAsByThePlainMarker) { RunModel("mixed graphs", 40, 2000, 15); }
TEST(MarkingModelTest, ObjectsUpToAMegabyteAreMarkedAsByThePlainMarker) { RunModel("large graphs", 10, 400, 20); }
TEST(MarkingModelTest, ManyObjectsOverflowTheStackAndAreMarkedAsByThePlainMarker) {
  RunModel("wide graphs", 3, 200'000, 8);
}

}  // namespace
}  // namespace acre
