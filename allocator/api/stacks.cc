#include <new>

#include "allocator/api/heap.h"
#include "os/check.h"

// An object of the heap. What it refers to is traced when it is reached: not before, so that a generator that nobody can
// resume any more is garbage with all that its stack holds.
struct acre_stack {
  acre::SavedStack native;     // Its bounds are empty for a virtual machine's, and after its end.
  acre_stack_bounds* bounds;   // A virtual machine's.
  void* context;
  acre_mutator* runs_on;       // Who runs on it scans it.
  uint64_t put_off;            // The collector's.
};

namespace {

// Words of a stack, with whatever redzones a sanitizer has put between them.
[[gnu::no_sanitize_address]] void VisitWords(const acre_value_format& format, uintptr_t base, uintptr_t limit,
                                             acre_tracer* tracer) {
  base = acre::AlignUp(base, sizeof(uintptr_t));
  for (; base + sizeof(uintptr_t) <= limit; base += sizeof(uintptr_t)) {
    const uintptr_t word = *reinterpret_cast<const uintptr_t*>(base);
    tracer->Visit(word);
    if (format.tag_mask != 0 && (word & format.tag_mask) == format.tag) {
      tracer->Visit((word ^ format.xor_mask) & format.and_mask);
    }
  }
}

}  // namespace

namespace acre {

// A trace function that reads outside of its object: that is done with the world stopped.
bool TraceStack(void* context, void* object, size_t, acre_tracer* tracer) {
  auto& heap = *static_cast<acre_heap*>(context);
  auto& stack = *static_cast<acre_stack*>(object);
  if (heap.collector.PutOff(reinterpret_cast<uintptr_t>(object), &stack.put_off)) return true;
  const acre_value_format& format = heap.options.value_format;
  if (stack.bounds != nullptr) {
    const void* base = nullptr;
    const void* limit = nullptr;
    stack.bounds(stack.context, &base, &limit);
    VisitWords(format, reinterpret_cast<uintptr_t>(base), reinterpret_cast<uintptr_t>(limit), tracer);
    return true;
  }
  if (stack.runs_on != nullptr || stack.native.bounds.high == 0) return true;
  const auto saved = reinterpret_cast<uintptr_t>(stack.native.saved);
  VisitWords(format, saved, saved + sizeof stack.native.saved, tracer);
  VisitWords(format, stack.native.pointer, stack.native.bounds.high, tracer);
  return true;
}

}  // namespace acre

namespace {

[[gnu::no_sanitize_address]] void ShadeWords(acre_mutator* mutator, uintptr_t base, uintptr_t limit) {
  base = acre::AlignUp(base, sizeof(uintptr_t));
  for (; base + sizeof(uintptr_t) <= limit; base += sizeof(uintptr_t)) {
    mutator->heap->collector.Shade(*mutator, *reinterpret_cast<const volatile uintptr_t*>(base));
  }
}

// What the stack holds is part of the snapshot of a cycle that marks, and will change. In a region.
void ShadeStack(acre_mutator* mutator, const acre::SavedStack& stack) {
  if (mutator->barrier.load(std::memory_order_relaxed) == 0 || stack.bounds.high == 0) return;
  const auto saved = reinterpret_cast<uintptr_t>(stack.saved);
  ShadeWords(mutator, saved, saved + sizeof stack.saved);
  ShadeWords(mutator, stack.pointer, stack.bounds.high);
}

}  // namespace

extern "C" {

acre_stack* acre_stack_create(acre_mutator* mutator, void* low, void* high) {
  acre::CheckUse(mutator, "acre_stack_create");
  if (low == nullptr || low >= high) acre::os::Fatal("acre_stack_create: not the bounds of a stack");
  void* memory = acre_allocate(mutator, mutator->heap->stack_kind, sizeof(acre_stack));
  if (memory == nullptr) return nullptr;
  auto* stack = new (memory) acre_stack{};
  const auto top = reinterpret_cast<uintptr_t>(high);
  stack->native.pointer = top;
  stack->native.bounds = {reinterpret_cast<uintptr_t>(low), top};
  return stack;
}

acre_stack* acre_stack_create_vm(acre_mutator* mutator, acre_stack_bounds* bounds, void* context) {
  acre::CheckUse(mutator, "acre_stack_create_vm");
  if (bounds == nullptr) acre::os::Fatal("acre_stack_create_vm: no function that names the bounds");
  mutator->heap->collector.ForbidConcurrent();  // Before a cycle could begin that the stack is part of.
  void* memory = acre_allocate(mutator, mutator->heap->stack_kind, sizeof(acre_stack));
  if (memory == nullptr) return nullptr;
  auto* stack = new (memory) acre_stack{};
  stack->context = context;
  stack->bounds = bounds;
  return stack;
}

void acre_stack_switch(acre_mutator* mutator, acre_stack* to) {
  acre::CheckUse(mutator, "acre_stack_switch");
  auto* from = static_cast<acre_stack*>(mutator->running_object);
  if (from == to) return;
  if (to != nullptr) {
    if (to->runs_on != nullptr) acre::os::Fatal("acre_stack_switch: the stack runs already");
    if (to->native.bounds.high == 0) acre::os::Fatal("acre_stack_switch: the stack has ended, or is a virtual machine's");
  }
  // The objects change with the stacks, in one region.
  acre::World::SwitchStack(*mutator, to == nullptr ? mutator->own : to->native, [&] {
    if (to != nullptr) ShadeStack(mutator, to->native);
    if (from != nullptr) from->runs_on = nullptr;
    if (to != nullptr) to->runs_on = mutator;
    mutator->left_object = from;
    mutator->running_object = to;
  });
}

acre_stack* acre_stack_current(acre_mutator* mutator) { return static_cast<acre_stack*>(mutator->running_object); }

void acre_stack_end(acre_mutator* mutator, acre_stack* stack) {
  acre::CheckUse(mutator, "acre_stack_end");
  if (stack->runs_on != nullptr) acre::os::Fatal("acre_stack_end: the stack is running");
  acre::Region region(*mutator);
  ShadeStack(mutator, stack->native);
  if (mutator->left == &stack->native) {
    mutator->left = nullptr;
    mutator->left_object = nullptr;
  }
  stack->native.bounds = {};
  stack->native.pointer = 0;
  stack->bounds = nullptr;
}

}  // extern "C"
