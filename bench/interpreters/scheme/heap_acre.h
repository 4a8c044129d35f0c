#pragma once

// The interpreter on Acre: precise in the heap, conservative on the C++ stack. Which words of an object are references is
// asked of its own Trace; a reference is stored through the write barrier; the VM's stack is a root by callback.

#include <acre/ends.h>
#include <acre/heap.h>
#include <acre/roots.h>

#include <new>
#include <utility>

#include "bench/interpreters/scheme/heap.h"

namespace scheme {

// The stack is scanned, so a handle is a plain word.
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
  // Of an object that is being made: Heap::Create publishes it.
  explicit Field(const Handle& handle) : ref_(handle.word()) {}
  Field(const Field&) = delete;
  Field& operator=(const Field& other) { return Store(other.word()); }
  Field& operator=(const Handle& handle) { return Store(handle.word()); }

  Handle Load() const { return Handle(word()); }
  Word word() const { return ref_.word(); }

 private:
  friend class Heap;

  Field& Store(Word word) {
    ref_.Set(*mutator_, word);
    return *this;
  }

  // A field does not know who writes it; there is one thread, so there is one mutator. With more threads this would be
  // thread_local, or a store a function of the mutator.
  inline static acre::Mutator* mutator_ = nullptr;

  acre::RefWord ref_;
};

class Heap {
 public:
  static constexpr const char* kName = "acre";
  static constexpr bool kCountsReferences = false;
  static constexpr bool kHasLimit = true;

  // At the limit, and after a full collection, an allocation gives null: all that Create needs.
  explicit Heap(size_t most_bytes) : heap_(OptionsFor(most_bytes)) {
    if (!mutator_.is_valid()) OutOfMemory(0);
    Field::mutator_ = &mutator_;
  }
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;

  // A type of fixed size has its references at fixed places: the bitmap is what Trace visits in an empty object. One with
  // items behind it has a word for a header, perhaps a length, and references from there on: no word of it but these can
  // be taken for an address, so that it may as well be read as a whole, which is what marking does fastest.
  template <class T>
  void Declare() {
    if constexpr (kHasReferences<T> && !kHasItems<T>) {
      alignas(T) const unsigned char empty[sizeof(T)] = {};
      BitmapVisitor visit{empty};
      reinterpret_cast<const T*>(empty)->Trace(visit);
      acre_kind* kind = &kinds_[static_cast<size_t>(T::kType)];
      if (acre_kind_bitmap(heap_.raw(), &visit.bitmap, sizeof(T) / sizeof(Word), kind) != ACRE_OK) OutOfMemory(0);
    }
  }

  template <class T, class... Arguments>
  T* Create(size_t extra_bytes, Arguments&&... arguments) {
    const acre_kind kind = kHasReferences<T> ? kinds_[static_cast<size_t>(T::kType)] : ACRE_POINTER_FREE;
    void* memory = mutator_.Allocate(kind, sizeof(T) + extra_bytes);
    if (memory == nullptr) return nullptr;
    T* object = new (memory) T(std::forward<Arguments>(arguments)...);
    if constexpr (kHasReferences<T>) acre_publish(mutator_.raw(), object);
    return object;
  }

  void SetRoots(const RootSource* source) { source_ = source; }

  void* AtEnd(Header* object, EndFunction* function, void* context) {
    auto* end = new End{function, context, {}};
    end->cleanup = acre::AddCleanup(
        mutator_, object,
        [](void* data) {
          const End known = *static_cast<End*>(data);
          delete static_cast<End*>(data);
          known.function(known.context);
        },
        end);
    if (end->cleanup.record != nullptr) return end;
    delete end;
    return nullptr;
  }
  void CancelEnd(void* end) {
    acre_cleanup_remove(mutator_.raw(), static_cast<End*>(end)->cleanup);
    delete static_cast<End*>(end);
  }
  void RunEnds() { mutator_.RunCleanups(); }
  void Collect() { mutator_.Collect(); }

  void Report(std::FILE* out) const {
    const acre_statistics statistics = heap_.statistics();
    std::fprintf(out, "heap: acre, %zu collections, %zu KiB allocated, %zu KiB of heap, longest stop %.2f ms\n",
                 static_cast<size_t>(statistics.cycles), static_cast<size_t>(statistics.allocated_bytes) / 1024,
                 statistics.committed_bytes / 1024, static_cast<double>(statistics.longest_stop_ns) / 1e6);
  }

 private:
  static acre::HeapOptions OptionsFor(size_t most_bytes) {
    acre::HeapOptions options;
    options.hard_limit_bytes = most_bytes;
    return options;
  }

  struct End {
    EndFunction* function;
    void* context;
    acre_cleanup cleanup;
  };
  struct BitmapVisitor {
    const unsigned char* object;
    uint64_t bitmap = 0;

    void operator()(const Field& field) {
      bitmap |= uint64_t{1} << (reinterpret_cast<const unsigned char*>(&field) - object) / sizeof(Word);
    }
  };
  struct RootVisitor {
    const Heap& heap;

    void operator()(acre::Visitor& visit) const {
      RootRange ranges[RootSource::kMaxRanges];
      const int count = heap.source_ == nullptr ? 0 : heap.source_->RootRanges(ranges);
      for (int i = 0; i < count; ++i) visit.Range(ranges[i].base, ranges[i].limit);
    }
  };

  acre::Heap heap_;
  acre::Mutator mutator_{heap_};
  const RootSource* source_ = nullptr;
  acre::RootCallback<RootVisitor> roots_{heap_, RootVisitor{*this}};
  acre_kind kinds_[kMaxTypes] = {};  // By Type; ACRE_CONSERVATIVE unless declared.
};

}  // namespace scheme
