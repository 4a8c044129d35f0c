#pragma once

// Threads of the library's own, thread exit, fork, and waiting.

#include <atomic>
#include <cstdint>

namespace acre::os {

// The kernel's number of the calling thread; and of the process.
int32_t CurrentThreadId();
int32_t CurrentProcessId();

// A number that no other thread of this process has or had; never 0. No system call.
uint64_t ThreadSerial();

// Starts a detached thread with a small stack and every signal blocked, named in /proc. False if the system refuses.
// May allocate (the C library does): the caller holds no lock of the heap.
[[nodiscard]] bool StartThread(void (*body)(void*), void* argument, const char* name);

// Whether `code` belongs to the C library or the dynamic loader. They free memory while they hold locks that StartThread
// needs (glibc frees a thread's TLS under the lock of its stack cache): an allocator that is called from there must not
// start a thread. True where it cannot be told. Any thread; takes no lock.
bool IsInsideCLibrary(const void* code);

// Something a thread waits for, with a time limit: a futex. For one waiter; any thread may signal, without a system call
// where nobody sleeps.
class Event {
 public:
  // Sleeps until Signal or until the time has passed (UINT64_MAX: no limit). A Signal before the Wait is not lost. True
  // if signalled: this takes the signal, so that the next Wait waits for another one.
  bool Wait(uint64_t timeout_ns);
  void Signal();
  bool IsSignalled() const { return state_.load(std::memory_order_acquire) == kSignalled; }

  // Takes a signal, if there is one. The waiter.
  bool Take() { return IsSignalled() && state_.exchange(kQuiet, std::memory_order_acquire) == kSignalled; }

 private:
  enum State : uint32_t { kQuiet = 0, kSignalled = 1, kAwaited = 2 };  // kAwaited: the waiter sleeps, or is about to.

  std::atomic<uint32_t> state_{kQuiet};
};

// Calls `at_exit(value)` in each thread that has armed it, when that thread ends (as a pthread key destructor: after
// C++ thread_local destructors; others of its kind may come later and arm it again).
class ThreadExitHook {
 public:
  [[nodiscard]] bool Create(void (*at_exit)(void*));
  [[nodiscard]] bool Arm(void* value);  // May allocate.
  void Destroy();

 private:
  uint32_t key_ = 0;
};

// pthread_atfork(3). False if the system refuses.
[[nodiscard]] bool OnFork(void (*prepare)(), void (*in_parent)(), void (*in_child)());

// Runs `body` when the process ends normally (atexit order).
[[nodiscard]] bool OnProcessExit(void (*body)());

// A copy of a descriptor, high (512 and up where the limit allows) and close-on-exec; the descriptor itself if the system
// refuses.
int DuplicateDescriptor(int descriptor);

// Lets another thread run.
void YieldThread();

}  // namespace acre::os
