#pragma once

// Heaps, mutators and the allocation of typed objects, in C++ over acre/acre.h (which says what each thing costs, and who
// may call it).
//
//   struct Pair {
//     acre::Ref<Pair> first;
//     acre::Ref<Pair> second;
//     template <class Visitor> void Trace(Visitor& visit) const { visit(first); visit(second); }
//   };
//
//   acre::Heap heap;
//   acre::Mutator mutator(heap);
//   Pair* pair = mutator.New<Pair>();
//   pair->first.Set(mutator, mutator.New<Pair>());
//
// How the objects of a type are traced, the first that applies:
//   - `template <class Visitor> void Trace(Visitor&) const` names its pointers. It must do for an object of all zeros; if
//     it returns bool, false means "not initialised yet". It reads the object itself and nothing else.
//   - `static constexpr uint64_t kPointerBitmap`: bit i says that word i of the type (at most 64 words) may be a pointer.
//   - `using PointerFree = void;`, and arithmetic types: no pointers.
//   - otherwise every word may be one.
// Destructors never run: types have trivial ones. What has to happen when an object dies is a cleanup's or finalizer's work
// (acre/ends.h).

#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>
#include <utility>

#include "acre/acre.h"

namespace acre {
inline namespace api {

class Mutator;

struct HeapOptions : acre_options {
  HeapOptions() { acre_options_init(this); }
};

// See acre_heap_create.
class Heap {
 public:
  explicit Heap(const HeapOptions& options = HeapOptions()) { status_ = acre_heap_create(&options, &heap_); }
  ~Heap() { acre_heap_destroy(heap_); }
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;

  // On an invalid heap nobody can attach.
  bool is_valid() const { return heap_ != nullptr; }
  acre_status status() const { return status_; }

  acre_statistics statistics() const {
    acre_statistics statistics = {};
    statistics.struct_bytes = sizeof statistics;
    acre_get_statistics(heap_, &statistics);
    return statistics;
  }

  // See acre_heap_set_memory_limit. REQUIRES: the heap is valid.
  acre_status SetMemoryLimit(size_t bytes) { return acre_heap_set_memory_limit(heap_, bytes); }

  // See acre_adjust_external. REQUIRES: the heap is valid.
  void AdjustExternal(ptrdiff_t delta) { acre_adjust_external(heap_, delta); }

  acre_heap* raw() const { return heap_; }

 private:
  acre_heap* heap_ = nullptr;
  acre_status status_;
};

// A pointer field of a heap object. All zero bytes are a null one. Stored to by Set only; the constructors are for objects
// that are being made by Mutator::New.
template <class T>
class Ref {
 public:
  constexpr Ref() = default;
  constexpr explicit Ref(T* object) : object_(object) {}
  Ref(const Ref&) = delete;
  Ref& operator=(const Ref&) = delete;

  T* get() const { return object_; }
  T* GetRacy() const { return __atomic_load_n(&object_, __ATOMIC_RELAXED); }  // For Trace: others may store meanwhile.
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }
  explicit operator bool() const { return object_ != nullptr; }
  void Set(const Mutator& mutator, T* object);

 private:
  T* object_ = nullptr;
};

// The same for a word of a language's own that may hold a pointer among tag bits (the heap's value format).
class RefWord {
 public:
  constexpr RefWord() = default;
  constexpr explicit RefWord(uint64_t word) : word_(word) {}
  RefWord(const RefWord&) = delete;
  RefWord& operator=(const RefWord&) = delete;

  uint64_t word() const { return word_; }
  uint64_t WordRacy() const { return __atomic_load_n(&word_, __ATOMIC_RELAXED); }
  void Set(const Mutator& mutator, uint64_t word);

 private:
  uint64_t word_ = 0;
};

// What a type's Trace is given.
class Visitor {
 public:
  explicit Visitor(acre_tracer* tracer) : tracer_(tracer) {}

  void operator()(const void* pointer) { acre_visit(tracer_, pointer); }
  void operator()(const RefWord& ref) { acre_visit_word(tracer_, ref.WordRacy()); }
  template <class T>
  void operator()(const Ref<T>& ref) {
    acre_visit(tracer_, ref.GetRacy());
  }
  // Every aligned word in [base, limit).
  void Range(const void* base, const void* limit) { acre_visit_range(tracer_, base, limit); }

 private:
  acre_tracer* const tracer_;
};

template <class T>
inline constexpr bool kHasTrace = requires(const T& object, Visitor& visit) { object.Trace(visit); };
template <class T>
inline constexpr bool kHasBitmap = requires { uint64_t{T::kPointerBitmap}; };
template <class T>
inline constexpr bool kIsPointerFree = std::is_arithmetic_v<T> || requires { typename T::PointerFree; };

namespace internal {

// One type's, by its address.
template <class T>
inline constexpr char kTypeTag = 0;

template <class T>
bool TraceOne(const T& object, Visitor& visit) {
  if constexpr (std::is_same_v<decltype(object.Trace(visit)), bool>) {
    return object.Trace(visit);
  } else {
    object.Trace(visit);
    return true;
  }
}

template <class T>
bool TraceObject(void*, void* object, size_t, acre_tracer* tracer) {
  Visitor visit(tracer);
  return TraceOne(*static_cast<const T*>(object), visit);
}

template <class T>
bool TraceArray(void*, void* array, size_t bytes, acre_tracer* tracer) {
  Visitor visit(tracer);
  const T* objects = static_cast<const T*>(array);
  for (size_t i = 0; i < bytes / sizeof(T); ++i) {
    if (!TraceOne(objects[i], visit)) return false;
  }
  return true;
}

}  // namespace internal

// A thread's handle on a heap, for as long as it lives; made, used and destroyed by one thread.
class Mutator {
 public:
  explicit Mutator(Heap& heap) : heap_(&heap) {
    status_ = heap.is_valid() ? acre_attach(heap.raw(), &mutator_) : heap.status();
  }
  ~Mutator() {
    if (mutator_ != nullptr) acre_detach(mutator_);
  }
  Mutator(const Mutator&) = delete;
  Mutator& operator=(const Mutator&) = delete;

  // REQUIRES, of all that follows: it is valid.
  bool is_valid() const { return mutator_ != nullptr; }
  acre_status status() const { return status_; }
  Heap& heap() const { return *heap_; }
  acre_mutator* raw() const { return mutator_; }

  // A new object. Null when there is no memory, like the other forms.
  template <class T, class... Arguments>
  [[nodiscard]] T* New(Arguments&&... arguments) {
    return NewWithExtra<T>(0, std::forward<Arguments>(arguments)...);
  }

  // The same with `extra_bytes` of zeros behind it, which the type's Trace may find pointers in.
  template <class T, class... Arguments>
  [[nodiscard]] T* NewWithExtra(size_t extra_bytes, Arguments&&... arguments) {
    static_assert(std::is_trivially_destructible_v<T>, "nothing would call its destructor: use a cleanup (acre/ends.h)");
    static_assert(alignof(T) <= 16, "objects are aligned to 16 bytes");
    void* memory = Allocate(KindOf<T>(), sizeof(T) + extra_bytes);
    if (memory == nullptr) return nullptr;
    T* object = new (memory) T(std::forward<Arguments>(arguments)...);
    acre_publish(mutator_, object);
    return object;
  }

  // An array of zeros, which have to be valid objects.
  template <class T>
  [[nodiscard]] T* NewArray(size_t count) {
    static_assert(std::is_trivially_destructible_v<T> && alignof(T) <= 16);
    if (count > SIZE_MAX / sizeof(T)) return nullptr;
    return static_cast<T*>(Allocate(ArrayKindOf<T>(), count * sizeof(T)));
  }

  // A zeroed object of any kind and size.
  [[nodiscard]] void* Allocate(acre_kind kind, size_t bytes) { return acre_allocate(mutator_, kind, bytes); }

  void Free(void* object) { acre_free(mutator_, object); }
  void Collect() { acre_collect(mutator_); }
  void Safepoint() { acre_safepoint(mutator_); }
  void Park() { acre_park(mutator_); }
  acre_status Unpark() { return acre_unpark(mutator_); }
  size_t RunFinalizers(size_t most = SIZE_MAX) { return acre_run_finalizers(mutator_, most); }
  size_t RunCleanups(size_t most = SIZE_MAX) { return acre_run_cleanups(mutator_, most); }

  // The kinds of a type's objects and of its arrays. A heap without a number left traces them conservatively.
  template <class T>
  acre_kind KindOf() {
    if constexpr (kHasTrace<T>) {
      return Remembered(&internal::kTypeTag<T>, [](acre_heap* heap, acre_kind* kind) {
        return acre_kind_traced(heap, internal::TraceObject<T>, nullptr, kind);
      });
    } else {
      return ArrayKindOf<T>();
    }
  }
  template <class T>
  acre_kind ArrayKindOf() {
    if constexpr (kHasTrace<T>) {
      return Remembered(&internal::kTypeTag<T[]>, [](acre_heap* heap, acre_kind* kind) {
        return acre_kind_traced(heap, internal::TraceArray<T>, nullptr, kind);
      });
    } else if constexpr (kHasBitmap<T>) {
      static_assert(sizeof(T) <= 64 * sizeof(uint64_t) && sizeof(T) % sizeof(uint64_t) == 0);
      return Remembered(&internal::kTypeTag<T>, [](acre_heap* heap, acre_kind* kind) {
        constexpr uint64_t kBitmap = T::kPointerBitmap;
        return acre_kind_bitmap(heap, &kBitmap, sizeof(T) / sizeof(uint64_t), kind);
      });
    } else if constexpr (kIsPointerFree<T>) {
      return ACRE_POINTER_FREE;
    } else {
      return ACRE_CONSERVATIVE;
    }
  }

 private:
  static constexpr size_t kRemembered = 64;
  struct TypeKind {
    const void* type = nullptr;
    acre_kind kind = 0;
  };

  acre_kind Remembered(const void* type, acre_status (*find)(acre_heap* heap, acre_kind* kind)) {
    TypeKind& place = kinds_[reinterpret_cast<uintptr_t>(type) % kRemembered];
    if (place.type != type) [[unlikely]] {
      acre_kind kind = ACRE_CONSERVATIVE;
      if (find(heap_->raw(), &kind) != ACRE_OK) kind = ACRE_CONSERVATIVE;
      place = {type, kind};
    }
    return place.kind;
  }

  Heap* const heap_;
  acre_mutator* mutator_ = nullptr;
  acre_status status_;
  TypeKind kinds_[kRemembered];
};

template <class T>
void Ref<T>::Set(const Mutator& mutator, T* object) {
  acre_write(mutator.raw(), &object_, object);
}

inline void RefWord::Set(const Mutator& mutator, uint64_t word) { acre_write_word(mutator.raw(), &word_, word); }

// For as long as it lives, the thread counts as stopped and does not touch the heap: around calls that wait.
class Blocking {
 public:
  explicit Blocking(Mutator& mutator) : mutator_(mutator) { acre_blocking_begin(mutator_.raw()); }
  ~Blocking() { acre_blocking_end(mutator_.raw()); }
  Blocking(const Blocking&) = delete;
  Blocking& operator=(const Blocking&) = delete;

 private:
  Mutator& mutator_;
};

}  // namespace api
}  // namespace acre
