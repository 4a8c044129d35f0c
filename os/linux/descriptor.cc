#include "os/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "os/linux/system_call.h"

namespace acre::os {
namespace {

constexpr int kHighNumber = 512;

bool ReadStatus(int number, struct stat* status) {
  const int callers_errno = errno;
  const bool is_open = ::fstat(number, status) == 0;
  errno = callers_errno;
  return is_open;
}

// The flags are of Linux 2.6.27; before, and in sandboxes that check them, EINVAL.
int OpenEnds(int* ends) {
  long result = SystemCall(SYS_socketpair, AF_UNIX, int{SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK}, 0, ends);
  if (result == -EINVAL) {
    result = SystemCall(SYS_socketpair, AF_UNIX, int{SOCK_STREAM}, 0, ends);
    for (int end = 0; result == 0 && end < 2; ++end) {
      (void)SystemCall(SYS_fcntl, ends[end], F_SETFD, FD_CLOEXEC);
      (void)SystemCall(SYS_fcntl, ends[end], F_SETFL, O_NONBLOCK);
    }
  }
  return result < 0 ? static_cast<int>(-result) : 0;
}

template <class Call>
long RepeatAfterSignals(Call call) {
  long result;
  do {
    result = call();
  } while (result == -EINTR);
  return result;
}

}  // namespace

int Descriptor::Take(int number) {
  const long high = SystemCall(SYS_fcntl, number, F_DUPFD_CLOEXEC, kHighNumber);
  if (high >= 0) {
    CloseNumber(number);
    number = static_cast<int>(high);
  }
  struct stat status;
  if (!ReadStatus(number, &status)) {
    CloseNumber(number);
    return EBADF;
  }
  number_ = number;
  device_ = status.st_dev;
  inode_ = status.st_ino;
  return 0;
}

bool Descriptor::IsOurs() const {
  struct stat status;
  return number_ >= 0 && ReadStatus(number_, &status) && status.st_dev == device_ && status.st_ino == inode_;
}

void Descriptor::Close() {
  if (IsOurs()) CloseNumber(number_);
  *this = {};
}

int OpenSocketPair(Descriptor* one, Descriptor* other) {
  int ends[2];
  if (const int error = OpenEnds(ends); error != 0) return error;
  if (const int error = one->Take(ends[0]); error != 0) {
    CloseNumber(ends[1]);
    return error;
  }
  const int error = other->Take(ends[1]);
  if (error != 0) one->Close();
  return error;
}

long ReadSome(const Descriptor& descriptor, void* buffer, size_t bytes) {
  return RepeatAfterSignals([&] { return SystemCall(SYS_read, descriptor.number(), buffer, bytes); });
}

long SendSome(const Descriptor& socket, const void* buffer, size_t bytes) {
  return RepeatAfterSignals([&] { return SystemCall(SYS_sendto, socket.number(), buffer, bytes, int{MSG_NOSIGNAL}, nullptr, 0); });
}

void CloseNumber(int number) { (void)SystemCall(SYS_close, number); }

}  // namespace acre::os
