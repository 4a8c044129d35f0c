#pragma once

// A descriptor of the library's own, in a process whose program does not know of it: it may be closed by a loop over all
// numbers, and its number may be another file's by now. So it is compared before it is used or closed.
//
// All are close-on-exec, and have numbers that programs do not expect. Nothing here touches errno.
// Threads: as a plain value. Failure: an error number.

#include <cstddef>
#include <cstdint>

namespace acre::os {

class Descriptor {
 public:
  // Takes over an open descriptor, and moves it to a high number (512 and up) if there is one. Closed on failure.
  [[nodiscard]] int Take(int number);

  // Whether it is open, and the file that was taken over. One system call. (Of epoll and the like the kernel says no more
  // than what sort of file it is.)
  bool IsOurs() const;

  // Closes it if it is ours; it is none then.
  void Close();

  int number() const { return number_; }  // -1: none.

 private:
  int number_ = -1;
  uint64_t device_ = 0;
  uint64_t inode_ = 0;
};

// Two connected sockets that never block. On failure neither is open. (Not a pipe, since a write to one whose other end
// the program has closed raises SIGPIPE; and not an eventfd, since one cannot be told from another.)
[[nodiscard]] int OpenSocketPair(Descriptor* one, Descriptor* other);

// As read(2), and send(2) without a signal; begun anew after a signal; the negated error number instead of -1. No points of
// cancellation.
long ReadSome(const Descriptor& descriptor, void* buffer, size_t bytes);
long SendSome(const Descriptor& socket, const void* buffer, size_t bytes);

// Closes a number that is known to be ours.
void CloseNumber(int number);

}  // namespace acre::os
