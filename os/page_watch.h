#pragma once

// Which pages of this process were written since they were last asked for: asynchronous write protection by userfaultfd(2),
// read and set again by PAGEMAP_SCAN (Linux 6.7 and later; Documentation/admin-guide/mm/pagemap.rst). No handler runs and no
// thread waits: the kernel lets a write to an armed page through and notes it, at about 0.7 µs for the first one.
//
//   Open()                      once; proves itself on a page of its own
//   Add(base, bytes)            from now on the range can be armed; what lies there and was never armed counts as written
//   Arm(base, limit)            what is written later is found
//   Scan(base, limit, …)        what was written; armed again at once if wanted
//
// What is found must be read after the call that found it, not from within: a thread may still write a page until then.
// Writes by system calls are found; writes through pinned pages (buffers registered with io_uring, O_DIRECT that was
// under way) are not. A range that is discarded counts as written; one that is unmapped is skipped; one that is mapped anew
// has left the watch, and calls fail. After a call that failed nothing is known: its pages may be armed, and their writes are
// lost.
//
// The two descriptors are this process's: a forked child that used them would take its parent's writes. IsIntact finds that
// out, and whether the program has closed them. They are close-on-exec, and have numbers that programs do not expect.
//
// Threads: one at a time. Failure: an error number.
// Cost: 0.2 ms for 1 GiB of which little was written, 3 when all was; arming the first time 11.

#include <cstddef>
#include <cstdint>

#include "os/descriptor.h"

namespace acre::os {

class PageWatch {
 public:
  PageWatch() = default;
  ~PageWatch();
  PageWatch(const PageWatch&) = delete;
  PageWatch& operator=(const PageWatch&) = delete;

  // 0, or why pages cannot be watched here: EPERM in many sandboxes, ENOSYS or EINVAL before Linux 6.7, EMFILE.
  [[nodiscard]] int Open();

  // Whether it is open, and what Open has opened is still there, and this process's. Some system calls.
  bool IsIntact() const;

  // Forgets all ranges. Leaves alone what took the place of a descriptor that the program has closed.
  void Close();

  // Whole os pages of private anonymous memory, mapped in one way or another.
  [[nodiscard]] int Add(uintptr_t base, size_t bytes) const;

  [[nodiscard]] int Arm(uintptr_t base, uintptr_t limit) const;

  // Calls visit(context, base, limit) for runs of written pages, when the kernel has found them.
  enum class Then : bool { kLeave, kArm };
  using Visitor = void(void* context, uintptr_t base, uintptr_t limit);
  [[nodiscard]] int Scan(uintptr_t base, uintptr_t limit, Then then, void* context, Visitor* visit) const;

 private:
  int OpenBoth();
  int Prove() const;

  Descriptor faults_;
  Descriptor pages_;
  void* shared_ = nullptr;  // Memory that is zero in a forked child.
};

}  // namespace acre::os
