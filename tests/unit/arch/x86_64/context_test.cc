#include "arch/context.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>

#include "tests/unit/arch/x86_64/held_pointer.h"

namespace acre::arch {
namespace {

using Spill = void (*)(SpilledBody body, void* argument);

constexpr uintptr_t kDisguised = ~uintptr_t{0x00c1'2345'6789'ab40};
constexpr uintptr_t kStep = 0x1'0000'1000;
constexpr size_t kCalleeSavedRegisters = 6;

struct Search {
  Spill spill;
  uintptr_t limit;  // Of what is scanned: the caller's frame, where nothing of it may lie.
  std::array<bool, kCalleeSavedRegisters> is_found{};
};

// Finds the values disguised, so that the search itself puts none of them on the stack. Reads what lies above the frames
// of its callers, which the address sanitizer would take for an error.
[[gnu::no_sanitize_address]] void Scan(void* argument, uintptr_t stack_pointer) {
  Search& search = *static_cast<Search*>(argument);
  for (uintptr_t at = stack_pointer; at < search.limit; at += sizeof(uintptr_t)) {
    const uintptr_t word = ~*reinterpret_cast<const volatile uintptr_t*>(at);
    for (size_t number = 0; number < kCalleeSavedRegisters; ++number) {
      if (word == kDisguised - number * kStep) search.is_found[number] = true;
    }
  }
}

class CalleeSaved : public ::testing::TestWithParam<Spill> {};

TEST_P(CalleeSaved, EachRegisterIsFoundFromTheStackPointerUp) {
  Search search = {GetParam(), reinterpret_cast<uintptr_t>(__builtin_frame_address(0))};
  const auto spill = [](void* argument) { static_cast<Search*>(argument)->spill(Scan, argument); };
  acre::testing::CallWithValuesInCalleeSaved(kDisguised, kStep, spill, &search);
  for (size_t number = 0; number < kCalleeSavedRegisters; ++number) EXPECT_TRUE(search.is_found[number]) << number;
}

INSTANTIATE_TEST_SUITE_P(Each, CalleeSaved, ::testing::Values(&WithSpilledRegisters, &WithSpilledRegistersPortably),
                         [](const ::testing::TestParamInfo<Spill>& instance) {
                           return instance.index == 0 ? "OfThisCpu" : "Portable";
                         });

}  // namespace
}  // namespace acre::arch
