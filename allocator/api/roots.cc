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

}  // extern "C"
