#pragma once

// Which sanitizer this build runs under, for tests of what it cannot do.

namespace acre::testing {

#if defined(__has_feature)
#define ACRE_TEST_HAS_FEATURE(name) __has_feature(name)
#else
#define ACRE_TEST_HAS_FEATURE(name) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || ACRE_TEST_HAS_FEATURE(address_sanitizer)
inline constexpr bool kHasAddressSanitizer = true;
#else
inline constexpr bool kHasAddressSanitizer = false;
#endif

// It ends the child of a process with several threads when that makes a thread, or when a lock of its own was held.
#if defined(__SANITIZE_THREAD__) || ACRE_TEST_HAS_FEATURE(thread_sanitizer)
inline constexpr bool kHasThreadSanitizer = true;
#else
inline constexpr bool kHasThreadSanitizer = false;
#endif

#undef ACRE_TEST_HAS_FEATURE

}  // namespace acre::testing
