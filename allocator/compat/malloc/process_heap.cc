#include "allocator/compat/malloc/process_heap.h"

#include <atomic>
#include <cerrno>
#include <new>

#include "allocator/compat/malloc/options.h"
#include "allocator/compat/malloc/report.h"
#include "os/limits.h"
#include "os/memory_calls.h"
#include "os/mutex.h"
#include "os/thread.h"

namespace acre::compat {
namespace {

template <class T>
union Storage {  // A place for a T that has neither constructor nor destructor.
  constexpr Storage() : none() {}
  ~Storage() {}
  char none;
  T value;
};

constinit ThreadCache unopened_cache;
constinit ThreadCache ended_cache;
Storage<SpanHeap> heap_storage;
Storage<Housekeeper> housekeeper_storage;
constinit std::atomic<SpanHeap*> process_heap{nullptr};  // Written once, under init_mutex.
constinit os::Mutex init_mutex{kProcessHeapRank};
constinit os::ThreadExitHook exit_hook;
constinit Options options;
constinit int report_descriptor = 2;

void CloseThreadCache(void* cache) {
  if (thread_cache != cache) return;
  thread_cache = &ended_cache;
  process_heap.load(std::memory_order_relaxed)->CloseCache(static_cast<ThreadCache*>(cache));
}

SpanHeap* MakeHeap() {
  os::MutexLock lock(init_mutex);
  SpanHeap* heap = process_heap.load(std::memory_order_relaxed);
  if (heap != nullptr) return heap;
  heap = new (&heap_storage.value) SpanHeap(os::KernelMemoryCalls(), os::AddressSpaceLimitBytes(), process_table);
  heap->set_huge_page_threshold(options.huge_page_threshold_bytes);
  new (&housekeeper_storage.value) Housekeeper(*heap);
  // Without the hook a thread's cached slots are lost at its end; nothing else breaks.
  static_cast<void>(exit_hook.Create(&CloseThreadCache));
  process_heap.store(heap, std::memory_order_release);
  return heap;
}

void PrepareFork() {
  init_mutex.Lock();
  if (SpanHeap* heap = process_heap.load(std::memory_order_relaxed)) heap->LockAll();
}

void AfterForkInParent() {
  if (SpanHeap* heap = process_heap.load(std::memory_order_relaxed)) heap->UnlockAll();
  init_mutex.Unlock();
}

void AfterForkInChild() {
  if (SpanHeap* heap = process_heap.load(std::memory_order_relaxed)) {
    heap->UnlockAll();
    heap->ForgetOtherThreads(thread_cache->is_open() ? thread_cache : nullptr);
    housekeeper_storage.value.ForgetThread();
  }
  init_mutex.Unlock();
}

// Runs when the library is loaded, or before main when it is linked in. Allocations may have come before.
[[gnu::constructor]] void Start() {
  ReadOptions(&options);
  // Some programs close standard error before they end.
  if (options.prints_stats) report_descriptor = os::DuplicateDescriptor(2);
  if (SpanHeap* heap = ProcessHeap()) {
    heap->set_huge_page_threshold(options.huge_page_threshold_bytes);
    housekeeper_storage.value.set_may_start_thread(options.may_start_thread);
  }
  if (!os::OnFork(&PrepareFork, &AfterForkInParent, &AfterForkInChild)) {
    os::Line line;
    (line << "cannot install fork handlers: a child of a threaded process may hang").Write();
  }
}

[[gnu::destructor]] void Finish() {
  SpanHeap* heap = process_heap.load(std::memory_order_relaxed);
  if (options.prints_stats && heap != nullptr) WriteReport(*heap, report_descriptor);
}

}  // namespace

ChunkTable process_table;
thread_local constinit ThreadCache* thread_cache __attribute__((tls_model("initial-exec"))) = &unopened_cache;

SpanHeap* ProcessHeap() {
  SpanHeap* heap = process_heap.load(std::memory_order_acquire);
  return heap != nullptr ? heap : MakeHeap();
}

ThreadCache& OpenThreadCache(SpanHeap& heap) {
  if (thread_cache != &unopened_cache) return *thread_cache;
  ThreadCache* cache = heap.OpenCache();
  if (cache == nullptr) return unopened_cache;
  // Arming may allocate: the cache serves that already.
  thread_cache = cache;
  static_cast<void>(exit_hook.Arm(cache));
  return *cache;
}

void AfterSlowFree(const void* caller) { housekeeper_storage.value.Poke(caller); }

void* AllocateSlow(size_t bytes) {
  SpanHeap& heap = *ProcessHeap();
  void* object = heap.Allocate(OpenThreadCache(heap), bytes);
  if (object == nullptr) errno = ENOMEM;
  return object;
}

void FreeSlow(void* object) {
  if (object == nullptr) return;
  const int saved_errno = errno;
  SpanHeap& heap = *ProcessHeap();
  // A thread that only frees gets a cache too: its frees go back in batches.
  heap.Free(OpenThreadCache(heap), object);
  // free jumps here, so that this is free's caller; otherwise it is this library, which may be linked into a static program.
  AfterSlowFree(__builtin_return_address(0));
  errno = saved_errno;
}

}  // namespace acre::compat
