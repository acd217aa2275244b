/* The smallest guest that tells whether KVM runs 64-bit code: it is the firmware image (64 KiB, seen at 0xf0000 and
 * below 4 GiB), enters long mode with paging, uses memory, and writes to QEMU's isa-debug-exit port. accel.ts holds its
 * bytes; a test assembles this file and compares. */
.code16
start:
  cli
  /* Page tables: PML4 at 0x1000, PDPT at 0x2000, page directory at 0x3000 with one page of 2 MiB. */
  xor %ax, %ax
  mov %ax, %es
  mov $0x1000, %di
  xor %eax, %eax
  mov $0x0c00, %cx
  cld
  rep stosl
  movl $0x2003, %es:0x1000
  movl $0x3003, %es:0x2000
  movl $0x0083, %es:0x3000
  mov %cs, %ax
  mov %ax, %ds
  lgdtl (gdtr - start)
  mov $0x20, %eax       /* CR4.PAE */
  mov %eax, %cr4
  mov $0x1000, %eax
  mov %eax, %cr3
  mov $0xc0000080, %ecx /* EFER.LME */
  rdmsr
  or $0x100, %eax
  wrmsr
  mov %cr0, %eax
  or $0x80000001, %eax  /* CR0.PG, CR0.PE */
  mov %eax, %cr0
  ljmpl $8, $(0xf0000 + long - start)
.code64
long:
  mov $16, %eax
  mov %eax, %ds
  mov %eax, %ss
  mov $0x9000, %esp
  movabs $0x123456789abcdef0, %rax
  push %rax
  pop %rbx
  cmp %rax, %rbx
  jne stop
  xor %eax, %eax
  cpuid
  rdtsc
  mov $0xf4, %dx        /* isa-debug-exit: QEMU ends with code 0x10 * 2 + 1 */
  mov $0x10, %al
  out %al, %dx
stop:
  hlt
  jmp stop
.balign 8
gdt:
  .quad 0
  .quad 0x00af9a000000ffff /* 64-bit code */
  .quad 0x00cf92000000ffff /* data */
gdtr:
  .word 23
  .long 0xf0000 + gdt - start
end:
.org 0xfff0
.code16
  ljmp $0xf000, $0 /* where the CPU starts */
.org 0xffff
.byte 0
