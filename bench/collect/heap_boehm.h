#pragma once

// Boehm's collector, as a language would use it: only pointers to an object's beginning count within the heap, and objects
// without pointers are allocated as such.

#include <gc/gc.h>
#include <time.h>

#include <new>
#include <utility>

#include "bench/collect/heap.h"

namespace collect {

class Heap {
 public:
  static constexpr const char* kName = "boehm";
  static constexpr bool kFreesByHand = false;

  Heap() {
    GC_set_all_interior_pointers(0);
    GC_INIT();
    GC_set_warn_proc(GC_ignore_warn_proc);
    GC_set_on_collection_event(OnEvent);
  }
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;

  // All of its words are pointers, so that GC_MALLOC is right as it is.
  template <class T, class... Arguments>
  T* New(Arguments&&... arguments) {
    void* memory = GC_MALLOC(sizeof(T));
    if (memory == nullptr) [[unlikely]] OutOfMemory();
    return new (memory) T(std::forward<Arguments>(arguments)...);
  }

  double* NewNumbers(size_t count) {
    void* memory = GC_MALLOC_ATOMIC(count * sizeof(double));
    if (memory == nullptr) OutOfMemory();
    return new (memory) double[count]();
  }

  void Delete(const void*) {}

  uint64_t collections() const { return GC_get_gc_no(); }
  uint64_t longest_stop_ns() const { return longest_stop_ns_; }

 private:
  static uint64_t NowNs() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
  }

  static void OnEvent(GC_EventType event) {
    if (event == GC_EVENT_PRE_STOP_WORLD) stopped_ns_ = NowNs();
    if (event != GC_EVENT_POST_START_WORLD) return;
    const uint64_t stop_ns = NowNs() - stopped_ns_;
    if (stop_ns > longest_stop_ns_) longest_stop_ns_ = stop_ns;
  }

  // Boehm's collector is one for the process, and its callback takes no context.
  inline static uint64_t stopped_ns_ = 0;
  inline static uint64_t longest_stop_ns_ = 0;
};

template <class T>
class Field {
 public:
  explicit Field(T* object) : object_(object) {}
  T* Load() const { return object_; }
  void Store(Heap&, T* object) { object_ = object; }

 private:
  T* object_;
};

}  // namespace collect
