// Each test runs in a thread of its own whose signal stack (a sanitizer sets one) is put away first, and put back.

#include "os/signal_stack.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>

#include "os/fake/fake_memory.h"
#include "os/kernel_bugs.h"
#include "tests/support/child.h"
#include "tests/unit/os/linux/fresh_kernel_bug_state.h"
#include "tests/unit/os/mappings.h"

namespace acre::os {
namespace {

stack_t CurrentStack() {
  stack_t current = {};
  EXPECT_EQ(sigaltstack(nullptr, &current), 0);
  return current;
}

bool HasStack() { return (CurrentStack().ss_flags & SS_DISABLE) == 0; }

void SetNoStack() {
  stack_t none = {};
  none.ss_flags = SS_DISABLE;
  ASSERT_EQ(sigaltstack(&none, nullptr), 0);
}

void InThreadWithoutStack(const std::function<void()>& body) {
  std::thread([&] {
    stack_t kept = CurrentStack();
    SetNoStack();
    body();
    // The kernel wants a size even for none.
    if ((kept.ss_flags & SS_DISABLE) != 0) {
      SetNoStack();
    } else {
      ASSERT_EQ(sigaltstack(&kept, nullptr), 0);
    }
  }).join();
}

// Where the last handler ran, and what it is to do there.
std::atomic<uintptr_t> handler_address{0};
void (*in_handler)() = nullptr;

void NoteAddress(int) {
  // Not the address of a variable, which a sanitizer may keep elsewhere.
  handler_address.store(reinterpret_cast<uintptr_t>(__builtin_frame_address(0)));
  if (in_handler != nullptr) in_handler();
}

void RaiseOnSignalStack(void (*action)()) {
  in_handler = action;
  handler_address.store(0);
  struct sigaction ours = {};
  struct sigaction before = {};
  ours.sa_handler = NoteAddress;
  ours.sa_flags = SA_ONSTACK;
  ASSERT_EQ(sigaction(SIGUSR1, &ours, &before), 0);
  ASSERT_EQ(raise(SIGUSR1), 0);
  ASSERT_EQ(sigaction(SIGUSR1, &before, nullptr), 0);
  in_handler = nullptr;
}

bool HoldsAddress(const SignalStack& stack, uintptr_t address) {
  return address >= stack.base() && address < stack.limit();
}

TEST(SignalStack, HasRoomAGuardAndAName) {
  SignalStack stack;
  EXPECT_FALSE(stack.is_created());
  ASSERT_EQ(stack.Create(KernelMemoryCalls()), Status::kOk);
  EXPECT_TRUE(stack.is_created());
  EXPECT_GE(stack.limit() - stack.base(), size_t{64} * 1024);
  constexpr unsigned long kAuxMinSignalStack = 51;
  EXPECT_GE(stack.limit() - stack.base(), getauxval(kAuxMinSignalStack) + 16 * 1024);
  EXPECT_EQ(stack.limit() % OsPageBytes(), 0u);
  EXPECT_EQ(ProtectionAt(stack.base()), "rw-p");
  EXPECT_EQ(ProtectionAt(stack.limit() - 1), "rw-p");
  EXPECT_EQ(ProtectionAt(stack.base() - 1), "---p");
  EXPECT_EQ(ProtectionAt(stack.base() - OsPageBytes()), "---p");
  if (MapsMention("[anon:")) {  // The kernel can name mappings.
    EXPECT_TRUE(MapsMention("[anon:acre: signal stack]"));
  }
  const uintptr_t base = stack.base();
  stack.Destroy();
  EXPECT_FALSE(stack.is_created());
  EXPECT_EQ(ProtectionAt(base), "");
  EXPECT_EQ(ProtectionAt(base - OsPageBytes()), "");
}

TEST(SignalStack, FrameIsWholePagesAndFitsTheStack) {
  EXPECT_GE(SignalFrameBytes(), OsPageBytes());
  EXPECT_EQ(SignalFrameBytes() % OsPageBytes(), 0u);
  constexpr unsigned long kAuxMinSignalStack = 51;
  EXPECT_GE(SignalFrameBytes(), getauxval(kAuxMinSignalStack));
  EXPECT_LT(SignalFrameBytes(), size_t{64} * 1024);
}

TEST(SignalStack, HandlersRunOnItWhileItIsInstalled) {
  InThreadWithoutStack([] {
    SignalStack stack;
    ASSERT_EQ(stack.Create(KernelMemoryCalls()), Status::kOk);
    ASSERT_TRUE(stack.Install());
    RaiseOnSignalStack(nullptr);
    EXPECT_TRUE(HoldsAddress(stack, handler_address.load()));
    ASSERT_TRUE(stack.Uninstall());
    EXPECT_FALSE(HasStack());
    RaiseOnSignalStack(nullptr);
    EXPECT_NE(handler_address.load(), 0u);
    EXPECT_FALSE(HoldsAddress(stack, handler_address.load()));
    stack.Destroy();
  });
}

TEST(SignalStack, HandlerMayUseMostOfIt) {
  InThreadWithoutStack([] {
    SignalStack stack;
    ASSERT_EQ(stack.Create(KernelMemoryCalls()), Status::kOk);
    ASSERT_TRUE(stack.Install());
    RaiseOnSignalStack([] {
      volatile char room[32 * 1024];
      for (size_t i = 0; i < sizeof room; i += 512) room[i] = 1;
    });
    EXPECT_TRUE(HoldsAddress(stack, handler_address.load()));
    ASSERT_TRUE(stack.Uninstall());
    stack.Destroy();
  });
}

TEST(SignalStack, ThreadsOwnStackIsLeftAlone) {
  InThreadWithoutStack([] {
    std::vector<char> memory(64 * 1024);
    stack_t own = {};
    own.ss_sp = memory.data();
    own.ss_size = memory.size();
    ASSERT_EQ(sigaltstack(&own, nullptr), 0);
    SignalStack stack;
    ASSERT_EQ(stack.Create(KernelMemoryCalls()), Status::kOk);
    EXPECT_FALSE(stack.Install());
    EXPECT_EQ(CurrentStack().ss_sp, memory.data());
    EXPECT_TRUE(stack.Uninstall());
    EXPECT_EQ(CurrentStack().ss_sp, memory.data());
    EXPECT_EQ(CurrentStack().ss_size, memory.size());
    stack.Destroy();
    SetNoStack();
  });
}

TEST(SignalStack, StackThatTheApplicationSetMeanwhileStays) {
  InThreadWithoutStack([] {
    SignalStack stack;
    ASSERT_EQ(stack.Create(KernelMemoryCalls()), Status::kOk);
    ASSERT_TRUE(stack.Install());
    std::vector<char> memory(64 * 1024);
    stack_t own = {};
    own.ss_sp = memory.data();
    own.ss_size = memory.size();
    stack_t before = {};
    ASSERT_EQ(sigaltstack(&own, &before), 0);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(before.ss_sp), stack.base());
    EXPECT_TRUE(stack.Uninstall());
    EXPECT_EQ(CurrentStack().ss_sp, memory.data());
    stack.Destroy();
    SetNoStack();
  });
}

SignalStack* stack_of_handler = nullptr;
bool was_uninstalled_in_handler = true;

TEST(SignalStack, IsNotUninstalledWhileAHandlerRunsOnIt) {
  InThreadWithoutStack([] {
    SignalStack stack;
    ASSERT_EQ(stack.Create(KernelMemoryCalls()), Status::kOk);
    ASSERT_TRUE(stack.Install());
    stack_of_handler = &stack;
    RaiseOnSignalStack([] { was_uninstalled_in_handler = stack_of_handler->Uninstall(); });
    EXPECT_FALSE(was_uninstalled_in_handler);
    EXPECT_TRUE(HasStack());
    EXPECT_TRUE(stack.Uninstall());
    stack.Destroy();
  });
}

TEST(SignalStack, OverflowMeetsTheGuard) {
  if (kHasShadow) GTEST_SKIP() << "the sanitizer has its own ideas of a fault";
  const testing::ChildResult result = testing::RunInChild([] {
    SetNoStack();
    SignalStack stack;
    if (stack.Create(KernelMemoryCalls()) != Status::kOk) return 1;
    std::memset(reinterpret_cast<void*>(stack.base()), 1, stack.limit() - stack.base());
    *reinterpret_cast<volatile char*>(stack.base() - 1) = 1;
    return 0;
  });
  EXPECT_TRUE(result.killed_by(SIGSEGV)) << result.Describe();
}

TEST(SignalStack, RefusedCallsLeaveNothingBehind) {
  for (const auto kind : {FakeMemory::Kind::kMap, FakeMemory::Kind::kProtect}) {
    FakeMemory memory;
    memory.FailNth(1, ENOMEM, FakeMemory::Repeat::kOnce, kind);
    SignalStack stack;
    EXPECT_EQ(stack.Create(memory.calls()), Status::kOutOfMemory);
    EXPECT_FALSE(stack.is_created());
    EXPECT_EQ(memory.mapped_bytes(), 0u);
    ASSERT_EQ(stack.Create(memory.calls()), Status::kOk);
    stack.Destroy();
    EXPECT_EQ(memory.mapped_bytes(), 0u);
  }
}

// VmLck of /proc/self/status.
size_t LockedBytesOfProcess() {
  std::ifstream status("/proc/self/status");
  size_t kib = 0;
  for (std::string line; std::getline(status, line);) {
    if (std::sscanf(line.c_str(), "VmLck: %zu kB", &kib) == 1) break;
  }
  return kib * 1024;
}

unsigned char ResidentAt(uintptr_t address) {
  unsigned char residency = 0;
  EXPECT_EQ(mincore(reinterpret_cast<void*>(address & ~(OsPageBytes() - 1)), 1, &residency), 0);
  return residency & 1;
}

TEST(SignalStack, TouchMakesThePagesOfAFramePresentOnAnAffectedKernelOnly) {
  for (const char* debug : {"kernelbug=0", "kernelbug=1"}) {
    const testing::ChildResult result = RunWithDebug(debug, [debug] {
      const bool is_affected = HasSignalVectorBug();
      if (std::strcmp(debug, "kernelbug=1") == 0 && !is_affected) return 7;
      KeepLockError(ENOMEM);  // As if an earlier stack could not be locked.
      SignalStack stack;
      if (stack.Create(KernelMemoryCalls()) != Status::kOk) return 1;
      if (stack.is_locked()) return 2;
      const uintptr_t lowest = stack.limit() - SignalFrameBytes();
      if (ResidentAt(lowest) != 0) return 3;
      TouchBeforeSignal({stack.base(), stack.limit()});
      if (ResidentAt(lowest) != is_affected) return 4;
      if (ResidentAt(stack.limit() - 1) != is_affected) return 5;
      if (ResidentAt(stack.base()) != 0) return 6;
      stack.Destroy();
      return 0;
    });
    EXPECT_TRUE(result.exited_with(0)) << debug << " " << result.Describe();
  }
}

// "Anonymous:" of /proc/self/smaps over the mappings of a range: what has memory of its own, and not the page of zeros.
size_t AnonymousBytes(uintptr_t base, uintptr_t limit) {
  std::ifstream smaps("/proc/self/smaps");
  bool is_inside = false;
  size_t sum_kib = 0;
  for (std::string line; std::getline(smaps, line);) {
    uintptr_t from = 0;
    uintptr_t to = 0;
    size_t kib = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &from, &to) == 2) {
      is_inside = from < limit && to > base;
    } else if (is_inside && std::sscanf(line.c_str(), "Anonymous: %zu kB", &kib) == 1) {
      sum_kib += kib;
    }
  }
  return sum_kib * 1024;
}

// A page that was only read would be the kernel's page of zeros, and the first write to it a fault.
TEST(SignalStack, TouchedPagesAreWritten) {
  const testing::ChildResult result = RunWithDebug("kernelbug=1", [] {
    KeepLockError(ENOMEM);
    SignalStack stack;
    if (stack.Create(KernelMemoryCalls()) != Status::kOk) return 1;
    // The kernel may have joined the stack with a neighbour, so that only the difference tells. The first call warms up.
    (void)AnonymousBytes(stack.base(), stack.limit());
    const size_t before = AnonymousBytes(stack.base(), stack.limit());
    TouchBeforeSignal({stack.base(), stack.limit()});
    const size_t after = AnonymousBytes(stack.base(), stack.limit());
    stack.Destroy();
    return after - before == SignalFrameBytes() ? 0 : 2;
  });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
}

TEST(SignalStack, TouchChangesNoContents) {
  const testing::ChildResult result = RunWithDebug("kernelbug=1", [] {
    SignalStack stack;
    if (stack.Create(KernelMemoryCalls()) != Status::kOk) return 1;
    Fill(stack.base(), stack.limit() - stack.base(), 0xa5);
    TouchBeforeSignal({stack.base(), stack.limit()});
    const bool is_unchanged = IsFilledWith(stack.base(), stack.limit() - stack.base(), 0xa5);
    stack.Destroy();
    return is_unchanged ? 0 : 2;
  });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
}

TEST(SignalStack, LockOfTheForkingThreadsStackIsRenewedInTheChild) {
  const testing::ChildResult result = RunWithDebug("kernelbug=1", [] {
    SignalStack stack;
    if (stack.Create(KernelMemoryCalls()) != Status::kOk) return 1;
    int status = 0;
    if (stack.is_locked()) {  // Else the limit is too low here; see crash_notes_test.
      const pid_t child = fork();
      if (child == 0) {
        if (LockedBytesOfProcess() != 0) _exit(2);
        stack.LockAgainAfterFork();
        _exit(stack.is_locked() && LockedBytesOfProcess() == SignalFrameBytes() ? 0 : 3);
      }
      if (waitpid(child, &status, 0) != child) status = -1;
    }
    stack.Destroy();
    return status == 0 ? 0 : 4;
  });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
}

}  // namespace
}  // namespace acre::os
