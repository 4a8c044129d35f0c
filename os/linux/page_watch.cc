#include "os/page_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "os/linux/system_call.h"
#include "os/memory_calls.h"

namespace acre::os {
namespace {

// From the kernel's linux/userfaultfd.h and linux/fs.h of 6.7: the headers of older distributions lack them.
constexpr unsigned kUserModeOnly = 1;                    // UFFD_USER_MODE_ONLY
constexpr uint64_t kApi = 0xaa;                          // UFFD_API
constexpr uint64_t kFeatureUnpopulated = 1u << 13;       // UFFD_FEATURE_WP_UNPOPULATED
constexpr uint64_t kFeatureAsync = 1u << 15;             // UFFD_FEATURE_WP_ASYNC
constexpr uint64_t kRegisterWriteProtect = 2;            // UFFDIO_REGISTER_MODE_WP
constexpr uint64_t kWritten = 1u << 1;                   // PAGE_IS_WRITTEN
constexpr uint64_t kArmMatching = 1u << 0;               // PM_SCAN_WP_MATCHING
constexpr uint64_t kCheckAsync = 1u << 1;                // PM_SCAN_CHECK_WPASYNC

struct ApiCall {
  uint64_t api;
  uint64_t features;
  uint64_t calls;
};
struct RegisterCall {
  uint64_t base;
  uint64_t bytes;
  uint64_t mode;
  uint64_t calls;
};
struct Region {
  uint64_t base;
  uint64_t limit;
  uint64_t categories;
};
struct ScanCall {
  uint64_t bytes;
  uint64_t flags;
  uint64_t base;
  uint64_t limit;
  uint64_t walk_end;
  uint64_t regions;
  uint64_t region_count;
  uint64_t max_pages;
  uint64_t category_inverted;
  uint64_t category_mask;
  uint64_t category_any_mask;
  uint64_t return_mask;
};
constexpr unsigned long kApiRequest = _IOWR(0xaa, 0x3f, ApiCall);
constexpr unsigned long kRegisterRequest = _IOWR(0xaa, 0x00, RegisterCall);
constexpr unsigned long kScanRequest = _IOWR('f', 16, ScanCall);

constexpr size_t kRegions = 512;  // 64 cost 24 % more at 100,000 regions.

// Regions are no words of a stack, where they would hold the objects that lie there.
struct Shared {
  alignas(64) uint8_t is_of_this_process;
  alignas(64) Region regions[kRegions];
};

int ErrorOf(long result) { return result < 0 ? static_cast<int>(-result) : 0; }

}  // namespace

PageWatch::~PageWatch() { Close(); }

int PageWatch::Open() {
  Close();
  int error = OpenBoth();
  if (error == 0) error = Prove();
  if (error != 0) Close();
  return error;
}

int PageWatch::OpenBoth() {
  const long shared = SystemCall(SYS_mmap, 0, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (shared < 0 && shared > -4096) return ErrorOf(shared);
  shared_ = reinterpret_cast<void*>(shared);
  if (const long result = SystemCall(SYS_madvise, shared, sizeof(Shared), MADV_WIPEONFORK); result < 0) return ErrorOf(result);
  static_cast<Shared*>(shared_)->is_of_this_process = 1;

  const long faults = SystemCall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | kUserModeOnly);
  if (faults < 0) return ErrorOf(faults);
  if (const int error = faults_.Take(static_cast<int>(faults)); error != 0) return error;
  ApiCall api{.api = kApi, .features = kFeatureAsync | kFeatureUnpopulated, .calls = 0};
  if (const long result = SystemCall(SYS_ioctl, faults_.number(), kApiRequest, &api); result < 0) return ErrorOf(result);

  const long pages = SystemCall(SYS_openat, AT_FDCWD, "/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  if (pages < 0) return ErrorOf(pages);
  return pages_.Take(static_cast<int>(pages));
}

bool PageWatch::IsIntact() const {
  return shared_ != nullptr && static_cast<const Shared*>(shared_)->is_of_this_process != 0 && faults_.IsOurs() && pages_.IsOurs();
}

void PageWatch::Close() {
  faults_.Close();
  pages_.Close();
  if (shared_ != nullptr) (void)SystemCall(SYS_munmap, shared_, sizeof(Shared));
  shared_ = nullptr;
}

// That a write is found, and only then: a kernel may know the calls and not do what they say.
int PageWatch::Prove() const {
  const size_t bytes = OsPageBytes();
  const long mapped = SystemCall(SYS_mmap, 0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped < 0 && mapped > -4096) return ErrorOf(mapped);
  const auto base = static_cast<uintptr_t>(mapped);
  const auto word = reinterpret_cast<volatile uint8_t*>(base);
  *word = 1;
  size_t found = 0;
  const auto look = [&](Then then) {
    found = 0;
    return Scan(base, base + bytes, then, &found,
                [](void* count, uintptr_t from, uintptr_t to) { *static_cast<size_t*>(count) += to - from; });
  };
  int error = Add(base, bytes);
  if (error == 0) error = Arm(base, base + bytes);
  if (error == 0) error = look(Then::kLeave);
  if (error == 0 && found != 0) error = ENOTSUP;
  if (error == 0) *word = 2;
  if (error == 0) error = look(Then::kArm);
  if (error == 0 && found != bytes) error = ENOTSUP;
  if (error == 0) error = look(Then::kLeave);
  if (error == 0 && found != 0) error = ENOTSUP;
  (void)SystemCall(SYS_munmap, base, bytes);
  return error;
}

int PageWatch::Add(uintptr_t base, size_t bytes) const {
  RegisterCall call{.base = base, .bytes = bytes, .mode = kRegisterWriteProtect, .calls = 0};
  return ErrorOf(SystemCall(SYS_ioctl, faults_.number(), kRegisterRequest, &call));
}

// Without a vector: it costs a quarter more, and half as much as UFFDIO_WRITEPROTECT.
int PageWatch::Arm(uintptr_t base, uintptr_t limit) const {
  ScanCall call{};
  call.bytes = sizeof call;
  call.flags = kArmMatching | kCheckAsync;
  call.base = base;
  call.limit = limit;
  call.category_mask = kWritten;
  return ErrorOf(SystemCall(SYS_ioctl, pages_.number(), kScanRequest, &call));
}

// A call has done all when it returns fewer regions than there is room for. (Its walk_end says less: on 6.18 it is where the
// kernel's buffer was last full.)
int PageWatch::Scan(uintptr_t base, uintptr_t limit, Then then, void* context, Visitor* visit) const {
  Region* const regions = static_cast<Shared*>(shared_)->regions;
  ScanCall call{};
  call.bytes = sizeof call;
  call.flags = (then == Then::kArm ? kArmMatching : 0) | kCheckAsync;
  call.base = base;
  call.limit = limit;
  call.regions = reinterpret_cast<uintptr_t>(regions);
  call.region_count = kRegions;
  call.category_mask = kWritten;
  call.return_mask = kWritten;
  for (;;) {
    const long found = SystemCall(SYS_ioctl, pages_.number(), kScanRequest, &call);
    if (found < 0) return ErrorOf(found);
    for (long i = 0; i < found; ++i) visit(context, regions[i].base, regions[i].limit);
    if (found < static_cast<long>(kRegions)) return 0;
    call.base = regions[found - 1].limit;
    if (call.base >= limit) return 0;
  }
}

}  // namespace acre::os
