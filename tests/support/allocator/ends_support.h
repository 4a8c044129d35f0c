#pragma once

// For tests of what happens at the ends of objects: objects that are held by registered roots alone.

#include <array>
#include <memory>

#include "tests/support/allocator/collected_heap.h"

namespace acre::testing {

// Words that keep objects, outside of any stack.
class Keeper {
 public:
  static constexpr size_t kPlaces = 16;

  explicit Keeper(CollectedHeap& heap)
      : heap_(heap), range_{.base = words_->data(), .limit = words_->data() + kPlaces} {
    heap_.roots().Add(range_);
  }
  ~Keeper() { heap_.roots().Remove(range_); }
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;

  void*& operator[](size_t place) { return (*words_)[place]; }

 private:
  CollectedHeap& heap_;
  std::unique_ptr<std::array<void*, kPlaces>> words_ = std::make_unique<std::array<void*, kPlaces>>();
  RootRange range_;
};

}  // namespace acre::testing
