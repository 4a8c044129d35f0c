#pragma once

// Weak references, ephemerons, tables with weak keys, finalizers and cleanups. When what happens: acre.h, "Ends of objects".
//
// These belong to the mutator that they were made with, and are used and destroyed by its thread.

#include "acre/heap.h"

namespace acre {
inline namespace api {

// Does not keep its object; null once that has died.
template <class T>
class Weak {
 public:
  Weak(Mutator& mutator, T* object) : mutator_(mutator), weak_(acre_weak_create(mutator.raw(), object)) {}
  ~Weak() {
    if (weak_ != nullptr) acre_weak_destroy(mutator_.raw(), weak_);
  }
  Weak(const Weak&) = delete;
  Weak& operator=(const Weak&) = delete;

  // False if there was no memory for it: then get() is null.
  bool is_valid() const { return weak_ != nullptr; }
  T* get() const { return weak_ == nullptr ? nullptr : static_cast<T*>(acre_weak_get(mutator_.raw(), weak_)); }

 private:
  Mutator& mutator_;
  acre_weak* weak_;
};

// Keeps the value while the key lives by others; both are null once that has died.
template <class Key, class Value>
class Ephemeron {
 public:
  Ephemeron(Mutator& mutator, Key* key, Value* value)
      : mutator_(mutator), ephemeron_(acre_ephemeron_create(mutator.raw(), key, value)) {}
  ~Ephemeron() {
    if (ephemeron_ != nullptr) acre_ephemeron_destroy(mutator_.raw(), ephemeron_);
  }
  Ephemeron(const Ephemeron&) = delete;
  Ephemeron& operator=(const Ephemeron&) = delete;

  bool is_valid() const { return ephemeron_ != nullptr; }
  Key* key() const { return static_cast<Key*>(acre_ephemeron_key(mutator_.raw(), ephemeron_)); }
  Value* value() const { return static_cast<Value*>(acre_ephemeron_value(mutator_.raw(), ephemeron_)); }
  void SetValue(Value* value) { acre_ephemeron_set_value(mutator_.raw(), ephemeron_, value); }

 private:
  Mutator& mutator_;
  acre_ephemeron* ephemeron_;
};

// From objects, by address, to objects. An entry goes with its key.
template <class Key, class Value>
class WeakTable {
 public:
  explicit WeakTable(Mutator& mutator) : mutator_(mutator), table_(acre_weak_table_create(mutator.raw())) {}
  ~WeakTable() {
    if (table_ != nullptr) acre_weak_table_destroy(mutator_.raw(), table_);
  }
  WeakTable(const WeakTable&) = delete;
  WeakTable& operator=(const WeakTable&) = delete;

  bool is_valid() const { return table_ != nullptr; }
  [[nodiscard]] bool Put(Key* key, Value* value) { return acre_weak_table_put(mutator_.raw(), table_, key, value); }
  Value* Get(const Key* key) const { return static_cast<Value*>(acre_weak_table_get(mutator_.raw(), table_, key)); }
  bool Remove(const Key* key) { return acre_weak_table_remove(mutator_.raw(), table_, key); }
  size_t count() const { return acre_weak_table_count(mutator_.raw(), table_); }

 private:
  Mutator& mutator_;
  acre_weak_table* table_;
};

// See acre_finalizer_set. kFunction(object, context) is called once the object is not reachable otherwise.
template <auto kFunction, class T>
[[nodiscard]] bool SetFinalizer(Mutator& mutator, T* object, void* context = nullptr) {
  return acre_finalizer_set(
      mutator.raw(), object, [](void* dying, void* its_context) { kFunction(static_cast<T*>(dying), its_context); }, context);
}

// See acre_cleanup_add.
inline acre_cleanup AddCleanup(Mutator& mutator, void* object, acre_cleanup_function* function, void* context) {
  return acre_cleanup_add(mutator.raw(), object, function, context);
}

}  // namespace api
}  // namespace acre
