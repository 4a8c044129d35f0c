// Every replaceable form of operator new and delete.

#include <gtest/gtest.h>
#include <malloc.h>

#include <cstdlib>
#include <functional>
#include <new>
#include <string>
#include <vector>

#include "tests/compat/blocks.h"
#include "tests/support/malloc_library.h"

namespace acre::testing {
namespace {

constexpr auto kAlign = std::align_val_t{256};

struct Form {
  std::string name;
  size_t alignment;
  std::function<void*(size_t)> make;
  std::function<void(void*, size_t)> drop;
};

std::vector<Form> EveryForm() {
  return {
      {"new", 16, [](size_t n) { return ::operator new(n); }, [](void* p, size_t) { ::operator delete(p); }},
      {"new, sized delete", 16, [](size_t n) { return ::operator new(n); },
       [](void* p, size_t n) { ::operator delete(p, n); }},
      {"new[]", 16, [](size_t n) { return ::operator new[](n); }, [](void* p, size_t) { ::operator delete[](p); }},
      {"new[], sized delete", 16, [](size_t n) { return ::operator new[](n); },
       [](void* p, size_t n) { ::operator delete[](p, n); }},
      {"nothrow new", 16, [](size_t n) { return ::operator new(n, std::nothrow); },
       [](void* p, size_t) { ::operator delete(p, std::nothrow); }},
      {"nothrow new[]", 16, [](size_t n) { return ::operator new[](n, std::nothrow); },
       [](void* p, size_t) { ::operator delete[](p, std::nothrow); }},
      {"aligned new", 256, [](size_t n) { return ::operator new(n, kAlign); },
       [](void* p, size_t) { ::operator delete(p, kAlign); }},
      {"aligned new, sized delete", 256, [](size_t n) { return ::operator new(n, kAlign); },
       [](void* p, size_t n) { ::operator delete(p, n, kAlign); }},
      {"aligned new[]", 256, [](size_t n) { return ::operator new[](n, kAlign); },
       [](void* p, size_t) { ::operator delete[](p, kAlign); }},
      {"aligned new[], sized delete", 256, [](size_t n) { return ::operator new[](n, kAlign); },
       [](void* p, size_t n) { ::operator delete[](p, n, kAlign); }},
      {"aligned nothrow new", 256, [](size_t n) { return ::operator new(n, kAlign, std::nothrow); },
       [](void* p, size_t) { ::operator delete(p, kAlign, std::nothrow); }},
      {"aligned nothrow new[]", 256, [](size_t n) { return ::operator new[](n, kAlign, std::nothrow); },
       [](void* p, size_t) { ::operator delete[](p, kAlign, std::nothrow); }},
  };
}

bool IsNothrow(const Form& form) { return form.name.find("nothrow") != std::string::npos; }

TEST(OperatorNew, EveryFormAllocatesAndFrees) {
  for (const Form& form : EveryForm()) {
    for (size_t bytes : {0ul, 1ul, 16ul, 24ul, 1000ul, 33'000ul, 1 * kMiB, 9 * kMiB}) {
      void* block = form.make(bytes);
      ASSERT_NE(block, nullptr) << form.name;
      EXPECT_TRUE(IsAligned(block, form.alignment)) << form.name << " of " << bytes;
      EXPECT_GE(malloc_usable_size(block), bytes) << form.name << ": not a block of this heap";
      Fill(block, bytes, 0x3c);
      form.drop(block, bytes);
      form.drop(nullptr, bytes);
    }
  }
}

TEST(OperatorNew, ZeroBytesGiveUniqueBlocks) {
  for (const Form& form : EveryForm()) {
    void* first = form.make(0);
    void* second = form.make(0);
    EXPECT_NE(first, second) << form.name;
    form.drop(first, 0);
    form.drop(second, 0);
  }
}

TEST(OperatorNew, AbsurdSizeThrowsOrGivesNull) {
  for (const Form& form : EveryForm()) {
    for (size_t bytes : {SIZE_MAX, SIZE_MAX / 2 + 1, SIZE_MAX / 2 - 64 * kKiB}) {
      // The C++ library's own aligned forms round SIZE_MAX up to zero.
      if (bytes == SIZE_MAX && form.alignment > 16 && !RunsOnAcre()) continue;
      if (IsNothrow(form)) {
        EXPECT_EQ(form.make(Opaque(bytes)), nullptr) << form.name;
      } else {
        EXPECT_THROW(form.make(Opaque(bytes)), std::bad_alloc) << form.name << " of " << bytes;
      }
    }
  }
}

int handler_calls = 0;

TEST(OperatorNew, CallsTheHandlerUntilItGivesUp) {
  for (const Form& form : EveryForm()) {
    handler_calls = 0;
    std::set_new_handler([] {
      if (++handler_calls == 3) std::set_new_handler(nullptr);
    });
    if (IsNothrow(form)) {
      EXPECT_EQ(form.make(Opaque(SIZE_MAX / 2 + 1)), nullptr) << form.name;
    } else {
      EXPECT_THROW(form.make(Opaque(SIZE_MAX / 2 + 1)), std::bad_alloc) << form.name;
    }
    EXPECT_EQ(handler_calls, 3) << form.name;
    std::set_new_handler(nullptr);
  }
}

TEST(OperatorNew, ExceptionOfTheHandlerPassesThrough) {
  for (const Form& form : EveryForm()) {
    if (IsNothrow(form)) continue;
    std::set_new_handler([] { throw std::bad_alloc(); });
    EXPECT_THROW(form.make(Opaque(SIZE_MAX / 2 + 1)), std::bad_alloc) << form.name;
    std::set_new_handler(nullptr);
  }
}

TEST(OperatorNew, ExceptionOfTheHandlerBecomesNullInNothrowForms) {
  for (const Form& form : EveryForm()) {
    if (!IsNothrow(form)) continue;
    std::set_new_handler([] { throw std::bad_alloc(); });
    EXPECT_NO_THROW(EXPECT_EQ(form.make(Opaque(SIZE_MAX / 2 + 1)), nullptr)) << form.name;
    std::set_new_handler(nullptr);
  }
}

TEST(OperatorNew, MayBeMixedWithMallocAndFree) {
  // Wrong by the standard, common in practice, and harmless where both come from one heap.
  free(Opaque(::operator new(100)));
  ::operator delete(Opaque(malloc(100)));
}

struct alignas(128) Wide {
  char bytes[128];
};

TEST(OperatorNew, ExpressionsOfOveralignedTypesAreAligned) {
  std::vector<Wide*> made;
  for (int i = 0; i < 100; ++i) {
    made.push_back(new Wide);
    EXPECT_TRUE(IsAligned(made.back(), alignof(Wide)));
    auto* several = new Wide[3];
    EXPECT_TRUE(IsAligned(several, alignof(Wide)));
    delete[] several;
  }
  for (Wide* wide : made) delete wide;
}

}  // namespace
}  // namespace acre::testing
