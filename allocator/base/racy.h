#pragma once

// Loads and stores of bytes and words that other threads may access at the same moment, where the fast paths count
// instructions.
//
// What is meant is a relaxed atomic access of a naturally aligned object, and that is what the CPU does with a plain one.
// g++ 12 never folds an atomic load into the instruction that uses it, which costs malloc and free five instructions a
// pair; so plain accesses are used where no sanitizer watches.

namespace acre {

#if defined(__SANITIZE_THREAD__)
#define ACRE_RACY_IS_ATOMIC 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ACRE_RACY_IS_ATOMIC 1
#endif
#endif

template <class T>
inline T RacyLoad(const T& place) {
#ifdef ACRE_RACY_IS_ATOMIC
  return __atomic_load_n(&place, __ATOMIC_RELAXED);
#else
  return place;
#endif
}

template <class T>
inline void RacyStore(T& place, T value) {
#ifdef ACRE_RACY_IS_ATOMIC
  __atomic_store_n(&place, value, __ATOMIC_RELAXED);
#else
  place = value;
#endif
}

}  // namespace acre
