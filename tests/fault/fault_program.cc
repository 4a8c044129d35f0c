// fault_program: allocates and frees in every way that makes a heap ask the kernel, and takes null for an answer.
//
// It runs under `hintless --fail`, which makes one of the heap's system calls fail. Whatever fails, the program must end
// with status 0 after the line "done": each block keeps its contents, and each refusal is null. It prints without stdio's
// buffers, because those ask the heap.

#include <malloc.h>
#include <pthread.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

namespace {

constexpr size_t kKiB = 1024;
constexpr size_t kMiB = 1024 * kKiB;

size_t refusals = 0;

[[noreturn]] void Fail(const char* what) {
  char text[200];
  const int length = std::snprintf(text, sizeof text, "wrong: %s\n", what);
  if (write(STDOUT_FILENO, text, static_cast<size_t>(length)) < 0) _exit(3);
  _exit(2);
}

struct Block {
  unsigned char* at = nullptr;
  size_t bytes = 0;
};

// Marks both ends and the middle: whole large blocks would take long, and what is lost is lost in pages.
void Mark(Block& block, unsigned char tag) {
  if (block.bytes == 0) return;
  block.at[0] = tag;
  block.at[block.bytes / 2] = tag;
  block.at[block.bytes - 1] = tag;
}

void Check(const Block& block, unsigned char tag) {
  if (block.at == nullptr || block.bytes == 0) return;
  if (block.at[0] != tag || block.at[block.bytes / 2] != tag || block.at[block.bytes - 1] != tag) {
    Fail("a block lost its contents");
  }
}

Block Taken(void* result, size_t bytes) {
  if (result == nullptr) {
    if (errno != ENOMEM) Fail("null without ENOMEM");
    ++refusals;
    return {};
  }
  return {static_cast<unsigned char*>(result), bytes};
}

void ManyOfEachSize() {
  static Block blocks[400];
  for (size_t bytes : {16ul, 100ul, 1000ul, 5000ul, 30'000ul, 100 * kKiB, 1 * kMiB}) {
    const size_t count = bytes > 50 * kKiB ? 40 : 400;
    for (size_t i = 0; i < count; ++i) {
      errno = 0;
      blocks[i] = Taken(malloc(bytes), bytes);
      if (blocks[i].at != nullptr) Mark(blocks[i], static_cast<unsigned char>(i));
    }
    for (size_t i = 0; i < count; ++i) {
      Check(blocks[i], static_cast<unsigned char>(i));
      free(blocks[i].at);
    }
  }
}

void HugeBlocks() {
  Block blocks[6];
  for (int round = 0; round < 3; ++round) {
    for (Block& block : blocks) {
      const size_t bytes = (20 + 30 * static_cast<size_t>(round)) * kMiB;
      errno = 0;
      block = Taken(malloc(bytes), bytes);
      if (block.at != nullptr) Mark(block, 0x5a);
    }
    for (Block& block : blocks) {
      Check(block, 0x5a);
      free(block.at);
    }
  }
}

void GrowingAndShrinking() {
  errno = 0;
  Block block = Taken(malloc(1000), 1000);
  if (block.at == nullptr) return;
  Mark(block, 0x33);
  for (size_t bytes : {5000ul, 40'000ul, 300'000ul, 3 * kMiB, 33 * kMiB, 90 * kMiB, 20 * kMiB, 200'000ul, 70 * kMiB}) {
    errno = 0;
    void* result = realloc(block.at, bytes);
    if (result == nullptr) {
      if (errno != ENOMEM) Fail("realloc gave null without ENOMEM");
      ++refusals;
      Check(block, 0x33);  // The old block is left alone.
      continue;
    }
    block.at = static_cast<unsigned char*>(result);
    if (block.at[0] != 0x33) Fail("realloc lost the contents");
    block.bytes = bytes;
    Mark(block, 0x33);
  }
  free(block.at);
}

void AlignedAndZeroed() {
  for (size_t alignment : {64ul, 4 * kKiB, 64 * kKiB, 2 * kMiB, 64 * kMiB}) {
    void* result = nullptr;
    const int error = posix_memalign(&result, alignment, alignment + 1);
    if (error != 0 && error != ENOMEM) Fail("posix_memalign gave another error than ENOMEM");
    if (error == 0) std::memset(result, 1, 1 + (alignment < kMiB ? alignment : kMiB));
    refusals += error != 0;
    free(error == 0 ? result : nullptr);

    errno = 0;
    Block zeroed = Taken(calloc(1, alignment), alignment);
    Check(zeroed, 0);
    free(zeroed.at);
  }
}

void* InThread(void*) {
  for (size_t bytes = 8; bytes < 200'000; bytes = bytes * 2 + 8) {
    errno = 0;
    Block block = Taken(malloc(bytes), bytes);
    if (block.at != nullptr) Mark(block, 0x44);
    Check(block, 0x44);
    free(block.at);
  }
  return nullptr;
}

void Threads() {
  for (int i = 0; i < 4; ++i) {
    pthread_t thread;
    // The C library maps the stack: that may be the call that fails.
    if (pthread_create(&thread, nullptr, InThread, nullptr) == 0) pthread_join(thread, nullptr);
  }
}

}  // namespace

int main() {
  for (int round = 0; round < 3; ++round) {
    ManyOfEachSize();
    HugeBlocks();
    GrowingAndShrinking();
    AlignedAndZeroed();
    Threads();
    malloc_trim(0);
  }
  char text[100];
  const int length = std::snprintf(text, sizeof text, "done, %zu refusals\n", refusals);
  return write(STDOUT_FILENO, text, static_cast<size_t>(length)) == length ? 0 : 3;
}
