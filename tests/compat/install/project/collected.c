#include <acre/acre.h>
#include <stdio.h>

/* Uses the collected heap from C and prints the header's version. */
int main(void) {
  acre_heap* heap;
  acre_mutator* mutator;
  if (acre_heap_create(NULL, &heap) != ACRE_OK || acre_attach(heap, &mutator) != ACRE_OK) return 1;
  if (acre_allocate(mutator, ACRE_CONSERVATIVE, 64) == NULL) return 1;
  acre_collect(mutator);
  acre_detach(mutator);
  acre_heap_destroy(heap);
  printf("%d.%d.%d\n", ACRE_VERSION_MAJOR, ACRE_VERSION_MINOR, ACRE_VERSION_PATCH);
  return 0;
}
