// Each source of roots keeps its object, and nothing else does: with the source left out (droproot=), the object is
// freed.

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>

#include "tests/support/allocator/collected_heap.h"

namespace acre {
namespace {

using os::RootSource;
using os::RootSources;
using testing::AttachedMutator;
using testing::CollectedHeap;
using testing::Hidden;
using testing::OnFreshThread;

constexpr size_t kMarkBytes = 48;

CollectorOptions Without(RootSources dropped) {
  CollectorOptions options;
  options.debug.dropped_roots = dropped;
  options.debug.clobbers_freed = true;  // So that a freed object is seen by its contents.
  return options;
}

[[gnu::noinline]] void* MakeMarked(AttachedMutator& mutator) {
  auto* object = static_cast<uint64_t*>(mutator.Allocate(kPlain, kMarkBytes));
  object[3] = 0x1234;
  return object;
}

bool IsMarkedStill(const Hidden& object) { return static_cast<const uint64_t*>(object.get())[3] == 0x1234; }

void CollectTwice(CollectedHeap& heap) {
  OnFreshThread(heap, [](AttachedMutator& mutator) {
    mutator.Collect();
    mutator.Collect();
  });
}

// Whether an object lives that a registered word, range or callback holds. Nothing of them lies on a stack.
bool LivesByHandle(RootSources dropped) {
  CollectedHeap heap(Without(dropped));
  const auto root = std::make_unique<RootWord>();
  heap.roots().Add(*root);
  OnFreshThread(heap, [&](AttachedMutator& mutator) { root->object = MakeMarked(mutator); });
  CollectTwice(heap);
  heap.roots().Remove(*root);
  return IsMarkedStill(Hidden(root->object));
}

bool LivesByRange(RootSources dropped) {
  CollectedHeap heap(Without(dropped));
  const auto words = std::make_unique<void*[]>(10);
  const auto range = std::make_unique<RootRange>();
  range->base = words.get();
  range->limit = words.get() + 10;
  heap.roots().Add(*range);
  OnFreshThread(heap, [&](AttachedMutator& mutator) { words[9] = MakeMarked(mutator); });
  CollectTwice(heap);
  heap.roots().Remove(*range);
  return IsMarkedStill(Hidden(words[9]));
}

bool LivesByCallback(RootSources dropped) {
  CollectedHeap heap(Without(dropped));
  const auto held = std::make_unique<Hidden>();
  const auto callback = std::make_unique<RootCallback>();
  callback->function = [](void* context, acre_tracer* tracer) {
    acre_visit(tracer, static_cast<Hidden*>(context)->get());
  };
  callback->context = held.get();
  heap.roots().Add(*callback);
  OnFreshThread(heap, [&](AttachedMutator& mutator) { *held = Hidden(MakeMarked(mutator)); });
  CollectTwice(heap);
  heap.roots().Remove(*callback);
  return IsMarkedStill(*held);
}

// In a frame of a thread that is blocked, away from where registers are spilled.
bool LivesByStack(RootSources dropped) {
  CollectedHeap heap(Without(dropped));
  Hidden object;
  OnFreshThread(heap, [&](AttachedMutator& mutator) {
    void* volatile held[100] = {};
    held[50] = MakeMarked(mutator);
    object = Hidden(held[50]);
    World::Block(
        mutator.mutator(), [](void* collected) { CollectTwice(*static_cast<CollectedHeap*>(collected)); }, &heap);
    EXPECT_EQ(held[50], object.get());
  });
  return IsMarkedStill(object);
}

struct Case {
  const char* name;
  bool (*lives)(RootSources dropped);
  RootSource source;
  RootSources others;
};

class DroppedRoots : public ::testing::TestWithParam<Case> {};

TEST_P(DroppedRoots, SourceKeepsItsObjectAndNothingElseDoes) {
  EXPECT_TRUE(GetParam().lives({}));
  EXPECT_FALSE(GetParam().lives(GetParam().source));
  EXPECT_TRUE(GetParam().lives(GetParam().others)) << "another switch does not drop it";
}

INSTANTIATE_TEST_SUITE_P(
    Sources, DroppedRoots,
    ::testing::Values(
        Case{"handles", LivesByHandle, RootSource::kHandles,
             RootSources(RootSource::kRanges) | RootSource::kCallbacks | RootSource::kStacks},
        Case{"ranges", LivesByRange, RootSource::kRanges,
             RootSources(RootSource::kHandles) | RootSource::kCallbacks | RootSource::kStacks},
        Case{"callbacks", LivesByCallback, RootSource::kCallbacks,
             RootSources(RootSource::kHandles) | RootSource::kRanges | RootSource::kStacks},
        Case{"stacks", LivesByStack, RootSource::kStacks,
             RootSources(RootSource::kHandles) | RootSource::kRanges | RootSource::kCallbacks}),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace acre
