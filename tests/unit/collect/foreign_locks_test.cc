#include "tests/support/foreign_locks.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "os/clock.h"
#include "os/foreign_locks.h"
#include "os/thread.h"
#include "tests/support/allocator/collected_heap.h"
#include "tests/support/child.h"

// That a call of the C library during a stop is found at all; whether the collector makes any, every test of this program
// and of the others that link acre_test_foreign_locks shows.

namespace acre {
namespace {

using testing::AttachedMutator;
using testing::ChildResult;
using testing::CollectedHeap;
using testing::RunInChild;

struct ForbiddenCall {
  const char* name;
  void (*call)();
};

// The compiler knows what these functions do, and leaves them out where nobody would miss them.
void* volatile block = nullptr;
const char* volatile text = "";

constexpr ForbiddenCall kForbiddenCalls[] = {
    {"malloc", [] { block = std::malloc(100); }},
    {"free", [] { std::free(block); }},
    {"getenv", [] { block = std::getenv("PATH"); }},
    {"fputs", [] { std::fputs(text, stderr); }},
    {"dlopen", [] { block = dlopen(nullptr, RTLD_LAZY); }},
    {"dl_iterate_phdr", [] { dl_iterate_phdr([](dl_phdr_info*, size_t, void*) { return 1; }, nullptr); }},
    {"pthread_create",
     [] {
       pthread_t thread;
       pthread_create(&thread, nullptr, [](void*) -> void* { return nullptr; }, nullptr);
     }},
};

std::string LineAbout(const char* name) {
  return std::string("acre: ") + name + " is called while the world is stopped: a stopped thread may hold its lock";
}

void ExpectDeath(const ChildResult& result, const char* name) {
  EXPECT_TRUE(result.killed_by(SIGABRT)) << name << ": " << result.Describe();
  ASSERT_FALSE(result.error_lines().empty()) << name;
  EXPECT_EQ(result.error_lines().back(), LineAbout(name));
}

TEST(ForeignLocks, CallByTheCollectingThreadWhileTheWorldIsStoppedIsFatal) {
  if (!testing::kAreForeignLocksPoisoned) GTEST_SKIP() << "a sanitizer replaces these functions itself";
  for (const ForbiddenCall& forbidden : kForbiddenCalls) {
    const ChildResult result = RunInChild([&] {
      CollectedHeap heap;
      RootCallback callback = {};
      callback.function = [](void* context, acre_tracer*) { static_cast<const ForbiddenCall*>(context)->call(); };
      callback.context = const_cast<ForbiddenCall*>(&forbidden);
      forbidden.call();  // Nothing is stopped yet.
      block = nullptr;
      heap.roots().Add(callback);
      AttachedMutator mutator(heap);
      mutator.Collect();
      return 1;
    });
    ExpectDeath(result, forbidden.name);
  }
}

int32_t collecting_thread = 0;

// The collecting thread allocates nothing, the others do: several of them, as soon as one helps.
bool TraceByHelpers(void*, void* object, size_t bytes, Tracer* tracer) {
  if (os::CurrentThreadId() != collecting_thread) block = std::malloc(100);
  for (size_t word = 0; word < bytes / sizeof(uint64_t); ++word) tracer->Visit(static_cast<uint64_t*>(object)[word]);
  return true;
}

TEST(ForeignLocks, CallByAThreadThatHelpsMarkIsFatal) {
  if (!testing::kAreForeignLocksPoisoned) GTEST_SKIP() << "a sanitizer replaces these functions itself";
  const ChildResult result = RunInChild([] {
    collecting_thread = os::CurrentThreadId();
    CollectorOptions options;
    options.mark_workers = 4;
    CollectedHeap heap(options);
    Kind kind = 0;
    if (heap.collector().kinds().AddFunction(TraceByHelpers, nullptr, &kind) != Status::kOk) return 2;
    AttachedMutator mutator(heap);
    constexpr size_t kLists = 64;
    constexpr size_t kNodeBytes = 128;
    constexpr size_t kHeapBytes = 64 * kMiB;
    void** lists[kLists] = {};
    for (size_t i = 0; i < kHeapBytes / kNodeBytes; ++i) {
      auto** node = static_cast<void**>(mutator.Allocate(kind, kNodeBytes));
      *node = lists[i % kLists];
      lists[i % kLists] = node;
    }
    // Until a helper has had a CPU.
    const uint64_t end_ns = os::MonotonicNs() + 20 * os::kNsPerSecond;
    while (os::MonotonicNs() < end_ns) mutator.Collect();
    return lists[0] != nullptr ? 1 : 3;
  });
  ExpectDeath(result, "malloc");
}

TEST(ForeignLocks, AreAllowedAgainAfterTheStop) {
  CollectedHeap heap;
  AttachedMutator mutator(heap);
  EXPECT_FALSE(os::AreForeignLocksForbidden());
  bool was_forbidden = false;
  RootCallback callback = {};
  callback.function = [](void* context, acre_tracer*) {
    *static_cast<bool*>(context) = os::AreForeignLocksForbidden();
  };
  callback.context = &was_forbidden;
  heap.roots().Add(callback);
  mutator.Collect();
  heap.roots().Remove(callback);
  EXPECT_TRUE(was_forbidden);
  EXPECT_FALSE(os::AreForeignLocksForbidden());
}

}  // namespace
}  // namespace acre
