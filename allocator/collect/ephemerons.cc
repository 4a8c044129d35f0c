#include "allocator/collect/ephemerons.h"

namespace acre {
namespace {

uintptr_t CheckedKey(const Liveness& liveness, const void* key) {
  const auto address = reinterpret_cast<uintptr_t>(key);
  if (!liveness.IsStart(address)) os::Fatal("ephemeron key ", os::Hex{address}, ": not the start of an object");
  return address;
}

}  // namespace

Ephemeron* Ephemerons::Create(const void* key, const void* value) {
  BlockingLock lock(mutex_);
  const uintptr_t address = CheckedKey(liveness_, key);
  return CreateLocked(address, reinterpret_cast<uintptr_t>(value), nullptr);
}

Ephemeron* Ephemerons::CreateLocked(uintptr_t key, uintptr_t value, WeakKeyTable* table) {
  Ephemeron* ephemeron = records_.Allocate();
  if (ephemeron == nullptr) return nullptr;
  ephemeron->key.store(key, std::memory_order_relaxed);
  ephemeron->value.store(value, std::memory_order_relaxed);
  ephemeron->table = table;
  index_.Add(ephemeron);
  return ephemeron;
}

void Ephemerons::Destroy(Ephemeron* ephemeron) {
  BlockingLock lock(mutex_);
  DestroyLocked(ephemeron);
}

void Ephemerons::DestroyLocked(Ephemeron* ephemeron) {
  if (ephemeron->indexed_object() != 0) index_.Remove(ephemeron);
  if (WeakKeyTable* table = ephemeron->table) {
    table->entries_.Remove(ephemeron);
    --table->count_;
  }
  records_.Free(ephemeron);
}

// Its key has died.
void Ephemerons::End(Ephemeron* ephemeron) {
  if (ephemeron->table != nullptr) {
    DestroyLocked(ephemeron);
    return;
  }
  index_.Remove(ephemeron);
  ephemeron->key.store(0, std::memory_order_relaxed);
  ephemeron->value.store(0, std::memory_order_relaxed);
}

void Ephemerons::BeginCycle() {
  waiting_ = nullptr;
  ready_ = nullptr;
  records_.ForEach([this](Ephemeron& ephemeron) {
    ephemeron.is_waiting = ephemeron.indexed_object() != 0;
    if (!ephemeron.is_waiting) return;
    ephemeron.next_waiting = waiting_;
    waiting_ = &ephemeron;
  });
}

// Takes those out of the waiting whose keys are marked, and makes them ready. False if there are none.
bool Ephemerons::ReleaseMarked() {
  Ephemeron** place = &waiting_;
  while (Ephemeron* ephemeron = *place) {
    if (ephemeron->is_waiting && !liveness_.IsMarked(ephemeron->indexed_object())) {
      place = &ephemeron->next_waiting;
      continue;
    }
    // One that waits no more was released by OnMarked.
    *place = ephemeron->next_waiting;
    if (!ephemeron->is_waiting) continue;
    ephemeron->is_waiting = false;
    ephemeron->next_ready = ready_;
    ready_ = ephemeron;
  }
  return ready_ != nullptr;
}

// Values of ready ones become roots. False if there were none.
bool Ephemerons::AddReady(Marker& marker) {
  if (ready_ == nullptr) return false;
  while (Ephemeron* ephemeron = ready_) {
    ready_ = ephemeron->next_ready;  // Marking the value may make others ready.
    marker.AddRoot(ephemeron->value.load(std::memory_order_relaxed));
  }
  return true;
}

void Ephemerons::Mark(Marker& marker) {
  marker.Drain();
  for (int round = 0; round < kPlainRounds; ++round) {
    if (!ReleaseMarked()) return;
    (void)AddReady(marker);
    marker.Drain();
  }
  // What was marked before the watch began is found by one more look at all; so are huge keys, of which it does not tell.
  while (ReleaseMarked()) {
    marker.BeginWatch({.context = this, .marked = &Ephemerons::OnMarked});
    while (AddReady(marker)) marker.Drain();
    marker.EndWatch();
  }
}

void Ephemerons::OnMarked(void* self, uintptr_t object) {
  auto* ephemerons = static_cast<Ephemerons*>(self);
  for (Ephemeron* ephemeron = ephemerons->index_.First(object); ephemeron != nullptr;
       ephemeron = ObjectIndex<Ephemeron>::Next(ephemeron)) {
    if (!ephemeron->is_waiting) continue;
    ephemeron->is_waiting = false;
    ephemeron->next_ready = ephemerons->ready_;
    ephemerons->ready_ = ephemeron;
  }
}

void Ephemerons::ClearDead() {
  records_.ForEach([this](Ephemeron& ephemeron) {
    const uintptr_t key = ephemeron.indexed_object();
    if (key != 0 && !liveness_.IsMarked(key)) End(&ephemeron);
  });
}

void Ephemerons::DropObject(uintptr_t object) {
  while (Ephemeron* ephemeron = index_.First(object)) End(ephemeron);
}

size_t Ephemerons::count() {
  BlockingLock lock(mutex_);
  return records_.count();
}

WeakKeyTable::~WeakKeyTable() {
  BlockingLock lock(ephemerons_.mutex_);
  while (Ephemeron* entry = entries_.first()) ephemerons_.DestroyLocked(entry);
}

Ephemeron* WeakKeyTable::Find(uintptr_t key) const {
  Ephemeron* entry = ephemerons_.index_.First(key);
  while (entry != nullptr && entry->table != this) entry = ObjectIndex<Ephemeron>::Next(entry);
  return entry;
}

bool WeakKeyTable::Put(const void* key, const void* value) {
  BlockingLock lock(ephemerons_.mutex_);
  const uintptr_t address = CheckedKey(ephemerons_.liveness_, key);
  if (Ephemeron* entry = Find(address)) {
    Ephemerons::SetValue(*entry, value);
    return true;
  }
  Ephemeron* entry = ephemerons_.CreateLocked(address, reinterpret_cast<uintptr_t>(value), this);
  if (entry == nullptr) return false;
  entries_.Append(entry);
  ++count_;
  return true;
}

bool WeakKeyTable::Get(const void* key, void** value) {
  BlockingLock lock(ephemerons_.mutex_);
  return GetLocked(key, value);
}

bool WeakKeyTable::GetLocked(const void* key, void** value) const {
  const Ephemeron* entry = Find(reinterpret_cast<uintptr_t>(key));
  if (entry == nullptr) return false;
  *value = Ephemerons::Value(*entry);
  return true;
}

bool WeakKeyTable::Remove(const void* key) {
  BlockingLock lock(ephemerons_.mutex_);
  Ephemeron* entry = Find(reinterpret_cast<uintptr_t>(key));
  if (entry == nullptr) return false;
  ephemerons_.DestroyLocked(entry);
  return true;
}

size_t WeakKeyTable::Count() {
  BlockingLock lock(ephemerons_.mutex_);
  return count_;
}

}  // namespace acre
