#include <cpuid.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/auxv.h>

#include <cstring>
#include <memory>
#include <thread>

#include "arch/cpu.h"
#include "os/thread_bounds.h"
#include "tests/unit/arch/x86_64/held_pointer.h"
#include "tests/unit/os/stop_signal_support.h"

// A thread holds a pointer in one place only and spins; it is stopped; the handler looks for the pointer in each range
// of the frame. What it compares with is disguised, so that it can find no copy of its own.

namespace acre::os {
namespace {

using acre::testing::Hold;
using acre::testing::Holder;

constexpr uintptr_t kDisguised = ~uintptr_t{0x00c1'2345'6789'ab40};
constexpr size_t kFxsaveBytes = 512;
constexpr size_t kSignalStackBytes = 128 * 1024;

struct Found {
  bool in_registers = false;
  bool in_first_vectors = false;   // What FXSAVE writes.
  bool in_other_vectors = false;
  bool in_red_zone = false;
  bool in_stack = false;           // From the stack pointer up.
};

// The address sanitizer would take parts of other functions' frames for errors.
[[gnu::no_sanitize_address]] bool HoldsPointer(uintptr_t base, uintptr_t limit) {
  for (uintptr_t at = base; at + sizeof(uintptr_t) <= limit; at += sizeof(uintptr_t)) {
    if (~*reinterpret_cast<const volatile uintptr_t*>(at) == kDisguised) return true;
  }
  return false;
}

struct SearchingTarget : StopTarget {
  SearchingTarget() { on_stop = &Search; }
  static void Search(StopTarget* self, const StopFrame& frame);

  StackBounds bounds = {};
  StopFrame frame = {};
  uintptr_t local_of_handler = 0;
  Found found;
  std::atomic<bool> is_done{false};
};

void SearchingTarget::Search(StopTarget* self, const StopFrame& frame) {
  auto& target = *static_cast<SearchingTarget*>(self);
  target.frame = frame;
  target.local_of_handler = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  const auto registers = reinterpret_cast<uintptr_t>(frame.registers);
  const auto vectors = reinterpret_cast<uintptr_t>(frame.vectors);
  target.found.in_registers = HoldsPointer(registers, registers + frame.registers_bytes);
  target.found.in_first_vectors = HoldsPointer(vectors, vectors + kFxsaveBytes);
  target.found.in_other_vectors = HoldsPointer(vectors + kFxsaveBytes, vectors + frame.vectors_bytes);
  target.found.in_red_zone = HoldsPointer(frame.stack_pointer - arch::kRedZoneBytes, frame.stack_pointer);
  target.found.in_stack = HoldsPointer(frame.stack_pointer, target.bounds.high);
  target.is_done = true;
}

enum class SignalStack { kNone, kAlternate };

class AlternateStack {
 public:
  AlternateStack() : memory_(new char[kSignalStackBytes]) {
    const stack_t stack = {memory_.get(), 0, kSignalStackBytes};
    EXPECT_EQ(sigaltstack(&stack, nullptr), 0);
  }
  ~AlternateStack() {
    stack_t stack = {};
    stack.ss_flags = SS_DISABLE;
    EXPECT_EQ(sigaltstack(&stack, nullptr), 0);
  }
  uintptr_t base() const { return reinterpret_cast<uintptr_t>(memory_.get()); }
  uintptr_t limit() const { return base() + kSignalStackBytes; }

 private:
  std::unique_ptr<char[]> memory_;
};

// Stops a thread that runs the holder, on a signal stack or without one.
void StopHolder(Holder holder, SignalStack signal_stack, SearchingTarget& target) {
  if (!StopSignal::Install(SIGURG)) {
    ADD_FAILURE() << "no stop signal";
    return;
  }
  Hold hold;
  std::thread thread([&] {
    std::unique_ptr<AlternateStack> stack;
    if (signal_stack == SignalStack::kAlternate) {
      stack = std::make_unique<AlternateStack>();
    } else {
      // The sanitizers give each thread a signal stack of their own.
      stack_t off = {};
      off.ss_flags = SS_DISABLE;
      EXPECT_EQ(sigaltstack(&off, nullptr), 0);
    }
    target.bounds = CurrentStackBounds();
    StopSignal::Register(target);
    holder(kDisguised, &hold);
    StopSignal::Unregister(target);
  });
  WaitUntil([&] { return hold.is_held == 1; });
  EXPECT_TRUE(StopSignal::Send(target));
  WaitUntil([&] { return target.is_done.load(); });
  hold.is_released = 1;
  thread.join();
}

class StopFrames : public ::testing::TestWithParam<SignalStack> {
 protected:
  void SetUp() override {
    if (kHandlersAreDelayed) GTEST_SKIP() << "the thread sanitizer delivers no signal to a loop of assembly";
  }

  // What the search of a stopped holder has found.
  static void Expect(Holder holder, bool Found::*where) {
    InFreshProcess([=] {
      SearchingTarget target;
      StopHolder(holder, GetParam(), target);
      EXPECT_TRUE(target.found.*where);
      // One place only: else the test would not show that this range is needed. Without a signal stack the frame lies
      // on the stack, but below the red zone.
      Found others = target.found;
      others.*where = false;
      EXPECT_FALSE(others.in_registers || others.in_first_vectors || others.in_other_vectors || others.in_red_zone ||
                   others.in_stack);
    });
  }
};

TEST_P(StopFrames, PointerInTheRedZoneIsFound) { Expect(acre::testing::HoldInRedZone, &Found::in_red_zone); }

TEST_P(StopFrames, PointerInACalleeSavedRegisterIsFound) {
  Expect(acre::testing::HoldInCalleeSavedRegister, &Found::in_registers);
}

TEST_P(StopFrames, PointerInAnXmmRegisterIsFound) { Expect(acre::testing::HoldInXmm, &Found::in_first_vectors); }

TEST_P(StopFrames, PointerInTheUpperHalfOfAYmmRegisterIsFound) {
  if (!arch::DetectCpuFeatures().has_avx2) GTEST_SKIP() << "this CPU has no AVX2";
  Expect(acre::testing::HoldInYmm, &Found::in_other_vectors);
}

TEST_P(StopFrames, PointerInAZmmRegisterIsFound) {
  if (!arch::DetectCpuFeatures().has_avx512) GTEST_SKIP() << "this CPU has no AVX-512";
  Expect(acre::testing::HoldInZmm, &Found::in_other_vectors);
}

// CPUID says how much XSAVE writes for the state that the operating system has switched on.
TEST_P(StopFrames, VectorsAreAllThatXsaveWrites) {
  uint32_t eax, ebx, ecx, edx;
  if (!__get_cpuid_count(0xd, 0, &eax, &ebx, &ecx, &edx)) GTEST_SKIP() << "this CPU has no XSAVE";
  InFreshProcess([=] {
    SearchingTarget target;
    StopHolder(acre::testing::HoldInRedZone, GetParam(), target);
    std::printf("vector state: %zu bytes in the frame, %u by CPUID\n", target.frame.vectors_bytes, ebx);
    // State that is permitted only on request (AMX) is in CPUID's figure and not in the frame.
    EXPECT_LE(target.frame.vectors_bytes, ebx);
    if (arch::DetectCpuFeatures().has_avx2) {
      EXPECT_GE(target.frame.vectors_bytes, kFxsaveBytes + 64 + 16 * 16);
    }
    EXPECT_LT(target.frame.vectors_bytes, getauxval(AT_MINSIGSTKSZ));
    EXPECT_EQ(target.frame.vectors_bytes % sizeof(uintptr_t), 0u);
    EXPECT_EQ(target.frame.registers_bytes, 23 * sizeof(uintptr_t));
  });
}

TEST_P(StopFrames, StackPointersAreOnTheirStacks) {
  InFreshProcess([] {
    SearchingTarget target;
    StopHolder(acre::testing::HoldInRedZone, GetParam(), target);
    const StopFrame& frame = target.frame;
    EXPECT_GE(frame.stack_pointer, target.bounds.low);
    EXPECT_LT(frame.stack_pointer, target.bounds.high);
    EXPECT_LT(target.local_of_handler, frame.handler_stack_pointer);
    for (const void* part : {frame.registers, frame.vectors}) {
      EXPECT_GT(reinterpret_cast<uintptr_t>(part), frame.handler_stack_pointer);
    }
    if (GetParam() == SignalStack::kAlternate) {
      EXPECT_TRUE(frame.is_on_alternate_stack);
      EXPECT_GT(frame.handler_stack_pointer, frame.alternate_base);
      EXPECT_LT(reinterpret_cast<uintptr_t>(frame.vectors) + frame.vectors_bytes, frame.alternate_limit);
      EXPECT_EQ(frame.alternate_limit - frame.alternate_base, kSignalStackBytes);
    } else {
      EXPECT_FALSE(frame.is_on_alternate_stack);
      EXPECT_LT(frame.handler_stack_pointer, frame.stack_pointer - arch::kRedZoneBytes);
      EXPECT_LT(reinterpret_cast<uintptr_t>(frame.vectors) + frame.vectors_bytes,
                frame.stack_pointer - arch::kRedZoneBytes + sizeof(uintptr_t));
      EXPECT_EQ(frame.alternate_base, 0u);
      EXPECT_EQ(frame.alternate_limit, 0u);
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Each, StopFrames, ::testing::Values(SignalStack::kNone, SignalStack::kAlternate),
                         [](const ::testing::TestParamInfo<SignalStack>& instance) {
                           return instance.param == SignalStack::kNone ? "OnItsOwnStack" : "OnASignalStack";
                         });

SearchingTarget* target_of_handler;

// A handler of the application on the signal stack, itself interrupted: ours goes on below it on the same stack.
TEST(StopFrame, InterruptedHandlerOnTheSignalStackIsNoChangeOfStacks) {
  if (kHandlersAreDelayed) GTEST_SKIP() << "the thread sanitizer puts handlers off";
  InFreshProcess([] {
    ASSERT_TRUE(StopSignal::Install(SIGURG));
    const AlternateStack stack;
    SearchingTarget target;
    target_of_handler = &target;
    struct sigaction action = {};
    action.sa_flags = SA_ONSTACK;
    action.sa_handler = [](int) {
      EXPECT_TRUE(StopSignal::Send(*target_of_handler));
      WaitUntil([] { return target_of_handler->is_done.load(); });
    };
    ASSERT_EQ(sigaction(SIGUSR1, &action, nullptr), 0);
    target.bounds = CurrentStackBounds();
    target.bounds.high = 0;  // The stack pointer is not on the thread's stack: nothing to search there.
    StopSignal::Register(target);
    ASSERT_EQ(raise(SIGUSR1), 0);
    StopSignal::Unregister(target);
    EXPECT_FALSE(target.frame.is_on_alternate_stack);
    EXPECT_GT(target.frame.stack_pointer, stack.base());
    EXPECT_LT(target.frame.stack_pointer, stack.limit());
    EXPECT_LT(target.frame.handler_stack_pointer, target.frame.stack_pointer);
    EXPECT_EQ(target.frame.alternate_base, stack.base());
    EXPECT_EQ(target.frame.alternate_limit, stack.limit());
  });
}

}  // namespace
}  // namespace acre::os
