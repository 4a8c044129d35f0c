/* The smallest program that uses its heap: what a process pays for the start of the allocator itself. */
#include <stdlib.h>

enum { kBlocks = 64, kStepBytes = 24 };

int main(void) {
  void *volatile blocks[kBlocks];
  for (size_t i = 0; i < kBlocks; ++i) {
    blocks[i] = malloc((i + 1) * kStepBytes);
    if (blocks[i] == NULL) return 1;
    *(volatile char *)blocks[i] = 1;
  }
  for (size_t i = 0; i < kBlocks; ++i) free(blocks[i]);
  return 0;
}
