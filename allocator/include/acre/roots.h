#pragma once

// Roots besides the stacks of attached threads. Each is registered for as long as it lives, and does not move.

#include "acre/heap.h"

namespace acre {
inline namespace api {

// A pointer anywhere outside of the heap: in a global, in memory of malloc. A lock to make and to destroy one.
template <class T>
class Root {
 public:
  explicit Root(Heap& heap, T* object = nullptr) : heap_(heap) {
    acre_root_add(heap_.raw(), &root_);  // First: it may wait for a collection, meanwhile the caller's stack has the object.
    root_.object = object;
  }
  ~Root() { acre_root_remove(heap_.raw(), &root_); }
  Root(const Root&) = delete;
  Root& operator=(const Root&) = delete;

  T* get() const { return static_cast<T*>(root_.object); }
  T* operator->() const { return get(); }
  void Set(const Mutator& mutator, T* object) { acre_root_set(mutator.raw(), &root_, object); }

 private:
  Heap& heap_;
  acre_root root_ = {};
};

// A pointer in a scope of the mutator's thread, last in, first out. Needed only where the stack does not show the pointer, and
// for mutators that are parked. Two stores.
template <class T>
class Local {
 public:
  Local(Mutator& mutator, T* object) : mutator_(mutator) { acre_local_push(mutator_.raw(), &local_, object); }
  ~Local() { acre_local_pop(mutator_.raw(), &local_); }
  Local(const Local&) = delete;
  Local& operator=(const Local&) = delete;

  T* get() const { return static_cast<T*>(local_.object); }
  T* operator->() const { return get(); }
  void Set(T* object) { local_.object = object; }

 private:
  Mutator& mutator_;
  acre_local local_;
};

// The aligned words in [base, limit).
class RootRange {
 public:
  RootRange(Heap& heap, const void* base, const void* limit) : heap_(heap) {
    range_.base = base;
    range_.limit = limit;
    acre_root_range_add(heap_.raw(), &range_);
  }
  ~RootRange() { acre_root_range_remove(heap_.raw(), &range_); }
  RootRange(const RootRange&) = delete;
  RootRange& operator=(const RootRange&) = delete;

 private:
  Heap& heap_;
  acre_root_range range_ = {};
};

// For as long as it lives, [base, base + bytes) of an object may be written through pinned pages: see acre_pin_add.
class Pin {
 public:
  Pin(Mutator& mutator, void* base, size_t bytes) : heap_(mutator.heap()) {
    acre_pin_add(mutator.raw(), &pin_, base, bytes);
  }
  ~Pin() { acre_pin_remove(heap_.raw(), &pin_); }
  Pin(const Pin&) = delete;
  Pin& operator=(const Pin&) = delete;

 private:
  Heap& heap_;
  acre_pin pin_ = {};
};

// Whatever trace(visitor) names at each collection, with the world stopped; see acre_root_function for what it may do.
template <class Function>
class RootCallback {
 public:
  RootCallback(Heap& heap, Function function) : heap_(heap), function_(std::move(function)) {
    callback_.context = &function_;
    callback_.function = [](void* context, acre_tracer* tracer) {
      Visitor visit(tracer);
      (*static_cast<Function*>(context))(visit);
    };
    acre_root_callback_add(heap_.raw(), &callback_);
  }
  ~RootCallback() { acre_root_callback_remove(heap_.raw(), &callback_); }
  RootCallback(const RootCallback&) = delete;
  RootCallback& operator=(const RootCallback&) = delete;

 private:
  Heap& heap_;
  Function function_;
  acre_root_callback callback_ = {};
};

}  // namespace api
}  // namespace acre
