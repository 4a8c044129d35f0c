// instructions_probe MODE COUNT: takes and returns COUNT blocks of 32 bytes and does nothing else.
//
// MODE is lifo (each returned at once), batch (1000 at a time, returned in the order taken), reverse (1000 at a time, in
// reverse) or loop (no block at all). instructions.py runs it under callgrind with two counts and divides the difference.

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

constexpr size_t kBytes = 32;
constexpr size_t kBatch = 1000;

char* Take() {
  auto* block = static_cast<char*>(std::malloc(kBytes));
  *static_cast<volatile char*>(block) = 1;
  return block;
}

void Lifo(size_t count) {
  for (size_t i = 0; i < count; ++i) std::free(Take());
}

void Batches(size_t count, bool is_reverse) {
  static char* blocks[kBatch];
  for (size_t done = 0; done < count; done += kBatch) {
    for (char*& block : blocks) block = Take();
    for (size_t i = 0; i < kBatch; ++i) std::free(blocks[is_reverse ? kBatch - 1 - i : i]);
  }
}

void Loop(size_t count) {
  char byte = 0;
  for (size_t i = 0; i < count; ++i) *static_cast<volatile char*>(&byte) = 1;
}

}  // namespace

int main(int count, char** arguments) {
  const char* mode = count == 3 ? arguments[1] : "";
  const size_t blocks = count == 3 ? std::strtoull(arguments[2], nullptr, 10) : 0;
  if (std::strcmp(mode, "lifo") == 0) {
    Lifo(blocks);
  } else if (std::strcmp(mode, "batch") == 0) {
    Batches(blocks, false);
  } else if (std::strcmp(mode, "reverse") == 0) {
    Batches(blocks, true);
  } else if (std::strcmp(mode, "loop") == 0) {
    Loop(blocks);
  } else {
    std::fprintf(stderr, "usage: instructions_probe lifo|batch|reverse|loop COUNT\n");
    return 2;
  }
  return 0;
}
