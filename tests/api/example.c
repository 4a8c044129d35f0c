/* A list of numbers in C, collected. */

#include <acre/acre.h>

#include <stdio.h>

struct cell {
  struct cell* next;
  unsigned long value;
};

int main(void) {
  acre_options options;
  acre_options_init(&options);
  acre_status status = acre_options_set(&options, "min_trigger_bytes", "1M");
  acre_heap* heap = NULL;
  acre_mutator* mutator = NULL;
  acre_kind cells = ACRE_CONSERVATIVE;
  const uint64_t bitmap = 1; /* Word 0, the first of two, is a pointer. */
  if (status == ACRE_OK) status = acre_heap_create(&options, &heap);
  if (status == ACRE_OK) status = acre_kind_bitmap(heap, &bitmap, 2, &cells);
  if (status == ACRE_OK) status = acre_attach(heap, &mutator);
  if (status != ACRE_OK) {
    fprintf(stderr, "no heap: %s\n", acre_status_text(status));
    return 1;
  }

  /* A hundred lists, each dropped for the next. */
  unsigned long sum = 0;
  for (int round = 0; round < 100; ++round) {
    struct cell* list = NULL;
    for (unsigned long i = 0; i < 10000; ++i) {
      struct cell* cell = acre_allocate(mutator, cells, sizeof *cell);
      if (cell == NULL) return 1;
      cell->value = i;
      acre_write(mutator, &cell->next, list);
      list = cell;
    }
    for (const struct cell* cell = list; cell != NULL; cell = cell->next) sum += cell->value;
  }
  acre_collect(mutator);

  acre_statistics statistics = {.struct_bytes = sizeof statistics};
  acre_get_statistics(heap, &statistics);
  printf("sum %lu; 16000000 bytes allocated, of which %s lives\n", sum,
         statistics.live_bytes < 1000000 ? "less than a million" : "too much");
  acre_detach(mutator);
  acre_heap_destroy(heap);
  return 0;
}
