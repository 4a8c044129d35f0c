// Runs the fuzzer's body on random inputs, for compilers without libFuzzer. It takes the two options of libFuzzer's that
// the test uses: -seed=N and -max_total_time=SECONDS. A file's name as argument runs that file.

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <vector>

#include "tests/fuzz/malloc_oracle.h"
#include "tests/support/seed.h"

namespace {

constexpr size_t kMostInputBytes = 1 << 16;

int RunFile(const char* path) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file) {
    std::fprintf(stderr, "cannot read %s\n", path);
    return 1;
  }
  acre::fuzz::RunInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  double seconds = 10;
  uint64_t seed = 0;
  for (int i = 1; i < count; ++i) {
    if (std::strncmp(arguments[i], "-seed=", 6) == 0) {
      seed = std::strtoull(arguments[i] + 6, nullptr, 0);
    } else if (std::strncmp(arguments[i], "-max_total_time=", 16) == 0) {
      seconds = std::atof(arguments[i] + 16);
    } else if (arguments[i][0] != '-') {
      return RunFile(arguments[i]);
    }
  }
  if (seed == 0) seed = acre::testing::Seed("random driver");
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  acre::testing::Random random(seed);
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  size_t inputs = 0;
  std::vector<uint8_t> input;
  for (; std::chrono::steady_clock::now() < end; ++inputs) {
    input.resize(random.Below(kMostInputBytes));
    for (uint8_t& byte : input) byte = static_cast<uint8_t>(random.Next() >> 24);
    acre::fuzz::RunInput(input.data(), input.size());
  }
  std::printf("%zu inputs\n", inputs);
  return inputs > 0 ? 0 : 1;
}
