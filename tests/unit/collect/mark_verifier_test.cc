#include "allocator/collect/mark_verifier.h"

#include <gtest/gtest.h>

#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include "allocator/collect/marker.h"
#include "os/fake/fake_memory.h"
#include "tests/support/allocator/collected_heap.h"
#include "tests/support/allocator/mark_heap.h"
#include "tests/support/child.h"

namespace acre {
namespace {

using testing::AttachedMutator;
using testing::ChildResult;
using testing::CollectedHeap;
using testing::MarkHeap;
using testing::WordsOf;

// A list of three objects, marked from its head; then something is done to the marks.
class MarkVerifierTest : public ::testing::Test {
 protected:
  MarkVerifierTest() {
    second_ = heap_.Allocate(kConservative, 64);
    first_ = heap_.Allocate(kConservative, 48);
    third_ = heap_.Allocate(kPlain, 100'000);
    WordsOf(first_)[5] = second_ + 17;
    WordsOf(second_)[2] = third_ + 50'000;
    WordsOf(third_)[0] = stray_ = heap_.Allocate(kConservative, 32);
    EXPECT_EQ(marker_.Prepare(1), Status::kOk);
    ClearMarks(heap_.table());
    marker_.Begin();
    marker_.AddRoot(first_);
    marker_.Drain();
    marker_.Finish();
  }

  bool Verify(bool is_racing = false) {
    MarkVerifier verifier(heap_.space(), heap_.table(), kinds_, marker_.options(), nullptr);
    verifier.set_racing(is_racing);
    marker_.set_recorder(&verifier.recorder());
    marker_.AddRoot(first_);
    marker_.set_recorder(nullptr);
    const bool was_done = verifier.Run();
    reached_ = verifier.reached_objects();
    return was_done;
  }

  // What it says as it dies.
  std::string Complaint() {
    const ChildResult result = testing::RunInChild([this] {
      Verify();
      return 0;
    });
    EXPECT_TRUE(result.killed_by(SIGABRT)) << result.Describe();
    return result.error_output;
  }

  void SetMarked(uintptr_t object, bool is_marked) {
    const Slot slot = FindSlot(heap_.table(), object);
    (is_marked ? ClearBits : SetBits)(WhiteBitsOf(slot.span), slot.index, 1);
  }

  static std::string Text(uintptr_t address) {
    os::Line line;
    line << os::Hex{address};
    return line.text();
  }

  MarkHeap heap_;
  KindTable kinds_;
  Marker marker_{heap_.space(), heap_.table(), kinds_, {}};
  uintptr_t first_;
  uintptr_t second_;
  uintptr_t third_;
  uintptr_t stray_;
  size_t reached_ = 0;
};

TEST_F(MarkVerifierTest, AgreesWithTheMarker) {
  EXPECT_TRUE(Verify());
  EXPECT_EQ(reached_, 3u);
}

TEST_F(MarkVerifierTest, MissedObjectIsNamedWithWhatPointsToIt) {
  SetMarked(second_, false);
  const std::string complaint = Complaint();
  EXPECT_NE(complaint.find("missed the live object at " + Text(second_) + " (64 bytes, kind 0 conservative"),
            std::string::npos)
      << complaint;
  EXPECT_NE(complaint.find("the word 40 bytes into the object at " + Text(first_) + " (48 bytes"), std::string::npos)
      << complaint;
}

TEST_F(MarkVerifierTest, MissedLargeObjectIsNamed) {
  SetMarked(third_, false);
  const std::string expected = Text(third_) + " (106496 bytes, kind 193 without pointers, large)";
  EXPECT_NE(Complaint().find("missed the live object at " + expected), std::string::npos);
}

TEST_F(MarkVerifierTest, MissedObjectOfARootIsNamed) {
  SetMarked(first_, false);
  EXPECT_NE(Complaint().find("to it points a root\n"), std::string::npos);
}

TEST_F(MarkVerifierTest, ObjectKeptForNoReasonIsNamed) {
  SetMarked(stray_, true);
  EXPECT_NE(Complaint().find("kept an object that nothing reaches, at " + Text(stray_) + " (32 bytes, kind 0"),
            std::string::npos);
}

// Every memory call of the verifier fails in turn.
TEST(MarkVerifierMemory, WithoutMemoryNothingIsVerifiedAndALineSaysSo) {
  os::FakeMemory fake;
  MarkHeap heap(fake.calls());
  KindTable kinds;
  Marker marker(heap.space(), heap.table(), kinds, {});
  ASSERT_EQ(marker.Prepare(1), Status::kOk);
  // More than the verifier's first stack has room for.
  constexpr size_t kCount = 100'000;
  std::vector<uintptr_t> objects;
  for (size_t i = 0; i < kCount; ++i) objects.push_back(heap.Allocate(kConservative, 16));
  const auto base = reinterpret_cast<uintptr_t>(objects.data());
  const uintptr_t limit = base + kCount * sizeof(uintptr_t);
  ClearMarks(heap.table());
  marker.Begin();
  marker.AddRootRange(base, limit);
  marker.Drain();
  marker.Finish();
  size_t failures = 0;
  for (;; ++failures) {
    ::testing::internal::CaptureStderr();
    const size_t mapped = fake.mapped_bytes();
    fake.FailNth(failures + 1, ENOMEM, os::FakeMemory::Repeat::kOnce, os::FakeMemory::Kind::kMap);
    bool was_done;
    {
      MarkVerifier verifier(heap.space(), heap.table(), kinds, marker.options(), nullptr);
      verifier.recorder().range(verifier.recorder().context, base, limit);
      was_done = verifier.Run();
    }
    const bool has_failed = fake.HasFailed();
    fake.StopFailing();
    EXPECT_EQ(fake.mapped_bytes(), mapped);
    const std::string output = ::testing::internal::GetCapturedStderr();
    EXPECT_EQ(was_done, !has_failed);
    EXPECT_EQ(output, has_failed ? "acre: no memory to verify a marking\n" : "");
    if (!has_failed) break;
  }
  EXPECT_GE(failures, 4u) << "the table, the stack, its growth, and a chunk's lines";
}

// A thread in a blocking call runs on: a word of its stack may be another one by now.
TEST_F(MarkVerifierTest, RootsOfThreadsThatRunOnMayHaveChanged) {
  SetMarked(first_, false);
  EXPECT_TRUE(Verify(true));
  EXPECT_EQ(reached_, 0u);
}

TEST_F(MarkVerifierTest, WhatSuchRootsKeepLeadsOnAllTheSame) {
  SetMarked(second_, false);
  const ChildResult result = testing::RunInChild([this] {
    Verify(true);
    return 0;
  });
  EXPECT_TRUE(result.killed_by(SIGABRT)) << result.Describe();
}

// A trace function that forgets a word when it is called a second time: what a mistaken one would do in the marker.
TEST(MarkVerifierInCycle, DifferenceEndsTheCycleWithALine) {
  const ChildResult result = testing::RunInChild([] {
    CollectorOptions options;
    options.debug.verifies_marks = true;
    CollectedHeap heap(options);
    Kind kind;
    int calls = 0;
    const auto trace = [](void* context, void* object, size_t, acre_tracer* tracer) {
      if (++*static_cast<int*>(context) == 1) tracer->Visit(*static_cast<void**>(object));
      return true;
    };
    if (heap.collector().kinds().AddFunction(trace, &calls, &kind) != Status::kOk) return 1;
    RootWord root = {};
    heap.roots().Add(root);
    // By a thread that ends: on no stack there is a word that points to what the object holds.
    std::thread([&] {
      AttachedMutator mutator(heap);
      root.object = mutator.Allocate(kind, 32);
      *static_cast<void**>(root.object) = mutator.Allocate(kConservative, 10'000);
    }).join();
    AttachedMutator mutator(heap);
    mutator.Collect();
    return 2;
  });
  EXPECT_TRUE(result.killed_by(SIGABRT)) << result.Describe();
  EXPECT_NE(result.error_output.find("marking has kept an object that nothing reaches"), std::string::npos)
      << result.Describe();
}

}  // namespace
}  // namespace acre
