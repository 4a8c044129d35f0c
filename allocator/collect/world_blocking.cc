#include <cstring>

#include "allocator/collect/world.h"
#include "arch/context.h"

// Mutators that count as stopped for a while: in blocking calls, and parked.

namespace acre {
namespace {

// What callers' registers hold stands right above the stack pointer of the call that spilled them; what is copied besides
// are words of callers' frames, which are scanned anyway: between their variables too, where AddressSanitizer forbids
// reading, and the library's memcpy is watched by it (a volatile read is not turned into one).
[[gnu::no_sanitize_address]] void SaveRegisters(uintptr_t stack_pointer, const os::StackBounds& stack, uintptr_t* saved) {
  const size_t there = (stack.high - stack_pointer) / sizeof(uintptr_t);
  const size_t count = there < SavedStack::kMaxSaved ? there : SavedStack::kMaxSaved;
  const auto* words = reinterpret_cast<const volatile uintptr_t*>(stack_pointer);
  for (size_t i = 0; i < count; ++i) saved[i] = words[i];
}

void ForgetRegisters(Standing& standing) { std::memset(standing.saved, 0, sizeof standing.saved); }

}  // namespace

// The frame of the call ends before the blocking does. What its callers' registers held then is saved outside of the
// stack; whatever code runs meanwhile does not use the heap, and so has no pointers of its own.
void World::BeginBlocking(Standing& standing) {
  arch::WithSpilledRegisters(
      [](void* argument, uintptr_t stack_pointer) {
        auto& self = *static_cast<Standing*>(argument);
        SaveRegisters(stack_pointer, self.stack, self.saved);
        EnterBlocking(self, stack_pointer);
      },
      &standing);
}

void World::EndBlocking(Standing& standing) {
  LeaveBlocking(standing);
  ForgetRegisters(standing);
}

void World::LeaveBlocking(Standing& standing) {
  for (;;) {
    uint32_t state = Standing::kBlocking;
    if (standing.state.compare_exchange_strong(state, Standing::kRunning, std::memory_order_acquire)) return;
    standing.resumed.Wait(UINT64_MAX);
  }
}

// A signal that comes before the state has changed is put off by the region; one that comes after it sees the state.
void World::Park(Standing& standing) {
  standing.in_region.store(1, std::memory_order_relaxed);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  standing.frame = nullptr;
  standing.stack_pointer = 0;
  standing.left = nullptr;
  standing.left_object = nullptr;
  standing.owner = 0;
  standing.state.store(Standing::kBlocking, std::memory_order_release);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  os::StopSignal::Unregister(standing);
  LeaveSignalStack(standing);
  standing.in_region.store(0, std::memory_order_relaxed);
  if (IsAsked(standing)) standing.world->acknowledged_.Signal();
}

// Until the state has changed, who stops the world may look at what is written here; it must find that there is no stack.
void World::Unpark(Standing& standing) {
  standing.in_region.store(1, std::memory_order_relaxed);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  os::StopSignal::Register(standing);
  LeaveBlocking(standing);
  standing.own.bounds = os::CurrentStackBounds();
  standing.stack = standing.own.bounds;
  standing.owner = os::ThreadSerial();
  if (InstallSignalStack(standing)) os::StopSignal::NoteSignalStack();  // Without memory for one it does without.
  std::atomic_signal_fence(std::memory_order_seq_cst);
  standing.in_region.store(0, std::memory_order_relaxed);
  Safepoint(standing);
}

bool World::is_empty() {
  const BlockingLock lock(mutex_);
  return first_ == nullptr;
}

// Until the thread is really on the other stack, its stack pointer lies on the one that it leaves: both are scanned then.
void World::LeaveStack(Standing& standing, SavedStack& to) {
  struct Call {
    Standing& standing;
    SavedStack& to;
  } call{standing, to};
  arch::WithSpilledRegisters(
      [](void* argument, uintptr_t stack_pointer) {
        const auto& [self, next] = *static_cast<Call*>(argument);
        SavedStack& from = *self.running;
        SaveRegisters(stack_pointer, from.bounds, from.saved);
        from.pointer = stack_pointer;
        self.left = &from;
        self.running = &next;
        self.stack = next.bounds;
      },
      &call);
}

}  // namespace acre
