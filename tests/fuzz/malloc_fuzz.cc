// The entry point that libFuzzer calls.

#include "tests/fuzz/malloc_oracle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  acre::fuzz::RunInput(data, bytes);
  return 0;
}
