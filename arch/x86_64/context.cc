#include "arch/context.h"

namespace acre::arch {

// System V: a callee preserves rbx, rbp and r12 to r15; all vector registers are the caller's. Six pushes and 8 bytes
// make 56, with the return address 64: `body` is called with the stack aligned to 16 bytes.
//
// The registers are not loaded again, because `body` preserves them too. The unwinder needs to know only where the
// frame begins.
[[gnu::naked]] void WithSpilledRegisters(SpilledBody /* body: rdi */, void* /* argument: rsi */) {
  asm(R"(
    push %rbp
    push %rbx
    push %r12
    push %r13
    push %r14
    push %r15
    sub $8, %rsp
    .cfi_adjust_cfa_offset 56
    mov %rdi, %rax
    mov %rsi, %rdi
    mov %rsp, %rsi
    call *%rax
    add $56, %rsp
    .cfi_adjust_cfa_offset -56
    ret
  )");
}

}  // namespace acre::arch
