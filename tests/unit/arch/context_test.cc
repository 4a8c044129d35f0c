#include "arch/context.h"

#include <gtest/gtest.h>

#include <cstdint>

// Portable checks; that each register really gets there is the business of x86_64/context_test.cc.

namespace acre::arch {
namespace {

using Spill = void (*)(SpilledBody body, void* argument);

class Context : public ::testing::TestWithParam<Spill> {};

struct Seen {
  void* argument = nullptr;
  uintptr_t stack_pointer = 0;
  uintptr_t body_frame = 0;
  uintptr_t alignment_rest = 0;
  int calls = 0;
};

[[gnu::noinline]] void Look(void* argument, uintptr_t stack_pointer) {
  alignas(16) volatile char aligned[16] = {};
  Seen& seen = *static_cast<Seen*>(argument);
  seen.argument = argument;
  seen.stack_pointer = stack_pointer;
  seen.body_frame = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  seen.alignment_rest = reinterpret_cast<uintptr_t>(&aligned) % 16;
  seen.calls += 1;
}

TEST_P(Context, BodyIsCalledOnceWithItsArgument) {
  Seen seen;
  GetParam()(Look, &seen);
  EXPECT_EQ(seen.calls, 1);
  EXPECT_EQ(seen.argument, &seen);
  EXPECT_EQ(seen.alignment_rest, 0u);
}

TEST_P(Context, StackPointerIsBetweenTheBodyAndTheCaller) {
  Seen seen;
  GetParam()(Look, &seen);
  EXPECT_GT(seen.stack_pointer, seen.body_frame);
  EXPECT_LT(seen.stack_pointer, reinterpret_cast<uintptr_t>(__builtin_frame_address(0)));
  EXPECT_EQ(seen.stack_pointer % sizeof(void*), 0u);
}

constexpr int kLevels = 10;

struct Nest {
  Spill spill;
  int depth = 0;
  uintptr_t outer = UINTPTR_MAX;
};

void Descend(void* argument, uintptr_t stack_pointer) {
  Nest& nest = *static_cast<Nest*>(argument);
  EXPECT_LT(stack_pointer, nest.outer);
  nest.outer = stack_pointer;
  if (++nest.depth < kLevels) nest.spill(Descend, argument);
}

TEST_P(Context, CallsMayNest) {
  Nest nest = {GetParam()};
  nest.spill(Descend, &nest);
  EXPECT_EQ(nest.depth, kLevels);
}

INSTANTIATE_TEST_SUITE_P(Each, Context, ::testing::Values(&WithSpilledRegisters, &WithSpilledRegistersPortably),
                         [](const ::testing::TestParamInfo<Spill>& instance) {
                           return instance.index == 0 ? "OfThisCpu" : "Portable";
                         });

}  // namespace
}  // namespace acre::arch
