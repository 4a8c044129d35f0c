/* Something real to compile: a small hash table, a sort, and arithmetic, which print the same everywhere. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 1021

struct entry {
  struct entry *next;
  unsigned long count;
  char key[];
};

static struct entry *table[BUCKETS];

static unsigned hash(const char *text) {
  unsigned value = 2166136261u;
  for (; *text; ++text) value = (value ^ (unsigned char)*text) * 16777619u;
  return value;
}

static void add(const char *key) {
  struct entry **at = &table[hash(key) % BUCKETS];
  for (; *at; at = &(*at)->next)
    if (strcmp((*at)->key, key) == 0) {
      ++(*at)->count;
      return;
    }
  *at = malloc(sizeof(struct entry) + strlen(key) + 1);
  if (!*at) abort();
  (*at)->next = NULL;
  (*at)->count = 1;
  strcpy((*at)->key, key);
}

static int by_count(const void *a, const void *b) {
  const struct entry *x = *(struct entry *const *)a, *y = *(struct entry *const *)b;
  if (x->count != y->count) return x->count < y->count ? 1 : -1;
  return strcmp(x->key, y->key);
}

static double power_sum(const double *values, size_t count, int power) {
  double sum = 0;
  for (size_t i = 0; i < count; ++i) {
    double product = 1;
    for (int k = 0; k < power; ++k) product *= values[i];
    sum += product;
  }
  return sum;
}

int main(void) {
  uint32_t seed = 1;
  char key[32];
  for (int i = 0; i < 200000; ++i) {
    seed = seed * 1664525u + 1013904223u;
    snprintf(key, sizeof key, "key%u", (seed >> 16) % 5000);
    add(key);
  }
  struct entry **all = NULL;
  size_t count = 0, room = 0;
  for (int b = 0; b < BUCKETS; ++b)
    for (struct entry *e = table[b]; e; e = e->next) {
      if (count == room) {
        room = room ? room * 2 : 16;
        all = realloc(all, room * sizeof *all);
        if (!all) abort();
      }
      all[count++] = e;
    }
  qsort(all, count, sizeof *all, by_count);
  for (size_t i = 0; i < 10 && i < count; ++i) printf("%s %lu\n", all[i]->key, all[i]->count);
  double *values = malloc(count * sizeof *values);
  if (!values) abort();
  for (size_t i = 0; i < count; ++i) values[i] = (double)all[i]->count / 50;
  for (int power = 1; power < 6; ++power) printf("%d %.6f\n", power, power_sum(values, count, power));
  free(values);
  free(all);
  return 0;
}
