#include <acre/heap.h>
#include <acre/manual_heap.h>
#include <acre/version.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

// Uses both heaps through their installed headers and prints the header's version.
int main() {
  acre::ManualHeap heap;
  acre::ManualMutator mutator(heap);
  void* slot = mutator.Allocate(64);
  if (slot == nullptr) return 1;
  std::memset(slot, 0x5a, 64);
  mutator.Free(slot);
  std::free(std::malloc(64));

  acre::Heap collected;
  acre::Mutator collecting(collected);
  if (!collecting.is_valid() || collecting.Allocate(ACRE_CONSERVATIVE, 64) == nullptr) return 1;
  collecting.Collect();
  std::printf("%d.%d.%d\n", ACRE_VERSION_MAJOR, ACRE_VERSION_MINOR, ACRE_VERSION_PATCH);
  return 0;
}
