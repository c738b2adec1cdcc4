/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A suspended stack, from its stack pointer upwards:
 *
 *      0  x19 … x28
 *     80  x29 (frame), x30 (where to go on)
 *     96  d8 … d15
 *    160  FPCR, unused
 *
 * DWARF numbers d8 … d15 as 72 … 79.
 */
        .text
#define FRAME 176

/* void weir__ctx_switch(struct ctx *save, const struct ctx *to) */
        .globl  weir__ctx_switch
        .hidden weir__ctx_switch
        .type   weir__ctx_switch, %function
        .p2align 4
weir__ctx_switch:
        .cfi_startproc
        hint    #34                     /* bti c */
        sub     sp, sp, #FRAME
        .cfi_def_cfa_offset FRAME
        stp     x19, x20, [sp, #0]
        stp     x21, x22, [sp, #16]
        stp     x23, x24, [sp, #32]
        stp     x25, x26, [sp, #48]
        stp     x27, x28, [sp, #64]
        stp     x29, x30, [sp, #80]
        .cfi_offset x19, -176
        .cfi_offset x20, -168
        .cfi_offset x21, -160
        .cfi_offset x22, -152
        .cfi_offset x23, -144
        .cfi_offset x24, -136
        .cfi_offset x25, -128
        .cfi_offset x26, -120
        .cfi_offset x27, -112
        .cfi_offset x28, -104
        .cfi_offset x29, -96
        .cfi_offset x30, -88
        stp     d8, d9, [sp, #96]
        stp     d10, d11, [sp, #112]
        stp     d12, d13, [sp, #128]
        stp     d14, d15, [sp, #144]
        .cfi_offset 72, -80
        .cfi_offset 73, -72
        .cfi_offset 74, -64
        .cfi_offset 75, -56
        .cfi_offset 76, -48
        .cfi_offset 77, -40
        .cfi_offset 78, -32
        .cfi_offset 79, -24
        mrs     x9, fpcr
        str     x9, [sp, #160]

        /* Both stacks have the same shape here, so the rules above hold for the other as well. */
        mov     x9, sp
        str     x9, [x0]
        ldr     x9, [x1]
        mov     sp, x9

        ldr     x9, [sp, #160]
        mrs     x10, fpcr
        cmp     x9, x10
        b.eq    1f
        msr     fpcr, x9
1:      ldp     x19, x20, [sp, #0]
        ldp     x21, x22, [sp, #16]
        ldp     x23, x24, [sp, #32]
        ldp     x25, x26, [sp, #48]
        ldp     x27, x28, [sp, #64]
        ldp     x29, x30, [sp, #80]
        ldp     d8, d9, [sp, #96]
        ldp     d10, d11, [sp, #112]
        ldp     d12, d13, [sp, #128]
        ldp     d14, d15, [sp, #144]
        add     sp, sp, #FRAME
        .cfi_def_cfa_offset 0
        .cfi_restore x19
        .cfi_restore x20
        .cfi_restore x21
        .cfi_restore x22
        .cfi_restore x23
        .cfi_restore x24
        .cfi_restore x25
        .cfi_restore x26
        .cfi_restore x27
        .cfi_restore x28
        .cfi_restore x29
        .cfi_restore x30
        .cfi_restore 72
        .cfi_restore 73
        .cfi_restore 74
        .cfi_restore 75
        .cfi_restore 76
        .cfi_restore 77
        .cfi_restore 78
        .cfi_restore 79
        ret
        .cfi_endproc
        .size   weir__ctx_switch, .-weir__ctx_switch

/* The outermost frame of a stack: x19 = entry, x20 = its argument. Unwinding ends here. */
        .globl  weir__ctx_entry
        .hidden weir__ctx_entry
        .type   weir__ctx_entry, %function
        .p2align 4
weir__ctx_entry:
        .cfi_startproc
        .cfi_undefined x30
        hint    #36                     /* bti j */
        mov     x29, #0
        mov     x0, x20
        blr     x19
        brk     #1
        .cfi_endproc
        .size   weir__ctx_entry, .-weir__ctx_entry

        .section .note.gnu.property, "a"
        .p2align 3
        .word   4
        .word   16
        .word   5
        .asciz  "GNU"
        .word   0xc0000000
        .word   4
        .word   1
        .word   0

        .section .note.GNU-stack, "", %progbits
