#pragma once

// The interpreter on malloc and reference counts, as CPython and Perl work. Every handle and every field owns one count;
// the object is freed, and what it referred to released, when the last one goes.
//
// Cycles are not freed. Three things keep them rare: a procedure that calls itself refers to itself through the VM's
// register rather than through a captured variable, loops that never escape are compiled to jumps and make no closure
// at all, and global variables live in symbols, to which nothing points back. What remains (local procedures that call each other, data
// that a program ties into a ring) stays until the end of the process; `--stats` counts it.

#include <cstdlib>
#include <cstring>
#include <new>
#include <unordered_map>
#include <utility>

#include "bench/interpreters/scheme/heap.h"

namespace scheme {

// Frees an object without references left, and all that dies with it.
void Reclaim(Header* object);

inline Header* HeaderOf(Word word) { return reinterpret_cast<Header*>(word); }

inline void Retain(Word word) {
  if (IsPointerWord(word)) ++HeaderOf(word)->count;
}
inline void Release(Word word) {
  if (IsPointerWord(word) && --HeaderOf(word)->count == 0) Reclaim(HeaderOf(word));
}

class Handle {
 public:
  Handle() = default;
  explicit Handle(Word word) : word_(word) { Retain(word_); }
  Handle(const Handle& other) : word_(other.word_) { Retain(word_); }
  Handle(Handle&& other) noexcept : word_(std::exchange(other.word_, 0)) {}
  Handle& operator=(const Handle& other) {
    Retain(other.word_);
    Release(std::exchange(word_, other.word_));
    return *this;
  }
  Handle& operator=(Handle&& other) noexcept {
    if (this != &other) Release(std::exchange(word_, std::exchange(other.word_, 0)));
    return *this;
  }
  ~Handle() { Release(word_); }

  Word word() const { return word_; }

 protected:
  Word word_ = 0;
};

class Field {
 public:
  Field() = default;
  explicit Field(const Handle& handle) : handle_(handle) {}
  Field(const Field&) = delete;
  Field& operator=(const Field& other) = default;
  Field& operator=(const Handle& handle) {
    handle_ = handle;
    return *this;
  }
  const Handle& Load() const { return handle_; }
  Word word() const { return handle_.word(); }

 private:
  Handle handle_;
};

class Heap {
 public:
  static constexpr const char* kName = "counting";
  static constexpr bool kCountsReferences = true;
  static constexpr bool kHasLimit = false;

  explicit Heap(size_t) {}
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;

  template <class T>
  void Declare() {}

  template <class T, class... Arguments>
  T* Create(size_t extra_bytes, Arguments&&... arguments) {
    void* memory = std::malloc(sizeof(T) + extra_bytes);
    if (memory == nullptr) return nullptr;
    if (kHasReferences<T> && extra_bytes > 0) std::memset(static_cast<char*>(memory) + sizeof(T), 0, extra_bytes);
    ++created_;
    return new (memory) T(std::forward<Arguments>(arguments)...);
  }

  void SetRoots(const RootSource*) {}  // What the VM holds, it counts.

  // An end comes at once, so there is nothing to run or to wait for.
  void* AtEnd(Header* object, EndFunction* function, void* context) { return &*ends_.insert({object, {function, context}}).first; }
  void CancelEnd(void* end) { ends_.erase(static_cast<Ends::value_type*>(end)->first); }
  void RunEnds() {}
  void Collect() {}

  void Report(std::FILE* out) const {
    std::fprintf(out, "heap: reference counts over malloc, %zu objects made, %zu not freed\n", created_, created_ - freed_);
  }

 private:
  struct End {
    EndFunction* function;
    void* context;
  };
  using Ends = std::unordered_map<const Header*, End>;

  friend void Reclaim(Header* object);
  static void RunEndOf(const Header* object) {
    auto found = ends_.find(object);
    if (found == ends_.end()) return;
    const End end = found->second;
    ends_.erase(found);
    end.function(end.context);
  }
  size_t created_ = 0;
  // A handle's destructor knows of no heap.
  inline static size_t freed_ = 0;
  inline static Ends ends_;
};

}  // namespace scheme
