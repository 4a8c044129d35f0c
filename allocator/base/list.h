#pragma once

// A doubly linked list through the elements themselves: T has members `T* next` and `T* previous`. Allocates nothing;
// an element is on at most one list. The owner's lock guards it.

#include <cstddef>

namespace acre {

template <class T>
class List {
 public:
  bool is_empty() const { return first_ == nullptr; }
  T* first() const { return first_; }

  void Push(T* element) {
    element->previous = nullptr;
    element->next = first_;
    if (first_ != nullptr) first_->previous = element;
    first_ = element;
  }

  T* Pop() {
    T* element = first_;
    if (element != nullptr) Remove(element);
    return element;
  }

  void Remove(T* element) {
    if (element->previous != nullptr) {
      element->previous->next = element->next;
    } else {
      first_ = element->next;
    }
    if (element->next != nullptr) element->next->previous = element->previous;
    element->next = nullptr;
    element->previous = nullptr;
  }

 private:
  T* first_ = nullptr;
};

}  // namespace acre
