#pragma once

// Acre's collected heap, through its C++ headers. COLLECT_OPTIONS in the environment sets options of the heap:
// "gc_percent=200 mark_workers=1".

#include <sstream>
#include <string>
#include <utility>

#include "acre/acre.hpp"
#include "bench/collect/heap.h"

namespace collect {

class Heap;

template <class T>
class Field {
 public:
  explicit Field(T* object) : ref_(object) {}
  T* Load() const { return ref_.get(); }
  void Store(Heap& heap, T* object);

 private:
  acre::Ref<T> ref_;
};

class Heap {
 public:
  static constexpr const char* kName = "acre";
  static constexpr bool kFreesByHand = false;

  Heap() {
    if (!mutator_.is_valid()) OutOfMemory();
  }

  // The type's pointers are named by its bitmap.
  template <class T, class... Arguments>
  T* New(Arguments&&... arguments) {
    T* object = mutator_.New<T>(std::forward<Arguments>(arguments)...);
    if (object == nullptr) [[unlikely]] OutOfMemory();
    return object;
  }

  double* NewNumbers(size_t count) {
    auto* numbers = mutator_.NewArray<double>(count);
    if (numbers == nullptr) OutOfMemory();
    return numbers;
  }

  void Delete(const void*) {}

  uint64_t collections() const { return heap_.statistics().cycles; }
  uint64_t longest_stop_ns() const { return heap_.statistics().longest_stop_ns; }

  const acre::Mutator& mutator() const { return mutator_; }

 private:
  static acre::HeapOptions Options() {
    acre::HeapOptions options;
    const char* text = std::getenv("COLLECT_OPTIONS");
    std::istringstream words(text == nullptr ? "" : text);
    for (std::string word; words >> word;) {
      const size_t equals = word.find('=');
      const std::string value = equals == std::string::npos ? "" : word.substr(equals + 1);
      const acre_status status = acre_options_set(&options, word.substr(0, equals).c_str(), value.c_str());
      if (status == ACRE_OK) continue;
      std::fprintf(stderr, "COLLECT_OPTIONS: %s: %s\n", word.c_str(), acre_status_text(status));
      std::exit(2);
    }
    return options;
  }

  acre::Heap heap_{Options()};
  acre::Mutator mutator_{heap_};
};

template <class T>
void Field<T>::Store(Heap& heap, T* object) {
  ref_.Set(heap.mutator(), object);
}

}  // namespace collect
