#include "tests/support/hintless/syscalls.h"

#include <sys/syscall.h>

#include <array>
#include <cerrno>
#include <charconv>

namespace acre::hintless {
namespace {

struct Name {
  std::string_view text;
  int number;
};

// The calls by which a heap asks for memory, and those that make threads and open files beside it.
constexpr std::array kSyscalls = {
    Name{"mmap", SYS_mmap},       Name{"munmap", SYS_munmap},         Name{"mprotect", SYS_mprotect},
    Name{"madvise", SYS_madvise}, Name{"mremap", SYS_mremap},         Name{"mincore", SYS_mincore},
    Name{"prctl", SYS_prctl},     Name{"brk", SYS_brk},               Name{"prlimit64", SYS_prlimit64},
    Name{"clone", SYS_clone},     Name{"clone3", SYS_clone3},         Name{"openat", SYS_openat},
    Name{"read", SYS_read},       Name{"getrandom", SYS_getrandom},   Name{"sched_getaffinity", SYS_sched_getaffinity},
    Name{"open", SYS_open},       Name{"membarrier", SYS_membarrier},
};

constexpr std::array kErrors = {
    Name{"ENOMEM", ENOMEM}, Name{"EINVAL", EINVAL}, Name{"EAGAIN", EAGAIN}, Name{"ENOSYS", ENOSYS},
    Name{"EPERM", EPERM},   Name{"EACCES", EACCES}, Name{"EEXIST", EEXIST}, Name{"EFAULT", EFAULT},
    Name{"EINTR", EINTR},   Name{"EMFILE", EMFILE}, Name{"ENOENT", ENOENT}, Name{"EOPNOTSUPP", EOPNOTSUPP},
};

}  // namespace

std::optional<int> SyscallNumber(std::string_view name) {
  for (const Name& known : kSyscalls) {
    if (known.text == name) return known.number;
  }
  return std::nullopt;
}

std::string_view SyscallName(int number) {
  for (const Name& known : kSyscalls) {
    if (known.number == number) return known.text;
  }
  return "?";
}

std::optional<int> ErrorNumber(std::string_view text) {
  for (const Name& known : kErrors) {
    if (known.text == text) return known.number;
  }
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  constexpr int kLargestErrno = 4095;
  if (error != std::errc{} || end != text.data() + text.size() || number < 1 || number > kLargestErrno) {
    return std::nullopt;
  }
  return number;
}

std::string AllSyscallNames() {
  std::string all;
  for (const Name& known : kSyscalls) {
    if (!all.empty()) all += ' ';
    all += known.text;
  }
  return all;
}

}  // namespace acre::hintless
