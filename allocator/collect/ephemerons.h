#pragma once

// Ephemerons: pairs of a key and a value, where the value is kept alive only as long as the key is alive by others.
//
// A value may lead to further keys, so that marking and ephemerons go in turns until nothing changes. A round looks at
// every ephemeron whose key was not marked yet: as long as there are few rounds that is the fastest. A chain, each key
// behind the value before it, would take as many rounds as it is long. So after a few rounds marking goes on *watched*: the
// marker tells of each object that it marks, and the index from keys to ephemerons says what that sets free (the idea of
// Hayes, as in V8's cppgc). All in all the time is linear in ephemerons and in what is marked through them.
//
// An ephemeron is independent, or an entry of a WeakKeyTable. When its key dies an independent one is cleared, an entry
// is gone.
//
// Threads: any mutator's; the lock of the ends, but for Key, Value and SetValue, which take none.

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "allocator/base/fifo.h"
#include "allocator/collect/end_records.h"
#include "allocator/collect/liveness.h"
#include "allocator/collect/marker.h"
#include "allocator/collect/world.h"
#include "os/mutex.h"

namespace acre {

class WeakKeyTable;

struct Ephemeron {
  Ephemeron* next = nullptr;  // In its table.
  Ephemeron* previous = nullptr;
  Ephemeron* next_in_index = nullptr;
  Ephemeron* next_waiting = nullptr;  // These two while marking.
  Ephemeron* next_ready = nullptr;
  WeakKeyTable* table = nullptr;
  // The key is written like WeakCell::object, the value by mutators too; read by anyone.
  std::atomic<uintptr_t> key{0};
  std::atomic<uintptr_t> value{0};
  bool is_waiting = false;  // In a cycle: the key has not been found marked yet.

  uintptr_t indexed_object() const { return key.load(std::memory_order_relaxed); }
};

class Ephemerons {
 public:
  Ephemerons(os::Mutex& mutex, Metadata& metadata, os::AddressSpace& space, const Liveness& liveness)
      : mutex_(mutex), liveness_(liveness), records_(metadata), index_(space) {}

  // The key must be given by its start, the value may be any word: if it points into an object, it keeps it. Null: no
  // memory.
  [[nodiscard]] Ephemeron* Create(const void* key, const void* value);
  void Destroy(Ephemeron* ephemeron);

  // Null when the key has died. Like WeakCells::Get in a region, and shaded.
  static void* Key(const Ephemeron& ephemeron) {
    return reinterpret_cast<void*>(ephemeron.key.load(std::memory_order_relaxed));
  }
  static void* Value(const Ephemeron& ephemeron) {
    // In this order: if a stop comes between the loads and the key dies in it, the value is not needed; if it comes
    // later, the value is in a register.
    const uintptr_t value = ephemeron.value.load(std::memory_order_acquire);
    const uintptr_t key = ephemeron.key.load(std::memory_order_relaxed);
    return reinterpret_cast<void*>(key == 0 ? 0 : value);
  }
  // Nothing happens if the key has died.
  static void SetValue(Ephemeron& ephemeron, const void* value) {
    ephemeron.value.store(reinterpret_cast<uintptr_t>(value), std::memory_order_release);
  }

  // In the stop, with the lock held: BeginCycle, then Mark as often as more roots were added, then ClearDead.
  void BeginCycle();
  void Mark(Marker& marker);
  void ClearDead();

  // With the lock held: the object ends now.
  void DropObject(uintptr_t object);

  size_t count();

 private:
  friend class WeakKeyTable;

  // A watched object costs a look-up; a round costs a look at every waiting ephemeron. Most programs need one or two.
  static constexpr int kPlainRounds = 4;

  Ephemeron* CreateLocked(uintptr_t key, uintptr_t value, WeakKeyTable* table);
  void DestroyLocked(Ephemeron* ephemeron);
  void End(Ephemeron* ephemeron);
  bool ReleaseMarked();
  bool AddReady(Marker& marker);
  static void OnMarked(void* self, uintptr_t object);

  os::Mutex& mutex_;
  const Liveness& liveness_;
  // Guarded by mutex_.
  RecordPool<Ephemeron> records_;
  ObjectIndex<Ephemeron> index_;      // Those that are not cleared.
  Ephemeron* waiting_ = nullptr;
  Ephemeron* ready_ = nullptr;        // Key marked, value not yet given to the marker.
};

// A map from objects to values by the objects' addresses (which do not change), whose entries vanish with their keys. It
// keeps neither keys nor, but for live keys, values alive. Nothing in the heap belongs to it: the owner destroys it.
//
// Threads: any mutator's; the lock of the ends. Cost: a look-up.
class WeakKeyTable {
 public:
  explicit WeakKeyTable(Ephemerons& ephemerons) : ephemerons_(ephemerons) {}
  ~WeakKeyTable();
  WeakKeyTable(const WeakKeyTable&) = delete;
  WeakKeyTable& operator=(const WeakKeyTable&) = delete;

  // Adds the entry or changes its value. False: no memory, and nothing has changed.
  [[nodiscard]] bool Put(const void* key, const void* value);

  // False: there is no such entry.
  [[nodiscard]] bool Get(const void* key, void** value);
  [[nodiscard]] bool GetLocked(const void* key, void** value) const;  // The same with the ends' lock held.
  bool Remove(const void* key);

  size_t Count();

  // Calls visit(key, value) for each entry, in the order in which they were added, with the lock held: it must neither
  // allocate on the heap nor use a weak reference, a table or a finalizer.
  template <class Visit>
  void ForEach(Visit visit) {
    BlockingLock lock(ephemerons_.mutex_);
    for (const Ephemeron* entry = entries_.first(); entry != nullptr; entry = entry->next) {
      visit(Ephemerons::Key(*entry), Ephemerons::Value(*entry));
    }
  }

 private:
  friend class Ephemerons;

  Ephemeron* Find(uintptr_t key) const;

  Ephemerons& ephemerons_;
  Fifo<Ephemeron> entries_;  // Guarded by the ends' lock, like the count.
  size_t count_ = 0;
};

}  // namespace acre
