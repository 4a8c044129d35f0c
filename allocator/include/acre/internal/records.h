#pragma once

/* Types of acre.h whose layout both sides know: the embedder's inline code, and the parts of the library behind it. What they
   mean and who may touch them stands in acre.h. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct acre_heap acre_heap;
typedef struct acre_mutator acre_mutator;
typedef struct acre_tracer acre_tracer;
typedef uint8_t acre_kind;

enum { ACRE_MAX_KINDS = 64, ACRE_MAX_SMALL_BYTES = 32768 };

typedef bool acre_trace_function(void* context, void* object, size_t bytes, acre_tracer* tracer);
typedef void acre_root_function(void* context, acre_tracer* tracer);

typedef struct acre_root {
  struct acre_root* next;
  struct acre_root* previous;
  void* object;
} acre_root;

typedef struct acre_root_range {
  struct acre_root_range* next;
  struct acre_root_range* previous;
  const void* base;
  const void* limit;
} acre_root_range;

typedef struct acre_root_callback {
  struct acre_root_callback* next;
  struct acre_root_callback* previous;
  acre_root_function* function;
  void* context;
} acre_root_callback;

typedef struct acre_pin {
  struct acre_pin* next;
  struct acre_pin* previous;
  void* base;
  void* limit;
  void* object; /* That these bytes are of: filled in by acre_pin_add, like the next. */
  size_t object_bytes;
  acre_kind kind;
} acre_pin;

typedef struct acre_local {
  struct acre_local* below;
  void* object;
} acre_local;

typedef struct acre_run {
  uintptr_t cursor;
  uintptr_t limit; /* Memory up to here is zeroed. */
  uintptr_t end;
  size_t most_bytes;
} acre_run;

/* What an acre_mutator begins with. */
typedef struct acre_mutator_front {
  acre_run* rows[ACRE_MAX_KINDS];
  uint32_t in_region;    /* Not 0: the thread is at something that must not be stopped half-way. */
  uint32_t barrier;      /* Not 0: stores have to be reported. */
  uint32_t requested;    /* The number of the stop that it is asked for, and */
  uint32_t acknowledged; /* of the last one that it obeyed. */
  acre_local* locals;
} acre_mutator_front;

/* What an acre_tracer begins with. */
typedef struct acre_tracer_front {
  uint64_t* next_candidate;  /* Candidates are stored here; behind the limit there is room for what scanning writes. */
  uint64_t* candidate_limit;
  uint64_t heap_low;         /* Candidates are the words with word - heap_low < heap_bytes. */
  uint64_t heap_bytes;
  void (*flush_candidates)(acre_tracer* tracer);
} acre_tracer_front;

/* Fields are of the embedder's own types. */
typedef uint64_t __attribute__((may_alias)) acre_field;

static inline void acre_visit_word(acre_tracer* tracer, uintptr_t word) {
  acre_tracer_front* front = (acre_tracer_front*)tracer;
  *front->next_candidate = word;
  front->next_candidate += (size_t)(word - front->heap_low < front->heap_bytes);
  if (__builtin_expect(front->next_candidate == front->candidate_limit, 0)) front->flush_candidates(tracer);
}

static inline void acre_visit(acre_tracer* tracer, const void* pointer) { acre_visit_word(tracer, (uintptr_t)pointer); }

static inline void acre_visit_range(acre_tracer* tracer, const void* base, const void* limit) {
  const acre_field* word = (const acre_field*)(((uintptr_t)base + 7) & ~(uintptr_t)7);
  for (; (uintptr_t)(word + 1) <= (uintptr_t)limit; ++word) {
    acre_visit_word(tracer, __atomic_load_n(word, __ATOMIC_RELAXED));
  }
}

#ifdef __cplusplus
}
#endif
