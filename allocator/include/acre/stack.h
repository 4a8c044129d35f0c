#pragma once

// Stacks of fibres, generators and virtual machines, as objects of the heap: see acre_stack.

#include "acre/heap.h"

namespace acre {
inline namespace api {

using Stack = acre_stack;

// A native stack [low, high), used downwards. Null when there is no memory.
inline Stack* NewStack(Mutator& mutator, void* low, void* high) { return acre_stack_create(mutator.raw(), low, high); }

// A virtual machine's: the words that bounds(context, base, limit) names at each collection.
inline Stack* NewVmStack(Mutator& mutator, acre_stack_bounds* bounds, void* context) {
  return acre_stack_create_vm(mutator.raw(), bounds, context);
}

// Just before the thread switches to `to` (null: its own).
inline void SwitchStack(Mutator& mutator, Stack* to) { acre_stack_switch(mutator.raw(), to); }

}  // namespace api
}  // namespace acre
