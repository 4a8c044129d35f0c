/* collect_probe MODE COUNT: COUNT times one operation of the collected heap, and nothing else.

   MODE is allocate (objects of 32 bytes, the size known to the compiler; runs are refilled and cleared meanwhile, but nothing
   is collected), write (a pointer stored into a field) or loop (neither). instructions.py runs it under callgrind with two
   counts and divides the difference. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acre/acre.h"

enum { kBytes = 32 };

static void Allocate(acre_mutator* mutator, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    void* object = acre_allocate(mutator, ACRE_CONSERVATIVE, kBytes);
    __asm__ volatile("" : : "r"(object) : "memory");
  }
}

static void Write(acre_mutator* mutator, size_t count) {
  void** object = acre_allocate(mutator, ACRE_CONSERVATIVE, kBytes);
  for (size_t i = 0; i < count; ++i) acre_write(mutator, &object[0], object);
}

static void Loop(size_t count) {
  for (size_t i = 0; i < count; ++i) __asm__ volatile("" : : : "memory");
}

int main(int count, char** arguments) {
  const char* mode = count == 3 ? arguments[1] : "";
  const size_t operations = count == 3 ? strtoull(arguments[2], NULL, 10) : 0;
  acre_options options;
  acre_options_init(&options);
  options.min_trigger_bytes = SIZE_MAX;
  options.background = false;
  acre_heap* heap;
  acre_mutator* mutator;
  if (acre_heap_create(&options, &heap) != ACRE_OK || acre_attach(heap, &mutator) != ACRE_OK) return 1;
  if (strcmp(mode, "allocate") == 0) {
    Allocate(mutator, operations);
  } else if (strcmp(mode, "write") == 0) {
    Write(mutator, operations);
  } else if (strcmp(mode, "loop") == 0) {
    Loop(operations);
  } else {
    fprintf(stderr, "usage: collect_probe allocate|write|loop COUNT\n");
    return 2;
  }
  acre_detach(mutator);
  acre_heap_destroy(heap);
  return 0;
}
