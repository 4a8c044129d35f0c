// What a compiler emits to allocate inline: machine code made from the offsets that acre/acre.h documents, called like the
// function that it stands for. Here for x86-64 and the System V calling convention.

#include <acre/acre.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <initializer_list>

namespace {

class Assembler {
 public:
  explicit Assembler(uint8_t* code) : at_(code) {}

  void Bytes(std::initializer_list<uint8_t> bytes) {
    for (const uint8_t byte : bytes) *at_++ = byte;
  }
  template <class T>
  void Value(T value) {
    std::memcpy(at_, &value, sizeof value);
    at_ += sizeof value;
  }
  uint8_t* at() const { return at_; }

 private:
  uint8_t* at_;
};

// void* allocate(acre_mutator* mutator), for one kind and size.
void Emit(uint8_t* code, acre_kind kind, uint32_t bytes) {
  const uint32_t size_class = acre_size_class(bytes);
  const auto cursor = static_cast<uint32_t>(ACRE_RUN_BYTES * size_class + ACRE_RUN_CURSOR_OFFSET);
  const auto limit = static_cast<uint32_t>(ACRE_RUN_BYTES * size_class + ACRE_RUN_LIMIT_OFFSET);
  Assembler as(code);
  as.Bytes({0x48, 0x8b, 0x87}), as.Value(uint32_t{8} * acre_kind_number(kind));             // mov rax, [rdi + row]
  as.Bytes({0x48, 0x8b, 0x90}), as.Value(cursor);                                           // mov rdx, [rax + cursor]
  as.Bytes({0x48, 0x8d, 0x8a}), as.Value(static_cast<uint32_t>(acre_slot_bytes(size_class)));  // lea rcx, [rdx + slot]
  as.Bytes({0x48, 0x3b, 0x88}), as.Value(limit);                                            // cmp rcx, [rax + limit]
  as.Bytes({0x77, 0});                                                                      // ja slow
  uint8_t* const jump = as.at();
  as.Bytes({0x48, 0x89, 0x88}), as.Value(cursor);  // mov [rax + cursor], rcx
  as.Bytes({0x48, 0x89, 0xd0, 0xc3});              // mov rax, rdx; ret
  jump[-1] = static_cast<uint8_t>(as.at() - jump);
  as.Bytes({0xbe}), as.Value(uint32_t{kind});                                           // mov esi, kind
  as.Bytes({0xba}), as.Value(bytes);                                                    // mov edx, bytes
  as.Bytes({0x48, 0xb8}), as.Value(reinterpret_cast<uintptr_t>(&acre_allocate_slow));   // mov rax, acre_allocate_slow
  as.Bytes({0xff, 0xe0});                                                               // jmp rax
}

}  // namespace

int main() {
  acre_heap* heap;
  acre_mutator* mutator;
  if (acre_heap_create(nullptr, &heap) != ACRE_OK || acre_attach(heap, &mutator) != ACRE_OK) return 1;

  constexpr size_t kCodeBytes = 4096;
  void* memory = mmap(nullptr, kCodeBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 1;
  Emit(static_cast<uint8_t*>(memory), ACRE_CONSERVATIVE, 24);
  if (mprotect(memory, kCodeBytes, PROT_READ | PROT_EXEC) != 0) return 1;
  const auto allocate = reinterpret_cast<void* (*)(acre_mutator*)>(memory);

  // A list by compiled code, long enough for some collections on the way.
  struct Node {
    Node* next;
    uint64_t number;
    uint64_t zero;
  };
  constexpr uint64_t kNodes = 1'000'000;
  Node* list = nullptr;
  for (uint64_t i = 0; i < kNodes; ++i) {
    auto* node = static_cast<Node*>(allocate(mutator));
    if (node == nullptr || node->next != nullptr || node->number != 0 || node->zero != 0) return 1;
    node->number = i;
    acre_write(mutator, &node->next, list);
    list = node;
  }
  uint64_t count = 0;
  for (const Node* node = list; node != nullptr; node = node->next) count += node->number == kNodes - 1 - count;
  acre_statistics statistics = {};
  statistics.struct_bytes = sizeof statistics;
  acre_get_statistics(heap, &statistics);
  std::printf("%llu nodes by compiled code, %s\n", static_cast<unsigned long long>(count),
              statistics.cycles > 0 ? "collected meanwhile" : "never collected");
  acre_detach(mutator);
  acre_heap_destroy(heap);
  munmap(memory, kCodeBytes);
}
