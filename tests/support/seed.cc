#include "tests/support/seed.h"

#include <cstdio>
#include <cstdlib>
#include <random>

namespace acre::testing {

uint64_t Seed(const char* what) {
  const char* given = std::getenv("TEST_SEED");
  const uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 0)
                                         : (uint64_t{std::random_device{}()} << 32 | std::random_device{}());
  std::printf("%s: TEST_SEED=%llu\n", what, static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  return seed;
}

}  // namespace acre::testing
