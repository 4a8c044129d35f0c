// A program on a collected heap whose threads stop each other, on a kernel that counts as affected and with no memory to
// lock, and which then uses the heap wrongly: the subject of tests/unit/collect/kernel_bug_test.cc.

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "acre/acre.h"
#include "tests/support/memlock_limit.h"

namespace {

using acre::testing::Give;

void Collect(acre_heap* heap, int rounds) {
  acre_mutator* mutator = nullptr;
  if (acre_attach(heap, &mutator) != ACRE_OK) Give(2, "not attached");
  for (int round = 0; round < rounds; ++round) acre_collect(mutator);
  acre_detach(mutator);
}

}  // namespace

int main() {
  acre::testing::LimitLockedMemory(0);
  acre_heap* heap = nullptr;
  acre_mutator* mutator = nullptr;
  if (acre_heap_create(nullptr, &heap) != ACRE_OK) Give(2, "no heap");
  if (acre_attach(heap, &mutator) != ACRE_OK) Give(2, "not attached");
  // This thread is stopped by signals, wherever it is.
  std::atomic<bool> is_over = false;
  std::thread other([&] {
    Collect(heap, 100);
    is_over = true;
  });
  while (!is_over) {
  }
  other.join();
  acre_heap_destroy(heap);  // With this thread attached.
  return 0;
}
