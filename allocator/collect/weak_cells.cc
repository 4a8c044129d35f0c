#include "allocator/collect/weak_cells.h"

#include "allocator/collect/world.h"

namespace acre {

WeakCell* WeakCells::Create(const void* object) {
  const auto address = reinterpret_cast<uintptr_t>(object);
  BlockingLock lock(mutex_);
  if (!liveness_.IsStart(address)) os::Fatal("weak reference to ", os::Hex{address}, ": not the start of an object");
  WeakCell* cell = cells_.Allocate();
  if (cell == nullptr) return nullptr;
  cell->object.store(address, std::memory_order_relaxed);
  index_.Add(cell);
  return cell;
}

void WeakCells::Destroy(WeakCell* cell) {
  BlockingLock lock(mutex_);
  if (cell->indexed_object() != 0) index_.Remove(cell);
  cells_.Free(cell);
}

void WeakCells::ClearDead() {
  cells_.ForEach([this](WeakCell& cell) {
    const uintptr_t object = cell.indexed_object();
    if (object == 0 || liveness_.IsMarked(object)) return;
    index_.Remove(&cell);
    cell.object.store(0, std::memory_order_relaxed);
  });
}

void WeakCells::DropObject(uintptr_t object) {
  while (WeakCell* cell = index_.First(object)) {
    index_.Remove(cell);
    cell->object.store(0, std::memory_order_relaxed);
  }
}

size_t WeakCells::count() {
  BlockingLock lock(mutex_);
  return cells_.count();
}

}  // namespace acre
