#include "allocator/heap/thread_cache.h"

#include "os/check.h"

namespace acre {
namespace {

// The first refill of a class takes at most this much memory, so that a thread that needs one object holds little.
constexpr uint32_t kFirstRefillBytes = 1024;
// Later refills from span bits double up to this. Measured with 1000 threads that hold 100 KiB each in ten classes: RSS over
// glibc's 50 MiB without a limit, 18 MiB with this one; the lock it costs more often is nothing beside the kernel's
// work for fresh pages, and slots that were freed before come by the depot's magazines.
constexpr uint32_t kMaxRefillBytes = 4096;
// A wave of frees does not shrink magazines below this.
constexpr uint32_t kMinWaveCapacity = 30;

uint32_t FirstWanted(SizeClass size_class) {
  const uint32_t slots = kFirstRefillBytes / kSizeClasses[size_class].slot_bytes;
  if (slots == 0) return 1;
  return slots < Magazine::kMinCapacity ? slots : Magazine::kMinCapacity;
}

uint32_t NextWanted(SizeClass size_class, uint32_t wanted) {
  const uint32_t slots = kMaxRefillBytes / kSizeClasses[size_class].slot_bytes;
  const uint32_t most = slots < Magazine::kMaxCapacity ? slots : Magazine::kMaxCapacity;
  if (wanted >= most) return wanted;
  return 2 * wanted < most ? 2 * wanted : most;
}

constexpr uint32_t Twice(uint32_t capacity) {
  return capacity >= Magazine::kMaxCapacity ? Magazine::kMaxCapacity : 2 * capacity + 2;
}
static_assert(Twice(14) == 30 && Twice(126) == 254);

}  // namespace

void* ThreadCache::AllocateSlow(SizeClass size_class) {
  Reserve& reserve = reserves_[size_class];
  if (reserve.previous != nullptr && reserve.previous->count > 0) {
    SwapMagazines(size_class);
    return Allocate(size_class);
  }
  CentralList& central = central_[size_class];
  Magazine* empty = Unload(size_class);
  const uint32_t wanted = reserve.wanted == 0 ? FirstWanted(size_class) : NextWanted(size_class, reserve.wanted);
  if (reserve.capacity == 0) reserve.capacity = Magazine::kMinCapacity;
  while (reserve.capacity < wanted) reserve.capacity = static_cast<uint16_t>(Twice(reserve.capacity));
  if (empty != nullptr && empty->capacity < wanted) {
    central.DestroyMagazine(empty);
    empty = nullptr;
  }
  if (empty == nullptr) empty = central.MakeMagazine(reserve.capacity);
  if (empty == nullptr) return nullptr;
  reserve.wanted = static_cast<uint16_t>(wanted);
  Load(size_class, central.Refill(empty, wanted));
  return Allocate(size_class);
}

bool ThreadCache::MakeRoom(SizeClass size_class) {
  if (central_ == nullptr) return false;
  Reserve& reserve = reserves_[size_class];
  if (reserve.previous != nullptr && reserve.previous->count == 0) return SwapMagazines(size_class);
  CentralList& central = central_[size_class];
  if (reserve.capacity == 0) reserve.capacity = Magazine::kMinCapacity;
  Magazine* empty;
  if (reserve.previous == nullptr) {
    empty = central.MakeMagazine(reserve.capacity);
    if (empty == nullptr) return false;
  } else {
    bool drained;
    empty = central.TakeBack(reserve.previous, reserve.capacity, &drained);
    if (!drained) {
      reserve.capacity = static_cast<uint16_t>(Twice(reserve.capacity));
    } else if (reserve.capacity > kMinWaveCapacity) {
      reserve.capacity = static_cast<uint16_t>(reserve.capacity / 2 - 1);
    }
  }
  reserve.previous = Unload(size_class);
  Load(size_class, empty);
  return true;
}

void ThreadCache::Trim() {
  for (SizeClass size_class = 1; size_class < kSizeClassCount; ++size_class) {
    Magazine* magazine = reserves_[size_class].previous;
    if (magazine == nullptr) continue;
    if (magazine->count > 0) central_[size_class].Drain(magazine);
    central_[size_class].DestroyMagazine(magazine);
    reserves_[size_class].previous = nullptr;
  }
}

void ThreadCache::Flush() {
  for (SizeClass size_class = 1; size_class < kSizeClassCount; ++size_class) {
    CentralList& central = central_[size_class];
    Reserve& reserve = reserves_[size_class];
    for (Magazine* magazine : {Unload(size_class), reserve.previous}) {
      if (magazine == nullptr) continue;
      if (magazine->count > 0) central.Drain(magazine);
      central.DestroyMagazine(magazine);
    }
    reserve = Reserve{};
  }
}

// Read while the owner changes them. The other magazine may even be gone, but its memory stays the heap's: then the
// number is one of the past, or nonsense, which the bound keeps small.
__attribute__((no_sanitize("thread"))) size_t ThreadCache::CachedSlots(SizeClass size_class) const {
  const size_t loaded = *const_cast<const volatile uint32_t*>(&bins_[size_class].count);
  const Magazine* other = *const_cast<Magazine* const volatile*>(&reserves_[size_class].previous);
  if (other == nullptr) return loaded;
  const uint32_t count = *const_cast<const volatile uint32_t*>(&other->count);
  return loaded + (count < Magazine::kMaxCapacity ? count : Magazine::kMaxCapacity);
}

void ThreadCache::Load(SizeClass size_class, Magazine* magazine) {
  Bin& bin = bins_[size_class];
  const uint32_t most = MaxMagazineSlots(size_class);
  bin.slots = magazine->slots;
  bin.limit = magazine->capacity < most ? magazine->capacity : most;
  bin.count = magazine->count;
}

// The loaded magazine with its count, or null; the bin is empty and full at once then.
Magazine* ThreadCache::Unload(SizeClass size_class) {
  Bin& bin = bins_[size_class];
  if (bin.slots == nullptr) return nullptr;
  Magazine* magazine = Magazine::Of(bin.slots);
  magazine->count = bin.count;
  bin.slots = nullptr;
  bin.limit = 0;
  bin.count = 0;
  return magazine;
}

bool ThreadCache::SwapMagazines(SizeClass size_class) {
  Reserve& reserve = reserves_[size_class];
  Magazine* loaded = Unload(size_class);
  Load(size_class, reserve.previous);
  reserve.previous = loaded;
  return true;
}

}  // namespace acre
