#pragma once

/* The bodies of acre.h's inline functions. Included by acre.h. */

#include "acre/internal/export.h"
#include "acre/internal/records.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct acre_small_class {
  uint32_t slot_bytes;
  uint32_t run_offset;
} acre_small_class;

/* By (bytes + 15) / 16. */
typedef struct acre_small_class_table {
  acre_small_class classes[ACRE_MAX_SMALL_BYTES / 16 + 1];
} acre_small_class_table;
ACRE_API extern const acre_small_class_table acre_small_classes;

ACRE_API void* acre_allocate_slow(acre_mutator* mutator, acre_kind kind, size_t bytes);
ACRE_API void acre_safepoint_slow(acre_mutator* mutator);
ACRE_API void acre_write_slow(acre_mutator* mutator, void* field, uint64_t word);
ACRE_API void acre_publish_slow(acre_mutator* mutator, void* object);

static inline uint32_t acre_kind_number(acre_kind kind) { return (uint32_t)kind & (ACRE_MAX_KINDS - 1); }

static inline void* acre_allocate(acre_mutator* mutator, acre_kind kind, size_t bytes) {
  if (bytes <= ACRE_MAX_SMALL_BYTES) {
    const acre_small_class small = acre_small_classes.classes[(bytes + 15) / 16];
    acre_run* run = (acre_run*)((char*)((acre_mutator_front*)mutator)->rows[acre_kind_number(kind)] + small.run_offset);
    const uintptr_t object = run->cursor;
    if (__builtin_expect(small.slot_bytes <= run->limit - object, 1)) {
      run->cursor = object + small.slot_bytes;
      return (void*)object;
    }
  }
  return acre_allocate_slow(mutator, kind, bytes);
}

static inline void acre_safepoint(acre_mutator* mutator) {
  const acre_mutator_front* front = (const acre_mutator_front*)mutator;
  if (__builtin_expect(__atomic_load_n(&front->requested, __ATOMIC_ACQUIRE) !=
                       __atomic_load_n(&front->acknowledged, __ATOMIC_RELAXED), 0)) {
    acre_safepoint_slow(mutator);
  }
}

/* A store is a region: a thread that is stopped between the look at `barrier` and the store does not count as stopped. While a
   cycle marks, stores are slow, and most of a thread's time may be such regions: it obeys at their end. */
static inline void acre_write_word(acre_mutator* mutator, uint64_t* field, uint64_t word) {
  acre_mutator_front* front = (acre_mutator_front*)mutator;
  __atomic_store_n(&front->in_region, 1, __ATOMIC_RELAXED);
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  const bool has_barrier = __atomic_load_n(&front->barrier, __ATOMIC_RELAXED) != 0;
  if (__builtin_expect(has_barrier, 0)) acre_write_slow(mutator, field, word);
  __atomic_store_n((acre_field*)field, word, __ATOMIC_RELEASE);
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  __atomic_store_n(&front->in_region, 0, __ATOMIC_RELAXED);
  if (__builtin_expect(has_barrier, 0)) acre_safepoint(mutator);
}

static inline void acre_write(acre_mutator* mutator, void* field, const void* value) {
  acre_write_word(mutator, (uint64_t*)field, (uint64_t)(uintptr_t)value);
}

static inline void acre_publish(acre_mutator* mutator, void* object) {
  const acre_mutator_front* front = (const acre_mutator_front*)mutator;
  if (__builtin_expect(__atomic_load_n(&front->barrier, __ATOMIC_RELAXED) != 0, 0)) acre_publish_slow(mutator, object);
}

static inline void acre_root_set(acre_mutator* mutator, acre_root* root, const void* object) {
  acre_write(mutator, &root->object, object);
}

/* The record is complete before the list shows it: a signal may come between any two instructions. */
static inline void acre_local_push(acre_mutator* mutator, acre_local* local, void* object) {
  acre_mutator_front* front = (acre_mutator_front*)mutator;
  local->object = object;
  local->below = front->locals;
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  front->locals = local;
}

static inline void acre_local_pop(acre_mutator* mutator, acre_local* local) {
  ((acre_mutator_front*)mutator)->locals = local->below;
}

#ifdef __cplusplus
}
#endif
