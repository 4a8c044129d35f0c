#pragma once

// The interpreter on Boehm's collector. It scans the C++ stack and the objects conservatively, so handles and fields are
// plain words; what it must be told is only which objects hold no pointers, and where the VM's stack is.

#include <gc/gc.h>
#include <gc/gc_mark.h>

#include <new>
#include <utility>

#include "bench/interpreters/scheme/heap.h"

namespace scheme {

class Handle {
 public:
  constexpr Handle() = default;
  constexpr explicit Handle(Word word) : word_(word) {}
  constexpr Word word() const { return word_; }

 protected:
  Word word_ = 0;
};

class Field {
 public:
  Field() = default;
  explicit Field(const Handle& handle) : word_(handle.word()) {}
  Field(const Field&) = delete;
  Field& operator=(const Field& other) = default;
  Field& operator=(const Handle& handle) {
    word_ = handle.word();
    return *this;
  }
  Handle Load() const { return Handle(word_); }
  Word word() const { return word_; }

 private:
  Word word_ = 0;
};

class Heap {
 public:
  static constexpr const char* kName = "boehm";
  static constexpr bool kCountsReferences = false;
  static constexpr bool kHasLimit = true;

  explicit Heap(size_t most_bytes) {
    // References inside the heap always point to an object's beginning; the C++ stack may point anywhere.
    GC_set_all_interior_pointers(0);
    GC_INIT();
    GC_set_warn_proc(GC_ignore_warn_proc);
    if (most_bytes != SIZE_MAX) GC_set_max_heap_size(most_bytes);
  }
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;

  template <class T>
  void Declare() {}

  template <class T, class... Arguments>
  T* Create(size_t extra_bytes, Arguments&&... arguments) {
    size_t bytes = sizeof(T) + extra_bytes;
    void* memory = kHasReferences<T> ? GC_MALLOC(bytes) : GC_MALLOC_ATOMIC(bytes);
    if (memory == nullptr) {
      // At its limit this collector does not collect again if it has just done so.
      GC_gcollect();
      memory = kHasReferences<T> ? GC_MALLOC(bytes) : GC_MALLOC_ATOMIC(bytes);
      if (memory == nullptr) return nullptr;
    }
    return new (memory) T(std::forward<Arguments>(arguments)...);
  }

  void SetRoots(const RootSource* source) {
    roots_ = source;
    // The callback that was there before pushes the threads' stacks.
    push_others_ = GC_get_push_other_roots();
    GC_set_push_other_roots([] {
      if (push_others_ != nullptr) push_others_();
      RootRange ranges[RootSource::kMaxRanges];
      int count = roots_->RootRanges(ranges);
      for (int i = 0; i < count; ++i) {
        GC_push_all(const_cast<Handle*>(ranges[i].base), const_cast<Handle*>(ranges[i].limit));
      }
    });
  }

  void* AtEnd(Header* object, EndFunction* function, void* context) {
    auto* end = new End{object, function, context};  // Where the collector does not look: the object shall die.
    GC_register_finalizer_no_order(
        object,
        [](void*, void* data) {
          const End known = *static_cast<End*>(data);
          delete static_cast<End*>(data);
          known.function(known.context);
        },
        end, nullptr, nullptr);
    return end;
  }
  void CancelEnd(void* end) {
    GC_register_finalizer_no_order(static_cast<End*>(end)->object, nullptr, nullptr, nullptr, nullptr);
    delete static_cast<End*>(end);
  }
  void RunEnds() { GC_invoke_finalizers(); }
  void Collect() { GC_gcollect(); }

  void Report(std::FILE* out) const {
    std::fprintf(out, "heap: boehm, %zu collections, %zu KiB allocated, %zu KiB of heap\n",
                 static_cast<size_t>(GC_get_gc_no()), GC_get_total_bytes() / 1024, GC_get_heap_size() / 1024);
  }

 private:
  struct End {
    Header* object;
    EndFunction* function;
    void* context;
  };

  // Boehm's collector is one for the process, and its callback takes no argument.
  inline static const RootSource* roots_ = nullptr;
  inline static GC_push_other_roots_proc push_others_ = nullptr;
};

}  // namespace scheme
