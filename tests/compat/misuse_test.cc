// Misuse ends the process with one line that names the address. Each case runs in a forked child.

#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <thread>
#include <vector>

#include "tests/compat/blocks.h"
#include "tests/support/child.h"
#include "tests/support/malloc_library.h"

namespace acre::testing {
namespace {

char global_bytes[64 * kKiB];

// The address that a child is about to misuse, as its parent learns it.
struct Shared {
  uintptr_t address;
};

class Misuse : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!RunsOnAcre()) GTEST_SKIP() << "other mallocs promise nothing here";
    void* page = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(page, MAP_FAILED);
    shared_ = static_cast<Shared*>(page);
  }
  void TearDown() override {
    if (shared_ != nullptr) munmap(shared_, sizeof(Shared));
  }

  // Notes the address that the line must name, and returns it hidden from the compiler.
  void* Bad(void* address) {
    shared_->address = AddressOf(address);
    return Opaque(address);
  }
  void* Bad(uintptr_t address) { return Bad(reinterpret_cast<void*>(address)); }

  void ExpectOneLine(const std::function<void()>& misuse) {
    shared_->address = 0;
    const ChildResult result = RunInChild([&] {
      misuse();
      return 0;
    });
    EXPECT_TRUE(result.killed_by(SIGABRT)) << result.Describe();
    const std::vector<std::string> lines = result.error_lines();
    ASSERT_EQ(lines.size(), 1u) << result.Describe();
    EXPECT_EQ(lines[0].rfind("acre: ", 0), 0u) << lines[0];
    EXPECT_TRUE(NamesAddress(lines[0], shared_->address)) << lines[0] << " should name " << std::hex << shared_->address;
    std::printf("  %s\n", lines[0].c_str());
  }

 private:
  static bool NamesAddress(const std::string& line, uintptr_t address) {
    char text[32];
    std::snprintf(text, sizeof text, "0x%zx", static_cast<size_t>(address));
    const size_t at = line.find(text);
    if (at == std::string::npos) return false;
    const size_t end = at + std::char_traits<char>::length(text);
    return end == line.size() || isxdigit(static_cast<unsigned char>(line[end])) == 0;
  }

  Shared* shared_ = nullptr;
};

constexpr size_t kSmall = 100;
constexpr size_t kLarge = 3 * kMiB;
constexpr size_t kHuge = 200 * kMiB;

TEST_F(Misuse, DoubleFreeAtOnce) {
  for (size_t bytes : {0ul, 1ul, 16ul, kSmall, 1024ul, 4096ul, 20'000ul, 32 * kKiB}) {
    ExpectOneLine([&] {
      void* block = Bad(malloc(bytes));
      free(block);
      free(Opaque(block));
    });
  }
}

TEST_F(Misuse, DoubleFreeAfterOtherFrees) {
  for (size_t others : {1ul, 10ul, 1000ul, 100'000ul}) {
    ExpectOneLine([&] {
      std::vector<void*> blocks(others);
      void* block = Bad(malloc(kSmall));
      for (void*& other : blocks) other = malloc(kSmall);
      free(block);
      for (void* other : blocks) free(other);
      free(Opaque(block));
    });
  }
}

TEST_F(Misuse, DoubleFreeFromAnotherThread) {
  ExpectOneLine([&] {
    void* block = Bad(malloc(kSmall));
    free(block);
    std::thread([&] { free(Opaque(block)); }).join();
  });
  ExpectOneLine([&] {
    void* block = Bad(malloc(kSmall));
    std::thread([&] { free(block); }).join();
    free(Opaque(block));
  });
}

TEST_F(Misuse, DoubleFreeOfALargeBlock) {
  for (size_t bytes : {33 * kKiB, 100 * kKiB, kLarge, kHuge}) {
    ExpectOneLine([&] {
      void* block = Bad(malloc(bytes));
      free(block);
      free(Opaque(block));
    });
  }
}

TEST_F(Misuse, DoubleDelete) {
  ExpectOneLine([&] {
    void* block = Bad(Opaque(::operator new(kSmall)));
    ::operator delete(Opaque(block));
    ::operator delete(Opaque(block));
  });
}

TEST_F(Misuse, ReallocOfAFreedBlock) {
  for (size_t bytes : {kSmall, kLarge, kHuge}) {
    for (size_t next : {10ul, 2 * kSmall, 2 * kLarge}) {
      ExpectOneLine([&] {
        void* block = Bad(malloc(bytes));
        free(block);
        if (realloc(Opaque(block), next) == nullptr) _exit(2);
      });
    }
  }
}

TEST_F(Misuse, FreeOfAStackAddress) {
  ExpectOneLine([&] {
    alignas(64) char local[256];
    free(Bad(local + 64));
  });
}

TEST_F(Misuse, FreeOfAGlobal) {
  ExpectOneLine([&] { free(Bad(global_bytes + 16 * kKiB)); });
}

TEST_F(Misuse, FreeOfCode) {
  ExpectOneLine([&] { free(Bad(reinterpret_cast<uintptr_t>(&isxdigit) & ~uintptr_t{15})); });
}

TEST_F(Misuse, FreeOfAForeignMapping) {
  for (size_t bytes : {64 * kKiB, 64 * kMiB}) {
    ExpectOneLine([&] {
      void* mapping = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      free(Bad(mapping));
    });
  }
}

TEST_F(Misuse, FreeOfAForeignMappingBesideTheHeap) {
  // The first megabytes after a heap block are the likeliest to be taken for a part of the heap.
  ExpectOneLine([&] {
    const uintptr_t near = AddressOf(malloc(kSmall)) + (uintptr_t{1} << 36);
    void* mapping = mmap(reinterpret_cast<void*>(near & ~uintptr_t{0xfff}), 64 * kKiB, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    free(Bad(mapping));
  });
}

TEST_F(Misuse, FreeOfAnInteriorPointer) {
  for (size_t bytes : {kSmall, 1024ul, 20'000ul}) {
    ExpectOneLine([&] { free(Bad(static_cast<char*>(malloc(bytes)) + 16)); });
  }
}

TEST_F(Misuse, FreeOfAMisalignedPointer) {
  for (size_t offset : {1ul, 7ul, 8ul}) {
    ExpectOneLine([&] { free(Bad(static_cast<char*>(malloc(kSmall)) + offset)); });
    ExpectOneLine([&] { free(Bad(static_cast<char*>(malloc(kLarge)) + offset)); });
  }
}

TEST_F(Misuse, FreeInTheMiddleOfALargeBlock) {
  for (size_t bytes : {40 * kKiB, kLarge, kHuge}) {
    for (size_t offset : {16ul, 8 * kKiB, bytes / 2, bytes - 16}) {
      ExpectOneLine([&] { free(Bad(static_cast<char*>(malloc(bytes)) + (offset & ~size_t{15}))); });
    }
  }
}

TEST_F(Misuse, FreeOfWordsThatAreNoAddresses) {
  for (uintptr_t word : {uintptr_t{1}, uintptr_t{16}, uintptr_t{4096}, ~uintptr_t{0}, ~uintptr_t{15},
                         uintptr_t{0x8000000000000000}, uintptr_t{0x0000800000000000}, uintptr_t{0x00007ffffffff000},
                         uintptr_t{0xffff800000000000}, uintptr_t{0x4141414141414141}, uintptr_t{0x01c0} << 32}) {
    ExpectOneLine([&] {
      free(malloc(kSmall));
      free(Bad(word));
    });
  }
}

TEST_F(Misuse, FreeOfANeverAllocatedSlot) {
  // Two slots after a block of a size that nothing else here uses: never handed out, or past the end of the span.
  ExpectOneLine([&] {
    char* block = static_cast<char*>(malloc(7000));
    free(Bad(block + 2 * malloc_usable_size(block)));
  });
}

TEST_F(Misuse, ReallocOfForeignAddresses) {
  ExpectOneLine([&] {
    if (realloc(Bad(global_bytes + 4096), 100) == nullptr) _exit(2);
  });
  ExpectOneLine([&] {
    if (realloc(Bad(static_cast<char*>(malloc(kSmall)) + 16), 1000) == nullptr) _exit(2);
  });
  ExpectOneLine([&] {
    if (realloc(Bad(uintptr_t{0x8000000000000000}), 1000) == nullptr) _exit(2);
  });
}

TEST_F(Misuse, TwoThreadsThatRaceToFreeOneBlockAreMostlySeen) {
  // Plain loads and stores of the slot's state see a race only with high probability, so a share is asked for. Each
  // child races over many blocks: one that no thread caught may only be a block whose two frees met exactly.
  int seen = 0;
  constexpr int kChildren = 5;
  for (int i = 0; i < kChildren; ++i) {
    const ChildResult result = RunInChild([] {
      std::vector<void*> blocks(1000);
      for (void*& block : blocks) block = malloc(kSmall);
      const auto free_all = [&] {
        for (void* block : blocks) free(Opaque(block));
      };
      std::thread other(free_all);
      free_all();
      other.join();
      return 0;
    });
    seen += result.killed_by(SIGABRT);
    EXPECT_TRUE(result.killed_by(SIGABRT) || result.exited_with(0)) << result.Describe();
  }
  EXPECT_GE(seen, kChildren - 1);
}

}  // namespace
}  // namespace acre::testing
