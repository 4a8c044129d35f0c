// Freeing by reference counts. A long list must not be freed by as deep a recursion, so the dead wait in a list of their own.

#include "bench/interpreters/scheme/objects.h"

namespace scheme {
namespace {

// A dead object's header holds its type and the address of the next dead object above it: no memory is needed to free.
constexpr int kTypeBits = 8;

struct DeadList {
  Word head = 0;

  void Push(Header* object) {
    Word type = object->type;
    Word link = head << kTypeBits | type;
    head = reinterpret_cast<Word>(object);
    std::memcpy(static_cast<void*>(object), &link, sizeof(link));
  }

  Header* Pop(Type* type) {
    Header* object = HeaderOf(head);
    Word link;
    std::memcpy(&link, object, sizeof(link));
    head = link >> kTypeBits;
    *type = static_cast<Type>(link & ((1 << kTypeBits) - 1));
    return object;
  }
};

struct ReleasingVisitor {
  DeadList& dead;

  void operator()(const Field& field) {
    Word word = field.word();
    if (IsPointerWord(word) && --HeaderOf(word)->count == 0) dead.Push(HeaderOf(word));
  }
};

}  // namespace

void Reclaim(Header* object) {
  DeadList dead;
  ReleasingVisitor release{dead};
  dead.Push(object);
  while (dead.head != 0) {
    Type type;
    Header* next = dead.Pop(&type);
    TraceObject(next, type, release);
    if (!Heap::ends_.empty()) Heap::RunEndOf(next);
    std::free(next);
    ++Heap::freed_;
  }
}

}  // namespace scheme
