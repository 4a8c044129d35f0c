#include "allocator/collect/stack_roots.h"

#include "allocator/base/units.h"
#include "arch/cpu.h"
#include "os/check.h"

namespace acre {
namespace {

void AddRange(uintptr_t base, uintptr_t limit, Marker& marker) {
  base = AlignUp(base, sizeof(uintptr_t));
  limit = AlignDown(limit, sizeof(uintptr_t));
  if (base < limit) marker.AddRootRange(base, limit);
}

void AddBytes(const void* base, size_t bytes, Marker& marker) {
  const auto from = reinterpret_cast<uintptr_t>(base);
  AddRange(from, from + bytes, marker);
}

// Words of [base, limit) may point to frames that a sanitizer keeps apart from the stack.
[[gnu::no_sanitize_address]] void AddFakeFrames(void* fake_stack, uintptr_t base, uintptr_t limit, Marker& marker) {
  for (uintptr_t at = AlignUp(base, sizeof(uintptr_t)); at + sizeof(uintptr_t) <= limit; at += sizeof(uintptr_t)) {
    uintptr_t frame_base;
    uintptr_t frame_limit;
    const uintptr_t word = *reinterpret_cast<const uintptr_t*>(at);
    if (os::FindFakeFrame(fake_stack, word, &frame_base, &frame_limit)) AddRange(frame_base, frame_limit, marker);
  }
}

bool IsOn(uintptr_t stack_pointer, const os::StackBounds& stack) {
  return stack_pointer >= stack.low && stack_pointer < stack.high;
}

[[noreturn]] void DieOfUnknownStack(const Standing& standing) {
  os::Fatal("the stack pointer ", os::Hex{standing.stack_pointer}, " of thread ",
            standing.thread_id.load(std::memory_order_relaxed), " is outside of its stack [", os::Hex{standing.stack.low},
            ", ", os::Hex{standing.stack.high}, "): acre_stack_switch tells the heap of other stacks (fibres, makecontext)");
}

void AddSavedStack(const SavedStack& stack, Marker& marker) {
  AddBytes(stack.saved, sizeof stack.saved, marker);
  AddRange(stack.pointer, stack.bounds.high, marker);
}

// The stack that the thread is on: not yet the one that it switches to, perhaps.
const os::StackBounds& CurrentStack(const Standing& standing) {
  if (IsOn(standing.stack_pointer, standing.stack)) return standing.stack;
  if (standing.left != nullptr && IsOn(standing.stack_pointer, standing.left->bounds)) return standing.left->bounds;
  return standing.stack;
}

void AddStack(const Standing& standing, uintptr_t base, uintptr_t limit, Marker& marker) {
  AddRange(base, limit, marker);
  if (standing.fake_stack == nullptr) return;
  AddFakeFrames(standing.fake_stack, base, limit, marker);
  if (standing.frame == nullptr) return;
  const auto registers = reinterpret_cast<uintptr_t>(standing.frame->registers);
  AddFakeFrames(standing.fake_stack, registers, registers + standing.frame->registers_bytes, marker);
}

}  // namespace

void AddStackRoots(const Standing& standing, os::RootSources dropped, Marker& marker) {
  const os::StackBounds& stack = CurrentStack(standing);
  const bool has_stacks = !dropped.Has(os::RootSource::kStacks);
  if (!dropped.Has(os::RootSource::kHandles)) {
    for (const LocalRoot* local = standing.locals; local != nullptr; local = local->below) {
      marker.AddRoot(reinterpret_cast<uintptr_t>(local->object));
    }
  }
  marker.AddRoot(reinterpret_cast<uintptr_t>(standing.running_object));
  marker.AddRoot(reinterpret_cast<uintptr_t>(standing.left_object));
  if (standing.stack_pointer == 0) return;  // Parked.
  if (has_stacks) {
    if (standing.running != &standing.own) AddSavedStack(standing.own, marker);
    // A switch is under way: the thread is still on the stack that it leaves, be the other its own.
    if (&stack != &standing.stack) AddSavedStack(*standing.running, marker);
  }
  if (!dropped.Has(os::RootSource::kRegisters)) AddBytes(standing.saved, sizeof standing.saved, marker);
  if (standing.alternate_limit != 0) {
    // How deep the thread was when its handler was called stands nowhere: all of its stack that there is.
    if (!dropped.Has(os::RootSource::kAlternateStack)) {
      AddStack(standing, standing.stack_pointer, standing.alternate_limit, marker);
    }
    if (has_stacks) AddStack(standing, os::LowestMapped(stack), stack.high, marker);
    return;
  }
  if (!IsOn(standing.stack_pointer, stack)) DieOfUnknownStack(standing);
  if (standing.frame == nullptr) {
    if (has_stacks) AddStack(standing, standing.stack_pointer, stack.high, marker);
    return;
  }
  const os::StopFrame& frame = *standing.frame;
  if (!dropped.Has(os::RootSource::kRegisters)) AddBytes(frame.registers, frame.registers_bytes, marker);
  if (!dropped.Has(os::RootSource::kVectors)) AddBytes(frame.vectors, frame.vectors_bytes, marker);
  if (!dropped.Has(os::RootSource::kRedZone)) {
    AddRange(standing.stack_pointer - arch::kRedZoneBytes, standing.stack_pointer, marker);
  }
  if (has_stacks) AddStack(standing, standing.stack_pointer, stack.high, marker);
}

}  // namespace acre
