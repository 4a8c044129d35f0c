// Functions of the C library and the loader that take locks, each in front of the true one. dlsym is not among them: the
// true ones are found by it.

#include "os/foreign_locks.h"

#include <dlfcn.h>
#include <link.h>
#include <malloc.h>
#include <pthread.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>

#include "os/check.h"

extern "C" {

// What malloc and its kin are called besides, so that no look-up is needed: they are called before one can be made.
void* __libc_malloc(size_t bytes);
void* __libc_calloc(size_t count, size_t bytes);
void* __libc_realloc(void* block, size_t bytes);
void* __libc_memalign(size_t alignment, size_t bytes);
void __libc_free(void* block);

}  // extern "C"

namespace {

void Ask(const char* function) {
  if (!acre::os::AreForeignLocksForbidden()) [[likely]] return;
  acre::os::Fatal(function, " is called while the world is stopped: a stopped thread may hold its lock");
}

// The function of that name that would have been called without us.
template <class Function>
Function* Next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

#define EXPORTED extern "C" __attribute__((visibility("default")))
// Asks, and calls the true function.
#define FORWARD(function, ...)                                    \
  Ask(#function);                                                 \
  static auto* const next = Next<decltype(function)>(#function);  \
  return next(__VA_ARGS__)

EXPORTED void* malloc(size_t bytes) noexcept {
  Ask("malloc");
  return __libc_malloc(bytes);
}

EXPORTED void* calloc(size_t count, size_t bytes) noexcept {
  Ask("calloc");
  return __libc_calloc(count, bytes);
}

EXPORTED void* realloc(void* block, size_t bytes) noexcept {
  Ask("realloc");
  return __libc_realloc(block, bytes);
}

EXPORTED void* memalign(size_t alignment, size_t bytes) noexcept {
  Ask("memalign");
  return __libc_memalign(alignment, bytes);
}

EXPORTED void* aligned_alloc(size_t alignment, size_t bytes) noexcept {
  Ask("aligned_alloc");
  return __libc_memalign(alignment, bytes);
}

EXPORTED int posix_memalign(void** block, size_t alignment, size_t bytes) noexcept {
  Ask("posix_memalign");
  *block = __libc_memalign(alignment, bytes);
  return *block == nullptr ? ENOMEM : 0;
}

EXPORTED void free(void* block) noexcept {
  Ask("free");
  __libc_free(block);
}

EXPORTED char* getenv(const char* name) noexcept { FORWARD(getenv, name); }

EXPORTED int dl_iterate_phdr(int (*visit)(dl_phdr_info*, size_t, void*), void* data) {
  FORWARD(dl_iterate_phdr, visit, data);
}

EXPORTED void* dlopen(const char* file, int mode) noexcept { FORWARD(dlopen, file, mode); }
EXPORTED int dlclose(void* handle) noexcept { FORWARD(dlclose, handle); }

EXPORTED int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*body)(void*),
                            void* argument) noexcept {
  FORWARD(pthread_create, thread, attributes, body, argument);
}

EXPORTED int pthread_getattr_np(pthread_t thread, pthread_attr_t* attributes) noexcept {
  FORWARD(pthread_getattr_np, thread, attributes);
}

EXPORTED FILE* fopen(const char* path, const char* mode) { FORWARD(fopen, path, mode); }
EXPORTED int fclose(FILE* file) { FORWARD(fclose, file); }
EXPORTED int fflush(FILE* file) { FORWARD(fflush, file); }
EXPORTED int fputs(const char* text, FILE* file) { FORWARD(fputs, text, file); }
EXPORTED int fputc(int character, FILE* file) { FORWARD(fputc, character, file); }
EXPORTED int puts(const char* text) { FORWARD(puts, text); }
// Under another name: <cstdio> has an inline one, which for clang is a definition too.
EXPORTED int PutCharacter(int character) __asm__("putchar");
int PutCharacter(int character) { FORWARD(putchar, character); }
EXPORTED size_t fwrite(const void* from, size_t bytes, size_t count, FILE* file) {
  FORWARD(fwrite, from, bytes, count, file);
}
EXPORTED int vfprintf(FILE* file, const char* format, va_list arguments) {
  FORWARD(vfprintf, file, format, arguments);
}

EXPORTED int fprintf(FILE* file, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const int result = vfprintf(file, format, arguments);
  va_end(arguments);
  return result;
}

EXPORTED int printf(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const int result = vfprintf(stdout, format, arguments);
  va_end(arguments);
  return result;
}
