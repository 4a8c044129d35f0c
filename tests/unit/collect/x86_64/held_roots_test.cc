#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <thread>

#include "arch/cpu.h"
#include "tests/support/allocator/collected_heap.h"
#include "tests/support/sanitizers.h"
#include "tests/unit/arch/x86_64/held_pointer.h"
#include "tests/unit/os/stop_signal_support.h"

// A thread holds the only pointer to a large object in one place and spins, while another thread collects. With that place
// left out of the roots the object is freed; so the test can tell, and nothing else keeps the object.

namespace acre {
namespace {

using testing::AttachedMutator;
using testing::CollectedHeap;
using testing::Hold;
using testing::Holder;

constexpr size_t kObjectBytes = 200'000;  // Nothing else is so large.
constexpr uint64_t kContents = 0x1234'5678'9abc'def0;

// Allocates and leaves nothing behind but what it returns, disguised: the callee's frames are overwritten.
[[gnu::noinline]] uintptr_t MakeDisguised(AttachedMutator& mutator) {
  auto* object = static_cast<uint64_t*>(mutator.Allocate(kPlain, kObjectBytes));
  if (object == nullptr) return 0;
  object[7] = kContents;
  return ~reinterpret_cast<uintptr_t>(object);
}

[[gnu::noinline, gnu::no_sanitize_address]] void OverwriteStack() {
  volatile char room[16 * 1024];
  for (volatile char& byte : room) byte = 0;
}

[[gnu::noinline]] void OverwriteRegisters() {
  asm volatile(
      "xor %%eax, %%eax\n xor %%ecx, %%ecx\n xor %%edx, %%edx\n xor %%esi, %%esi\n xor %%edi, %%edi\n"
      "xor %%r8d, %%r8d\n xor %%r9d, %%r9d\n xor %%r10d, %%r10d\n xor %%r11d, %%r11d\n"
      "pxor %%xmm0, %%xmm0\n pxor %%xmm1, %%xmm1\n pxor %%xmm2, %%xmm2\n pxor %%xmm3, %%xmm3\n"
      "pxor %%xmm4, %%xmm4\n pxor %%xmm5, %%xmm5\n pxor %%xmm6, %%xmm6\n pxor %%xmm7, %%xmm7\n"
      "pxor %%xmm8, %%xmm8\n pxor %%xmm9, %%xmm9\n pxor %%xmm10, %%xmm10\n pxor %%xmm11, %%xmm11\n"
      "pxor %%xmm12, %%xmm12\n pxor %%xmm13, %%xmm13\n pxor %%xmm14, %%xmm14\n pxor %%xmm15, %%xmm15\n" ::
          : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5",
            "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "memory");
}

CollectorOptions Without(os::RootSources dropped) {
  CollectorOptions options;
  options.background = false;
  options.debug.dropped_roots = dropped;
  return options;
}

// As a thread does it that has the mutator: holds the pointer until released.
using HoldFunction = void (*)(uintptr_t disguised, Hold* hold);

// Whether the object is there after a collection during which it was held so.
bool IsKept(HoldFunction hold_pointer, os::RootSources dropped) {
  CollectedHeap heap(Without(dropped));
  AttachedMutator collecting(heap);
  Hold hold;
  std::thread thread([&] {
    AttachedMutator mutator(heap);
    const uintptr_t disguised = MakeDisguised(mutator);
    OverwriteStack();
    OverwriteRegisters();
    hold_pointer(disguised, &hold);
  });
  while (hold.is_held == 0) std::this_thread::yield();
  collecting.Collect();
  const bool is_kept = heap.heap().page_heap().stats().large_spans == 1;
  hold.is_released = 1;
  thread.join();
  return is_kept;
}

class HeldRoots : public ::testing::Test {
 protected:
  void SetUp() override {
    if (os::kHandlersAreDelayed) GTEST_SKIP() << "ThreadSanitizer runs no handler in a loop of assembly";
  }

  static void ExpectKeptButWithout(os::RootSource source, HoldFunction hold_pointer) {
    EXPECT_TRUE(IsKept(hold_pointer, {}));
    EXPECT_FALSE(IsKept(hold_pointer, source)) << "something else keeps it: the test above shows nothing";
  }
};

TEST_F(HeldRoots, GeneralRegister) {
  ExpectKeptButWithout(os::RootSource::kRegisters, testing::HoldInCalleeSavedRegister);
}

TEST_F(HeldRoots, RedZone) { ExpectKeptButWithout(os::RootSource::kRedZone, testing::HoldInRedZone); }

TEST_F(HeldRoots, XmmRegister) { ExpectKeptButWithout(os::RootSource::kVectors, testing::HoldInXmm); }

TEST_F(HeldRoots, YmmRegister) {
  if (!arch::DetectCpuFeatures().has_avx2) GTEST_SKIP() << "the CPU has no YMM registers";
  ExpectKeptButWithout(os::RootSource::kVectors, testing::HoldInYmm);
}

TEST_F(HeldRoots, ZmmRegister) {
  if (!arch::DetectCpuFeatures().has_avx512) GTEST_SKIP() << "the CPU has no ZMM registers";
  ExpectKeptButWithout(os::RootSource::kVectors, testing::HoldInZmm);
}

// The application's handler, on a signal stack of the application's, is what is interrupted.
uintptr_t held_by_handler = 0;
Hold* hold_of_handler = nullptr;

[[gnu::noinline, gnu::no_sanitize_address]] void HoldInHandler(int) {
  // Once, on the handler's stack; the registers are the compiler's to use, but hold it disguised.
  uintptr_t pointer = ~held_by_handler;
  asm volatile("" : : "r"(&pointer) : "memory");
  hold_of_handler->is_held = 1;
  OverwriteRegisters();
  while (hold_of_handler->is_released == 0) __builtin_ia32_pause();
  asm volatile("" : : "r"(&pointer) : "memory");
  pointer = 0;
  asm volatile("" : : "r"(&pointer) : "memory");
}

template <class Body>
void OnApplicationsSignalStack(Body body) {
  constexpr size_t kBytes = size_t{64} * 1024;
  const auto memory = std::make_unique<char[]>(kBytes);
  const stack_t own = {memory.get(), 0, kBytes};
  stack_t before = {};
  EXPECT_EQ(sigaltstack(&own, &before), 0);
  struct sigaction action = {};
  action.sa_handler = HoldInHandler;
  action.sa_flags = SA_ONSTACK;
  EXPECT_EQ(sigaction(SIGUSR1, &action, nullptr), 0);
  body();
  EXPECT_EQ(sigaltstack(&before, nullptr), 0);
}

void HoldOnAlternateStack(uintptr_t disguised, Hold* hold) {
  held_by_handler = disguised;
  hold_of_handler = hold;
  OnApplicationsSignalStack([] { raise(SIGUSR1); });
}

TEST_F(HeldRoots, SignalStackOfTheApplication) {
  ExpectKeptButWithout(os::RootSource::kAlternateStack, HoldOnAlternateStack);
}

// Beneath the handler, on the thread's own stack, of which the handler's frame says nothing.
[[gnu::no_sanitize_address]] void HoldBeneathHandler(uintptr_t disguised, Hold* hold) {
  held_by_handler = ~uintptr_t{0};
  hold_of_handler = hold;
  uintptr_t pointer = ~disguised;
  asm volatile("" : : "r"(&pointer) : "memory");
  OnApplicationsSignalStack([] { raise(SIGUSR1); });
  asm volatile("" : : "r"(&pointer) : "memory");
  pointer = 0;
  asm volatile("" : : "r"(&pointer) : "memory");
}

TEST_F(HeldRoots, StackBeneathAHandlerOnItsOwnStack) {
  ExpectKeptButWithout(os::RootSource::kStacks, HoldBeneathHandler);
}

}  // namespace
}  // namespace acre
