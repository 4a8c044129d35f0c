#pragma once

// The one seam between the programs of this folder and their heap. The build names the policy's file in
// COLLECT_HEAP_POLICY; nothing else here knows which one it is. A policy file defines, in namespace collect:
//
//   class Field<T>   a pointer to a T inside a heap object: Field(T*), for objects that are being made; Load() and
//                    Store(heap, object), the latter with whatever write barrier the heap wants.
//   class Heap       New<T>(arguments...) makes an object, NewNumbers(count) an array of zeros without pointers. Delete(object)
//                    frees an object where that is the program's work, else it does nothing.
//                    kFreesByHand: whether that is so, and things have to be taken apart at all.
//                    kName, collections(), longest_stop_ns(), for the line that ReportHeap writes.
//
// Nothing returns null: a program without memory ends. Local variables keep objects alive on every heap: those that collect
// read the stack. A type of objects has Fields alone.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace collect {

[[noreturn]] inline void OutOfMemory() {
  std::fprintf(stderr, "out of memory\n");
  std::exit(1);
}

}  // namespace collect

#include COLLECT_HEAP_POLICY

namespace collect {

// bench/run reads it.
inline void ReportHeap(const Heap& heap) {
  std::fprintf(stderr, "heap: %s, %llu collections, longest stop %llu us\n", Heap::kName,
               static_cast<unsigned long long>(heap.collections()),
               static_cast<unsigned long long>(heap.longest_stop_ns() / 1000));
}

}  // namespace collect
