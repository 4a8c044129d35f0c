#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Prints the file that the process's malloc and memalign come from: one and the same, ours. */
static const char* file_of(const char* function) {
  Dl_info info;
  void* address = dlsym(RTLD_DEFAULT, function);
  return address != NULL && dladdr(address, &info) != 0 ? info.dli_fname : "nowhere";
}

int main(void) {
  char* block = malloc(100);
  if (block == NULL) return 1;
  memset(block, 1, 100);
  block = realloc(block, 100000);
  if (block == NULL || block[99] != 1) return 1;
  free(block);
  printf("%s\n%s\n", file_of("malloc"), file_of("memalign"));
  return 0;
}
