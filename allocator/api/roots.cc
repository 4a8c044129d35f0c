#include "allocator/api/heap.h"

extern "C" {

void acre_root_add(acre_heap* heap, acre_root* root) { heap->collector.roots().Add(*root); }
void acre_root_remove(acre_heap* heap, acre_root* root) { heap->collector.roots().Remove(*root); }
void acre_root_range_add(acre_heap* heap, acre_root_range* range) { heap->collector.roots().Add(*range); }
void acre_root_range_remove(acre_heap* heap, acre_root_range* range) { heap->collector.roots().Remove(*range); }
void acre_root_callback_add(acre_heap* heap, acre_root_callback* callback) { heap->collector.roots().Add(*callback); }
void acre_root_callback_remove(acre_heap* heap, acre_root_callback* callback) {
  heap->collector.roots().Remove(*callback);
}
void acre_pin_add(acre_mutator* mutator, acre_pin* pin, void* base, size_t bytes) {
  acre::CheckUse(mutator, "acre_pin_add");
  pin->base = base;
  pin->limit = static_cast<char*>(base) + bytes;
  mutator->heap->collector.Pin(*mutator, *pin);
}
void acre_pin_remove(acre_heap* heap, acre_pin* pin) { heap->collector.Unpin(*pin); }

}  // extern "C"
