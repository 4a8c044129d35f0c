#pragma once

// malloc and free, whichever library they come from.

#include <cstdlib>
#include <new>
#include <utility>

#include "bench/collect/heap.h"

namespace collect {

class Heap {
 public:
  static constexpr const char* kName = "malloc";
  static constexpr bool kFreesByHand = true;

  Heap() = default;
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;

  template <class T, class... Arguments>
  T* New(Arguments&&... arguments) {
    void* memory = std::malloc(sizeof(T));
    if (memory == nullptr) [[unlikely]] OutOfMemory();
    return new (memory) T(std::forward<Arguments>(arguments)...);
  }

  double* NewNumbers(size_t count) {
    auto* numbers = static_cast<double*>(std::calloc(count, sizeof(double)));
    if (numbers == nullptr) OutOfMemory();
    return numbers;
  }

  void Delete(void* object) { std::free(object); }

  uint64_t collections() const { return 0; }
  uint64_t longest_stop_ns() const { return 0; }
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
