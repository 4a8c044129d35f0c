#include "os/thread_bounds.h"

#include <gtest/gtest.h>
#include <errno.h>
#include <pthread.h>
#include <sys/resource.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include "tests/support/child.h"
#include "tests/unit/os/mappings.h"

namespace acre::os {
namespace {

// The frame, because the address sanitizer may keep locals elsewhere.
uintptr_t Here() { return reinterpret_cast<uintptr_t>(__builtin_frame_address(0)); }

bool Contains(StackBounds bounds, uintptr_t address) { return address >= bounds.low && address < bounds.high; }

struct Mapping {
  uintptr_t base = 0;
  uintptr_t limit = 0;
  std::string protection;
  std::string name;
};

Mapping MappingAt(uintptr_t address) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    Mapping mapping;
    char protection[8] = {};
    char name[256] = {};
    const int fields = std::sscanf(line.c_str(), "%lx-%lx %7s %*s %*s %*s %255s", &mapping.base, &mapping.limit,
                                   protection, name);
    if (fields < 3) continue;  // A mapping may have no name.
    mapping.protection = protection;
    mapping.name = name;
    if (address >= mapping.base && address < mapping.limit) return mapping;
  }
  return {};
}

TEST(ThreadBounds, MainStackIsTheMappingThatTheKernelCallsStack) {
  const StackBounds bounds = CurrentStackBounds();
  EXPECT_TRUE(Contains(bounds, Here()));
  const Mapping mapping = MappingAt(Here());
  EXPECT_EQ(mapping.name, "[stack]");
  EXPECT_TRUE(bounds.high > Here() && bounds.high <= mapping.limit);
  EXPECT_LE(bounds.low, mapping.base);
}

TEST(ThreadBounds, MainStackReachesAsFarAsItsLimit) {
  struct rlimit limit;
  ASSERT_EQ(getrlimit(RLIMIT_STACK, &limit), 0);
  if (limit.rlim_cur == RLIM_INFINITY) GTEST_SKIP() << "the stack has no limit here";
  const StackBounds bounds = CurrentStackBounds();
  EXPECT_EQ(bounds.high - bounds.low, limit.rlim_cur);
}

TEST(ThreadBounds, MainStackWithoutLimitContainsTheFrame) {
  const auto result = acre::testing::RunInChild([] {
    struct rlimit limit;
    if (getrlimit(RLIMIT_STACK, &limit) != 0) return 1;
    limit.rlim_cur = limit.rlim_max;  // Without limit on most machines.
    if (setrlimit(RLIMIT_STACK, &limit) != 0) return 2;
    const StackBounds bounds = CurrentStackBounds();
    return Contains(bounds, Here()) && bounds.high <= MappingAt(Here()).limit ? 0 : 3;
  });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
}

// What the C library hands out belongs to the thread from the guard to the end of the mapping or, where the thread's
// stack is next to another mapping of the same kind, to within it.
TEST(ThreadBounds, ThreadsStackIsTheWritablePartOfItsMapping) {
  std::thread([] {
    const StackBounds bounds = CurrentStackBounds();
    EXPECT_TRUE(Contains(bounds, Here()));
    const Mapping mapping = MappingAt(Here());
    EXPECT_EQ(mapping.protection.substr(0, 2), "rw");
    EXPECT_EQ(bounds.low, mapping.base);
    EXPECT_LE(bounds.high, mapping.limit);
    EXPECT_EQ(MappingAt(bounds.low - 1).protection.substr(0, 3), "---");
  }).join();
}

TEST(ThreadBounds, ThreadsStackHoldsItsStaticThreadLocals) {
  std::thread([] {
    static thread_local volatile int local = 0;
    const StackBounds bounds = CurrentStackBounds();
    if (kHasShadow) return;  // The sanitizers' libraries may take the room.
    EXPECT_TRUE(Contains(bounds, reinterpret_cast<uintptr_t>(&local)));
  }).join();
}

TEST(ThreadBounds, StackOfTheThreadsOwnMakingIsReported) {
  constexpr size_t kBytes = size_t{1} << 20;
  const auto memory = std::make_unique<char[]>(kBytes + 4096);
  const uintptr_t low = (reinterpret_cast<uintptr_t>(memory.get()) + 4095) / 4096 * 4096;
  pthread_attr_t attributes;
  ASSERT_EQ(pthread_attr_init(&attributes), 0);
  ASSERT_EQ(pthread_attr_setstack(&attributes, reinterpret_cast<void*>(low), kBytes), 0);
  StackBounds bounds = {};
  pthread_t thread;
  const auto body = [](void* result) -> void* {
    *static_cast<StackBounds*>(result) = CurrentStackBounds();
    return nullptr;
  };
  ASSERT_EQ(pthread_create(&thread, &attributes, body, &bounds), 0);
  ASSERT_EQ(pthread_join(thread, nullptr), 0);
  pthread_attr_destroy(&attributes);
  EXPECT_EQ(bounds.low, low);
  EXPECT_EQ(bounds.high, low + kBytes);
}

TEST(ThreadBounds, ErrnoIsKept) {
  errno = 4711;
  (void)CurrentStackBounds();
  EXPECT_EQ(errno, 4711);
  std::thread([] {
    errno = 4711;
    (void)CurrentStackBounds();
    EXPECT_EQ(errno, 4711);
  }).join();
}

// In the child the thread that forked has the process's number, but not the stack that the kernel made for the process.
TEST(ThreadBounds, ThreadThatForkedKeepsItsStackInTheChild) {
  bool is_right = false;
  std::thread([&] {
    const StackBounds before = CurrentStackBounds();
    const auto result = acre::testing::RunInChild([&] {
      const StackBounds after = CurrentStackBounds();
      return after.low == before.low && after.high == before.high ? 0 : 1;
    });
    is_right = result.exited_with(0);
  }).join();
  EXPECT_TRUE(is_right);
}

TEST(ThreadBounds, MainThreadOnAnotherStackStillReportsItsOwn) {
  if (kHasShadow) GTEST_SKIP() << "the sanitizer is not told of the change of stacks";
  static ucontext_t back;
  static ucontext_t other;
  static StackBounds bounds;
  static bool is_elsewhere;
  const StackBounds expected = CurrentStackBounds();
  static char stack[256 * 1024];
  ASSERT_EQ(getcontext(&other), 0);
  other.uc_stack.ss_sp = stack;
  other.uc_stack.ss_size = sizeof stack;
  other.uc_link = &back;
  makecontext(&other, [] {
    bounds = CurrentStackBounds();
    is_elsewhere = !Contains(bounds, Here());
  }, 0);
  ASSERT_EQ(swapcontext(&back, &other), 0);
  EXPECT_TRUE(is_elsewhere);
  // The C library's answer is that of the kernel's memory map, in whole os pages.
  EXPECT_TRUE(Contains(bounds, Here()));
  EXPECT_GE(bounds.high, expected.high);
}

}  // namespace
}  // namespace acre::os
