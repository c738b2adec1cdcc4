/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A suspended stack, from its stack pointer upwards:
 *
 *      0  MXCSR, x87 control word (their control bits belong to the callee-saved state)
 *      8  r15, r14, r13, r12, rbx, rbp
 *     56  where to go on
 *
 * The new context is entered by a jump, not by `ret`: the processor's return predictor expects
 * another address, a jump is predicted by its target. notrack: the target is not an endbr64.
 */
        .text

/* void weir__ctx_switch(struct ctx *save, const struct ctx *to) */
        .globl  weir__ctx_switch
        .hidden weir__ctx_switch
        .type   weir__ctx_switch, @function
        .p2align 4
weir__ctx_switch:
        .cfi_startproc
        endbr64
        pushq   %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset rbp, 0
        pushq   %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset rbx, 0
        pushq   %r12
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r12, 0
        pushq   %r13
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r13, 0
        pushq   %r14
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r14, 0
        pushq   %r15
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r15, 0
        subq    $8, %rsp
        .cfi_adjust_cfa_offset 8
        stmxcsr (%rsp)
        fnstcw  4(%rsp)

        /* Both stacks have the same shape here, so the rules above hold for the other as well. */
        movq    %rsp, (%rdi)
        movq    (%rsi), %rsp

        ldmxcsr (%rsp)
        fldcw   4(%rsp)
        addq    $8, %rsp
        .cfi_adjust_cfa_offset -8
        popq    %r15
        .cfi_adjust_cfa_offset -8
        .cfi_restore r15
        popq    %r14
        .cfi_adjust_cfa_offset -8
        .cfi_restore r14
        popq    %r13
        .cfi_adjust_cfa_offset -8
        .cfi_restore r13
        popq    %r12
        .cfi_adjust_cfa_offset -8
        .cfi_restore r12
        popq    %rbx
        .cfi_adjust_cfa_offset -8
        .cfi_restore rbx
        popq    %rbp
        .cfi_adjust_cfa_offset -8
        .cfi_restore rbp
        popq    %rcx
        .cfi_adjust_cfa_offset -8
        .cfi_register rip, rcx
        notrack jmp *%rcx
        .cfi_endproc
        .size   weir__ctx_switch, .-weir__ctx_switch

/* The outermost frame of a stack: r12 = entry, r13 = its argument. Unwinding ends here. */
        .globl  weir__ctx_entry
        .hidden weir__ctx_entry
        .type   weir__ctx_entry, @function
        .p2align 4
weir__ctx_entry:
        .cfi_startproc
        .cfi_undefined rip
        endbr64
        xorl    %ebp, %ebp
        movq    %r13, %rdi
        call    *%r12
        ud2
        .cfi_endproc
        .size   weir__ctx_entry, .-weir__ctx_entry

        .section .note.gnu.property, "a"
        .p2align 3
        .long   4
        .long   16
        .long   5
        .asciz  "GNU"
        .long   0xc0000002
        .long   4
        .long   1
        .long   0

        .section .note.GNU-stack, "", @progbits
