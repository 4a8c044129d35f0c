#pragma once

// A queue through the elements themselves: T has members `T* next` and `T* previous`. Allocates nothing; an element is in
// at most one queue. The owner's lock guards it.

namespace acre {

template <class T>
class Fifo {
 public:
  bool is_empty() const { return first_ == nullptr; }
  T* first() const { return first_; }  // The oldest; null if there is none.
  T* last() const { return last_; }

  void Append(T* element) {
    element->next = nullptr;
    element->previous = last_;
    (last_ != nullptr ? last_->next : first_) = element;
    last_ = element;
  }

  // The oldest, or null.
  T* Pop() {
    T* element = first_;
    if (element != nullptr) Remove(element);
    return element;
  }

  // REQUIRES: it is in this queue.
  void Remove(T* element) {
    (element->previous != nullptr ? element->previous->next : first_) = element->next;
    (element->next != nullptr ? element->next->previous : last_) = element->previous;
    element->next = nullptr;
    element->previous = nullptr;
  }

 private:
  T* first_ = nullptr;
  T* last_ = nullptr;
};

}  // namespace acre
