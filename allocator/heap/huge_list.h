#pragma once

// Objects that do not fit a chunk of pages: each has chunks of its own.
//
// Address space is plentiful (47 bits), memory is not: such an object is reserved with room to grow and made accessible
// only as far as it reaches, so that realloc extends it in place, and moves it, when it must, by moving its pages instead
// of copying them (mremap(2)). There are few such objects, each of tens of megabytes, so a list is searched.
//
// What was freed last stays for a second, if it is large, up to kMaxKeptBytes: a program that needs such an object again and
// again would otherwise wait for the kernel to supply its pages each time (here 40 ms for 64 MiB). An object that took
// over a larger one has a surplus, which goes back after a second too.
//
// Threads: any; one lock, held during the system calls. Cost: system calls, and the kernel's for supplying the memory.

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "allocator/base/list.h"
#include "allocator/base/lock_rank.h"
#include "allocator/base/metadata.h"
#include "allocator/heap/chunk_space.h"
#include "os/address_space.h"
#include "os/mutex.h"

namespace acre {

struct HugeObject {
  HugeObject* next;
  HugeObject* previous;
  os::Reservation reservation;
  uintptr_t base;      // Of the object: the reservation's, or above it for an alignment.
  size_t bytes;        // Whole os pages.
  size_t held_bytes;   // Accessible; what lies beyond `bytes` is surplus.
  uint64_t since_ns;   // Surplus since then.
};

struct HugeStats {
  size_t objects;
  size_t bytes;
  size_t surplus_bytes;  // Beyond the objects' ends, and in what was freed and kept.
};

class HugeList {
 public:
  constexpr HugeList(os::AddressSpace& space, ChunkSpace& chunk_space, Metadata& metadata)
      : space_(space), chunk_space_(chunk_space), metadata_(metadata) {}
  HugeList(const HugeList&) = delete;
  HugeList& operator=(const HugeList&) = delete;

  // Whether objects that grow ask for huge pages.
  void set_wants_huge_pages(bool wants) { wants_huge_pages_ = wants; }

  // Memory aligned to `alignment` (a power of two), and whether it is zeroed. Null when there is none.
  [[nodiscard]] void* Allocate(size_t bytes, size_t alignment, bool* is_zeroed);

  // The object that contains the address; bytes == 0 if there is none.
  HugeObject Find(uintptr_t address);

  // False if no object begins at `address`.
  [[nodiscard]] bool Free(uintptr_t address);

  // Makes the object at `address` reach `bytes`, moving its pages if it must. Returns where it is now, or null (then
  // nothing has changed).
  [[nodiscard]] void* Resize(uintptr_t address, size_t bytes);

  // Gives surplus back that is a second old; or all of it; or what was freed and kept. Returns the bytes.
  size_t ReleaseIdle(uint64_t now_ns);
  size_t ReleaseSurplus() { return ReleaseIdle(UINT64_MAX); }
  size_t ReleaseKept();

  size_t surplus_bytes() const { return surplus_bytes_.load(std::memory_order_relaxed); }
  HugeStats stats();
  void ReleaseAll();

  os::Mutex& mutex() { return mutex_; }

 private:
  static constexpr size_t kMaxBytes = size_t{1} << kAddressBits;
  // From so much free memory on the housekeeper starts at once: less would stay for good where the program only sleeps.
  static constexpr size_t kMinKeptBytes = 64 * kMiB;
  static constexpr size_t kMaxKeptBytes = 128 * kMiB;

  HugeObject* FindLocked(uintptr_t address);
  HugeObject* Make(size_t bytes, size_t alignment, size_t room);
  Status Prepare(const os::Reservation& reservation, uintptr_t base, size_t bytes);
  void Unmake(HugeObject* object);
  void Destroy(HugeObject* object);
  bool GrowInPlace(HugeObject* object, size_t bytes);
  HugeObject* TakeKept(size_t bytes, size_t alignment);
  void Keep(HugeObject* object);
  size_t DropKept();
  bool DropSurplus(HugeObject* object);
  void AddSurplus(size_t bytes) { surplus_bytes_.store(surplus_bytes() + bytes, std::memory_order_relaxed); }
  void SubtractSurplus(size_t bytes) { surplus_bytes_.store(surplus_bytes() - bytes, std::memory_order_relaxed); }

  os::AddressSpace& space_;
  ChunkSpace& chunk_space_;
  Metadata& metadata_;
  bool wants_huge_pages_ = false;
  os::Mutex mutex_{kHugeListRank};
  List<HugeObject> objects_;  // Guarded by mutex_.
  HugeObject* kept_ = nullptr;  // Guarded by mutex_. Freed, all of it surplus; on no list.
  HugeStats stats_{};           // Guarded by mutex_.
  std::atomic<size_t> surplus_bytes_{0};  // Written under mutex_.
};

}  // namespace acre
