#include "tests/fuzz/malloc_oracle.h"

#include <dlfcn.h>
#include <malloc.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

namespace acre::fuzz {
namespace {

constexpr size_t kBlocks = 256;
constexpr size_t kMostLiveBytes = size_t{64} << 20;  // Above it, allocations become small: the fuzzer must stay fast.
constexpr size_t kCheckedBytes = size_t{64} << 10;   // Of larger blocks both ends are filled and compared.

[[noreturn]] void Wrong(const char* what, size_t number) {
  std::fprintf(stderr, "oracle: %s (%zu)\n", what, number);
  std::abort();
}

using FreeSized = void (*)(void*, size_t);

}  // namespace

uint8_t Input::Byte() {
  if (left_ == 0) return 0;
  --left_;
  return *at_++;
}

uint32_t Input::Word() {
  uint32_t word = 0;
  for (int i = 0; i < 3; ++i) word = word << 8 | Byte();
  return word;
}

size_t Input::Size() {
  constexpr size_t kEdges[] = {0, 16, 1024, 4096, 8192, 16384, 32768, 65536, 1 << 20, 4 << 20, SIZE_MAX / 2, SIZE_MAX};
  const uint8_t kind = Byte();
  if (kind < 150) return Byte();
  if (kind < 210) return Word() % 5000;
  if (kind < 235) return Word() % 100'000;
  const size_t edge = kEdges[Byte() % std::size(kEdges)];
  return edge + Byte() % 33 - 16;  // A little below or above; wraps around on purpose.
}

Oracle::Oracle() : blocks_(kBlocks) {}

Oracle::~Oracle() {
  for (Block& block : blocks_) {
    Check(block);
    void* at = block.at;
    Forget(block);
    free(at);
  }
}

void Oracle::Step(Input& input) {
  const uint8_t call = input.Byte();
  Block& block = blocks_[input.Byte() % kBlocks];
  const size_t alignment = size_t{1} << input.Byte() % 17;
  switch (call % 16) {
    case 0:
    case 1:
    case 2:
    case 3:
      return Allocate(block, input, [](size_t, size_t n) { return malloc(n); }, 16, false);
    case 4:
      return Allocate(block, input, [](size_t, size_t n) { return calloc(1, n); }, 16, true);
    case 5:
      return Allocate(block, input, [](size_t, size_t n) { return aligned_alloc(16, n); }, 16, false);
    case 6:
      return Allocate(block, input, [](size_t a, size_t n) { return memalign(a, n); }, alignment, false);
    case 7:
      return Allocate(
          block, input,
          [](size_t a, size_t n) -> void* {
            void* result = nullptr;
            const int error = posix_memalign(&result, a < sizeof(void*) ? sizeof(void*) : a, n);
            errno = error;
            return error == 0 ? result : nullptr;
          },
          alignment, false);
    case 8:
    case 9:
      return Reallocate(block, input);
    case 10:
      Check(block);
      return Fill(block);
    case 11:
      if (input.Byte() == 0) malloc_trim(0);
      return;
    default:
      return Release(block, input);
  }
}

void Oracle::Allocate(Block& block, Input& input, Take take, size_t alignment, bool must_be_zero) {
  Release(block, input);
  size_t bytes = input.Size();
  if (bytes < SIZE_MAX / 4 && live_bytes_ + bytes > kMostLiveBytes) bytes %= 1024;
  errno = 0;
  void* result = take(alignment, bytes);
  if (result == nullptr) {
    if (errno != ENOMEM) Wrong("null without ENOMEM for a size of", bytes);
    if (bytes < kMostLiveBytes) Wrong("refused a size of", bytes);
    return;
  }
  if (bytes > PTRDIFF_MAX) Wrong("granted a size of", bytes);
  Adopt(block, result, bytes, alignment);
  if (must_be_zero) {
    for (size_t i = 0; i < bytes; ++i) {
      if (block.at[i] != 0) Wrong("calloc's block is not zero at", i);
    }
  }
  Fill(block);
}

void Oracle::Reallocate(Block& block, Input& input) {
  Check(block);
  const Block old = block;
  size_t bytes = input.Size();
  if (bytes == 0) bytes = 1;
  if (bytes < SIZE_MAX / 4 && live_bytes_ + bytes > kMostLiveBytes) bytes = 1 + bytes % 1024;
  Forget(block);
  errno = 0;
  void* result = (bytes & 1) != 0 ? realloc(old.at, bytes) : reallocarray(old.at, bytes / 2, 2);
  if (result == nullptr) {
    if (errno != ENOMEM) Wrong("realloc: null without ENOMEM for a size of", bytes);
    if (bytes < kMostLiveBytes) Wrong("realloc refused a size of", bytes);
    if (old.at != nullptr) Adopt(block, old.at, old.bytes, 1);
    block.tag = old.tag;
    return Check(block);  // The old block is as it was.
  }
  Adopt(block, result, bytes, 16);
  Block kept = block;
  kept.tag = old.tag;
  kept.bytes = std::min({old.bytes, bytes, kCheckedBytes});
  if (old.at != nullptr) Check(kept);
  Fill(block);
}

void Oracle::Release(Block& block, Input& input) {
  static const auto free_sized = reinterpret_cast<FreeSized>(dlsym(RTLD_DEFAULT, "free_sized"));
  Check(block);
  const Block old = block;
  Forget(block);
  errno = 4711;
  const uint8_t way = input.Byte();
  if (way == 255) {
    std::thread([&] { free(old.at); }).join();
    return;
  }
  if (way > 200 && free_sized != nullptr) {
    free_sized(old.at, old.bytes);
  } else {
    free(old.at);
  }
  if (errno != 4711) Wrong("free changed errno to", static_cast<size_t>(errno));
}

void Oracle::Adopt(Block& block, void* result, size_t bytes, size_t alignment) {
  const auto base = reinterpret_cast<uintptr_t>(result);
  if (base % alignment != 0) Wrong("misaligned for", alignment);
  const size_t usable = malloc_usable_size(result);
  if (usable < bytes) Wrong("usable size is below", bytes);
  const uintptr_t limit = base + std::max<size_t>(usable, 1);
  const auto after = intervals_.lower_bound(base);
  if (after != intervals_.end() && after->first < limit) Wrong("overlaps the block after it, size", bytes);
  if (after != intervals_.begin() && std::prev(after)->second > base) Wrong("overlaps the block before it, size", bytes);
  intervals_[base] = limit;
  live_bytes_ += bytes;
  block.at = static_cast<uint8_t*>(result);
  block.bytes = bytes;
}

void Oracle::Forget(Block& block) {
  if (block.at == nullptr) return;
  intervals_.erase(reinterpret_cast<uintptr_t>(block.at));
  live_bytes_ -= block.bytes;
  block = Block{};
}

void Oracle::Fill(Block& block) {
  if (block.at == nullptr) return;
  block.tag = next_tag_++;
  const size_t head = std::min(block.bytes, kCheckedBytes);
  std::memset(block.at, block.tag, head);
  std::memset(block.at + block.bytes - head, block.tag, head);
}

void Oracle::Check(const Block& block) const {
  if (block.at == nullptr || block.bytes == 0) return;
  const size_t head = std::min(block.bytes, kCheckedBytes);
  for (size_t i = 0; i < head; ++i) {
    if (block.at[i] != block.tag) Wrong("contents changed at", i);
    if (block.at[block.bytes - 1 - i] != block.tag) Wrong("contents changed at", block.bytes - 1 - i);
  }
}

void RunInput(const uint8_t* data, size_t bytes) {
  Input input(data, bytes);
  Oracle oracle;
  while (!input.is_empty()) oracle.Step(input);
}

}  // namespace acre::fuzz
