// The main function of the programs that test a malloc from outside: GoogleTest itself runs on the malloc under test.

#include <gtest/gtest.h>

#include "tests/support/malloc_library.h"

int main(int count, char** arguments) {
  testing::InitGoogleTest(&count, arguments);
  // A preload that did not take effect would let every test pass on another malloc.
  if (!acre::testing::MallocIsAsExpected()) return 1;
  testing::FLAGS_gtest_death_test_style = "fast";
  return RUN_ALL_TESTS();
}
