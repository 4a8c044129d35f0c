#include "tests/support/fresh_thread.h"

#include <pthread.h>
#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>

namespace acre::testing {
namespace {

constexpr size_t kStackBytes = size_t{8} << 20;

void Require(bool is_true, const char* what) {
  if (is_true) return;
  std::perror(what);
  std::abort();
}

void* Call(void* body) {
  (*static_cast<const std::function<void()>*>(body))();
  return nullptr;
}

}  // namespace

void OnFreshThread(const std::function<void()>& body) {
  void* stack = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  Require(stack != MAP_FAILED, "a thread's stack");
  pthread_attr_t attributes;
  Require(pthread_attr_init(&attributes) == 0, "pthread_attr_init");
  Require(pthread_attr_setstack(&attributes, stack, kStackBytes) == 0, "pthread_attr_setstack");
  pthread_t thread;
  Require(pthread_create(&thread, &attributes, Call, const_cast<std::function<void()>*>(&body)) == 0, "pthread_create");
  pthread_attr_destroy(&attributes);
  Require(pthread_join(thread, nullptr) == 0, "pthread_join");
  Require(munmap(stack, kStackBytes) == 0, "munmap");
}

}  // namespace acre::testing
