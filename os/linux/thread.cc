#include "os/thread.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

#include <limits>

#include "os/check.h"
#include "os/clock.h"
#include "os/foreign_locks.h"
#include "os/linux/system_call.h"

extern "C" __attribute__((weak)) int _dl_find_object(void* address, dl_find_object* result) noexcept;

namespace acre::os {
namespace {

// The stack holds the static TLS of all libraries too, which may be tens of KiB; only touched pages cost memory.
constexpr size_t kThreadStackBytes = 256 * 1024;

// Lives on the creator's stack until the new thread has copied it.
struct ThreadStart {
  void (*body)(void*);
  void* argument;
  const char* name;
  Event copied;
};

void* RunThread(void* pointer) {
  auto* const start = static_cast<ThreadStart*>(pointer);
  (void)SystemCall(SYS_prctl, PR_SET_NAME, start->name);  // The kernel cuts it to 15 bytes.
  void (*const body)(void*) = start->body;
  void* const argument = start->argument;
  start->copied.Signal();
  body(argument);
  return nullptr;
}

bool CreateDetached(ThreadStart* start) {
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return false;
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, kThreadStackBytes);
  pthread_t thread;
  const bool is_created = pthread_create(&thread, &attributes, RunThread, start) == 0;
  pthread_attr_destroy(&attributes);
  return is_created;
}

}  // namespace

uint64_t ThreadSerial() {
  static constinit std::atomic<uint64_t> last = 0;
  static constinit thread_local uint64_t serial [[gnu::tls_model("initial-exec")]] = 0;
  if (serial == 0) serial = last.fetch_add(1, std::memory_order_relaxed) + 1;
  return serial;
}

int32_t CurrentThreadId() { return static_cast<int32_t>(SystemCall(SYS_gettid)); }
int32_t CurrentProcessId() { return static_cast<int32_t>(SystemCall(SYS_getpid)); }

bool StartThread(void (*body)(void*), void* argument, const char* name) {
  ASSERT(!AreForeignLocksForbidden());
  const int callers_errno = errno;
  ThreadStart start = {body, argument, name, {}};
  // A new thread inherits the mask: no moment in which a signal of the application could reach ours.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0) return false;
  const bool is_created = CreateDetached(&start);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (is_created) (void)start.copied.Wait(std::numeric_limits<uint64_t>::max());
  errno = callers_errno;
  return is_created;
}

bool Event::Wait(uint64_t timeout_ns) {
  if (Take()) return true;
  // An absolute time, so that interruptions by signals do not add up.
  const uint64_t now_ns = MonotonicNs();
  const bool has_limit = timeout_ns < std::numeric_limits<uint64_t>::max() - now_ns;
  const uint64_t deadline_ns = now_ns + timeout_ns;
  const timespec deadline = {static_cast<time_t>(deadline_ns / kNsPerSecond),
                             static_cast<long>(deadline_ns % kNsPerSecond)};
  for (;;) {
    uint32_t state = kQuiet;
    (void)state_.compare_exchange_strong(state, kAwaited, std::memory_order_acquire, std::memory_order_acquire);
    if (state == kSignalled) break;
    const long result = SystemCall(SYS_futex, &state_, FUTEX_WAIT_BITSET_PRIVATE, uint32_t{kAwaited},
                                   has_limit ? &deadline : nullptr, nullptr, FUTEX_BITSET_MATCH_ANY);
    if (result == -ETIMEDOUT) break;
  }
  return state_.exchange(kQuiet, std::memory_order_acquire) == kSignalled;
}

void Event::Signal() {
  // Nothing of *this is touched after the exchange: the waiter may be gone by then. Waking at an address that is no
  // longer an Event does no harm.
  if (state_.exchange(kSignalled, std::memory_order_release) == kAwaited) {
    (void)SystemCall(SYS_futex, &state_, FUTEX_WAKE_PRIVATE, 1);
  }
}

bool ThreadExitHook::Create(void (*at_exit)(void*)) {
  pthread_key_t key;
  if (pthread_key_create(&key, at_exit) != 0) return false;
  key_ = key;
  return true;
}

bool ThreadExitHook::Arm(void* value) {
  ASSERT(value != nullptr);  // A null value would disarm.
  return pthread_setspecific(key_, value) == 0;
}

void ThreadExitHook::Destroy() { CHECK(pthread_key_delete(key_) == 0); }

bool OnFork(void (*prepare)(), void (*in_parent)(), void (*in_child)()) {
  return pthread_atfork(prepare, in_parent, in_child) == 0;
}

bool OnProcessExit(void (*body)()) { return atexit(body) == 0; }

bool IsInsideCLibrary(const void* code) {
  // Since glibc 2.35; lock-free. In a static program everything is one object.
  if (&_dl_find_object == nullptr) return true;
  const auto object_of = [](const void* address) -> const link_map* {
    dl_find_object object;
    return _dl_find_object(const_cast<void*>(address), &object) == 0 ? object.dlfo_link_map : nullptr;
  };
  const link_map* object = object_of(code);
  return object == nullptr || object == object_of(reinterpret_cast<const void*>(&pthread_create)) ||
         object == object_of(reinterpret_cast<const void*>(&_dl_find_object));
}

int DuplicateDescriptor(int descriptor) {
  constexpr int kHigh = 512;
  constexpr int kLeast[] = {kHigh, 3};
  for (const int least : kLeast) {
    const long copy = SystemCall(SYS_fcntl, descriptor, F_DUPFD_CLOEXEC, least);
    if (copy >= 0) return static_cast<int>(copy);
  }
  return descriptor;
}

void YieldThread() { (void)SystemCall(SYS_sched_yield); }

}  // namespace acre::os
