#include <acre/heap.h>
#include <acre/version.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

// Uses the heap through its installed header and prints the header's version.
int main() {
  acre::Heap heap;
  acre::Mutator mutator(heap);
  void* slot = mutator.Allocate(64);
  if (slot == nullptr) return 1;
  std::memset(slot, 0x5a, 64);
  mutator.Free(slot);
  std::free(std::malloc(64));
  std::printf("%d.%d.%d\n", ACRE_VERSION_MAJOR, ACRE_VERSION_MINOR, ACRE_VERSION_PATCH);
  return 0;
}
