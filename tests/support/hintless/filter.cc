#include "tests/support/hintless/filter.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstddef>
#include <set>

namespace acre::hintless {
namespace {

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

constexpr uint32_t kTrace = SECCOMP_RET_TRACE;
constexpr uint32_t kAllow = SECCOMP_RET_ALLOW;

sock_filter Load(size_t offset) {
  return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset));
}
sock_filter Return(uint32_t verdict) { return BPF_STMT(BPF_RET | BPF_K, verdict); }

// The 32-bit halves of argument `index` (little-endian).
constexpr size_t LowHalf(size_t index) { return offsetof(seccomp_data, args) + index * sizeof(uint64_t); }
constexpr size_t HighHalf(size_t index) { return LowHalf(index) + sizeof(uint32_t); }

// Each jump skips at most the one statement after it, so the filter needs no labels.
void AnswerIfEqual(std::vector<sock_filter>& filter, uint32_t value, uint32_t verdict) {
  filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1));
  filter.push_back(Return(verdict));
}
void AnswerUnlessEqual(std::vector<sock_filter>& filter, uint32_t value, uint32_t verdict) {
  filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 1, 0));
  filter.push_back(Return(verdict));
}
void AnswerIfAnyBit(std::vector<sock_filter>& filter, uint32_t bits, uint32_t verdict) {
  filter.push_back(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1));
  filter.push_back(Return(verdict));
}

}  // namespace

std::vector<sock_filter> BuildFilter(const Options& options) {
  std::vector<sock_filter> filter;
  filter.push_back(Load(offsetof(seccomp_data, arch)));
  AnswerUnlessEqual(filter, AUDIT_ARCH_X86_64, kAllow);
  filter.push_back(Load(offsetof(seccomp_data, nr)));
  std::set<int> failing;
  for (const FailRule& rule : options.fail_rules) failing.insert(rule.syscall);
  for (int number : failing) AnswerIfEqual(filter, static_cast<uint32_t>(number), kTrace);

  AnswerUnlessEqual(filter, SYS_mmap, kAllow);
  constexpr size_t kAddressArgument = 0;
  constexpr size_t kFlagsArgument = 3;
  filter.push_back(Load(LowHalf(kFlagsArgument)));
  AnswerIfAnyBit(filter, MAP_FIXED, kAllow);
  AnswerIfAnyBit(filter, MAP_FIXED_NOREPLACE, options.old_kernel ? kTrace : kAllow);
  if (options.keep_hints) {
    filter.push_back(Return(kAllow));
    return filter;
  }
  filter.push_back(Load(LowHalf(kAddressArgument)));
  AnswerUnlessEqual(filter, 0, kTrace);
  filter.push_back(Load(HighHalf(kAddressArgument)));
  AnswerUnlessEqual(filter, 0, kTrace);
  filter.push_back(Return(kAllow));
  return filter;
}

int InstallFilter(std::vector<sock_filter>& filter) {
  // An unprivileged process may install a filter only once it has given up gaining privileges by exec.
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;
  sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) return errno;
  return 0;
}

}  // namespace acre::hintless
