/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libgcc unwinds at about 95 ns a frame: it finds the table of a frame's function and interprets it
 * each time. But nearly every call site has one of two shapes: its frame's end (the CFA) lies at a
 * fixed distance from the stack pointer or from the frame pointer, the return address lies at one
 * below it, and the caller's frame pointer was saved in it or not touched. So what is found for a
 * return address is remembered in 16 bits beside it, and a later walk takes 2 ns a frame.
 *
 *     known[hash of address] = address << 16 | index into rules
 *
 * One word, so that readers need no lock; two places for each hash. Where the shape is another one
 * (expressions, signal frames), or on another machine, libgcc's unwinder does the whole walk.
 */
#include "config.h"

#include "core/base/cfi.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <unwind.h>

struct plain_walk {
    void **addresses;
    int count, max;
    uintptr_t skip, skip_end;
    bool inside; /* no frame was kept so far */
};

static bool keep(struct plain_walk *walk, uintptr_t address)
{
    if (walk->inside && address >= walk->skip && address < walk->skip_end)
        return true;
    walk->inside = false;
    walk->addresses[walk->count++] = (void *)address;
    return walk->count < walk->max;
}

static _Unwind_Reason_Code plain_step(struct _Unwind_Context *context, void *arg)
{
    uintptr_t address = _Unwind_GetIP(context);

    return address && keep(arg, address) ? _URC_NO_REASON : _URC_END_OF_STACK;
}

/* The frames of this file come first. */
static __attribute__((noinline)) int walk_plain(void **addresses, int max, uintptr_t skip,
                                                uintptr_t skip_end)
{
    void *all[96];
    struct plain_walk walk = {all, 0, 96, 0, 0, false};
    struct plain_walk kept = {addresses, 0, max, skip, skip_end, true};

    _Unwind_Backtrace(plain_step, &walk);
    for (int i = 2; i < walk.count; i++) { /* this function and weir__cfi_walk() */
        if (!keep(&kept, (uintptr_t)all[i]))
            break;
    }
    return kept.count;
}

#if (!defined(__x86_64__) && !defined(__aarch64__)) || defined(__ILP32__) || defined(__AARCH64EB__)

int weir__cfi_walk(void **addresses, int max, uintptr_t skip, uintptr_t skip_end)
{
    return max > 0 ? walk_plain(addresses, max, skip, skip_end) : 0;
}

void weir__cfi_forget(void) {}

int weir__cfi_walk_from(uintptr_t address, uintptr_t sp, uintptr_t bp, void **addresses, int max)
{
    (void)sp;
    (void)bp;
    if (max <= 0 || !address)
        return 0;
    addresses[0] = (void *)address;
    return 1;
}

#else

/* Numbers of registers in DWARF. */
#    ifdef __x86_64__
#        define REG_BP     6
#        define REG_SP     7
#        define REG_RETURN 16
#    else
#        define REG_BP     29
#        define REG_SP     31
#        define REG_RETURN 30
#    endif

#    define KNOWN      4096 /* addresses remembered; a power of two */
#    define RULES      1024 /* different shapes; some hundred in a large program */
#    define FRAME_MAX  ((uintptr_t)1 << 20)
#    define STATES_MAX 4

enum rule_kind { RULE_SP, RULE_BP, RULE_END, RULE_OTHER };

struct rule {
    int32_t kind_and_cfa; /* offset of the CFA << 2 | kind */
    int32_t saved_bp;     /* offset from the CFA; 0: not saved */
    int32_t saved_return; /* likewise */
};

static _Atomic(uint64_t) known[KNOWN];
static struct rule rules[RULES];
static atomic_uint rule_count;
static pthread_mutex_t rules_lock = PTHREAD_MUTEX_INITIALIZER;

/* libgcc's; as its unwind-dw2-fde.h has them. */
struct dwarf_eh_bases {
    void *tbase, *dbase, *func;
};

extern const void *_Unwind_Find_FDE(void *pc, struct dwarf_eh_bases *bases);

/* Reading CFI. What is unknown here makes the rule RULE_OTHER. */

struct cfi_reader {
    const uint8_t *at, *end;
    bool bad;
};

static uint64_t read_fixed(struct cfi_reader *reader, unsigned size)
{
    uint64_t value = 0;

    if ((size_t)(reader->end - reader->at) < size) {
        reader->bad = true;
        return 0;
    }
    memcpy(&value, reader->at, size); /* little-endian, as the machine is */
    reader->at += size;
    return value;
}

/* The bits of a LEB128 number; how many there are, and its last byte, which has the sign. */
static uint64_t read_leb(struct cfi_reader *reader, unsigned *ret_bits, unsigned *ret_last)
{
    uint64_t value = 0;
    unsigned shift = 0, byte;

    do {
        byte = (unsigned)read_fixed(reader, 1);
        if (shift < 64)
            value |= (uint64_t)(byte & 0x7F) << shift;
        shift += 7;
    } while (byte & 0x80);
    *ret_bits = shift;
    *ret_last = byte;
    return value;
}

static uint64_t read_uleb(struct cfi_reader *reader)
{
    unsigned bits, last;

    return read_leb(reader, &bits, &last);
}

static int64_t read_sleb(struct cfi_reader *reader)
{
    unsigned bits, last;
    uint64_t value = read_leb(reader, &bits, &last);

    if (bits < 64 && last & 0x40)
        value |= ~(uint64_t)0 << bits;
    return (int64_t)value;
}

/* Where the frame's registers are; only those that a walk needs. */
struct cfi_state {
    int cfa_register;
    int64_t cfa_offset;
    int64_t saved_bp, saved_return; /* from the CFA; 0: not saved */
    bool return_undefined, other;
};

struct cfi_program {
    int64_t data_align;
    uint64_t code_align;
    uint64_t location, target;
    struct cfi_state state, initial;
    struct cfi_state stack[STATES_MAX];
    int depth;
};

static void save_register(struct cfi_state *state, uint64_t reg, int64_t offset)
{
    if (reg == REG_BP)
        state->saved_bp = offset;
    else if (reg == REG_RETURN)
        state->saved_return = offset;
}

static void restore_register(struct cfi_program *program, uint64_t reg)
{
    if (reg == REG_BP)
        program->state.saved_bp = program->initial.saved_bp;
    else if (reg == REG_RETURN)
        program->state.saved_return = program->initial.saved_return;
}

static void skip_block(struct cfi_reader *reader)
{
    uint64_t size = read_uleb(reader);

    if (size > (uint64_t)(reader->end - reader->at))
        reader->bad = true;
    else
        reader->at += size;
}

/* A register whose value is an expression or in another register. */
static void other_register(struct cfi_state *state, uint64_t reg)
{
    state->other = state->other || reg == REG_BP || reg == REG_RETURN;
}

static void push_state(struct cfi_program *program)
{
    if (program->depth < STATES_MAX)
        program->stack[program->depth++] = program->state;
    else
        program->state.other = true;
}

static void pop_state(struct cfi_program *program)
{
    if (program->depth > 0)
        program->state = program->stack[--program->depth];
    else
        program->state.other = true;
}

/* DW_CFA_*, those without operands in their code; false: unknown. */
static bool run_extended(struct cfi_program *program, struct cfi_reader *reader, unsigned code)
{
    struct cfi_state *state = &program->state;
    uint64_t reg;

    switch (code) {
    case 0x00: /* nop */
        return true;
    case 0x02: /* advance_loc1, 2, 4 */
    case 0x03:
    case 0x04:
        program->location += read_fixed(reader, 1u << (code - 2)) * program->code_align;
        return true;
    case 0x05: /* offset_extended */
        reg = read_uleb(reader);
        save_register(state, reg, (int64_t)read_uleb(reader) * program->data_align);
        return true;
    case 0x06: /* restore_extended */
        restore_register(program, read_uleb(reader));
        return true;
    case 0x07: /* undefined */
        if (read_uleb(reader) == REG_RETURN)
            state->return_undefined = true;
        return true;
    case 0x08: /* same_value */
        save_register(state, read_uleb(reader), 0);
        return true;
    case 0x09: /* register */
        other_register(state, read_uleb(reader));
        (void)read_uleb(reader);
        return true;
    case 0x0A:
        push_state(program);
        return true;
    case 0x0B:
        pop_state(program);
        return true;
    case 0x0C: /* def_cfa */
        state->cfa_register = (int)read_uleb(reader);
        state->cfa_offset = (int64_t)read_uleb(reader);
        return true;
    case 0x0D: /* def_cfa_register */
        state->cfa_register = (int)read_uleb(reader);
        return true;
    case 0x0E: /* def_cfa_offset */
        state->cfa_offset = (int64_t)read_uleb(reader);
        return true;
    case 0x0F: /* def_cfa_expression */
        state->cfa_register = -1;
        skip_block(reader);
        return true;
    case 0x10: /* expression, val_expression */
    case 0x16:
        other_register(state, read_uleb(reader));
        skip_block(reader);
        return true;
    case 0x2D: /* AARCH64_negate_ra_state; the walk strips every return address */
        return REG_RETURN == 30;
    case 0x2E: /* GNU_args_size */
        (void)read_uleb(reader);
        return true;
    default:
        return false;
    }
}

/* The signed forms, and set_loc, are not made by compilers for this machine. */
static void run_program(struct cfi_program *program, struct cfi_reader reader)
{
    while (reader.at < reader.end && !reader.bad) {
        unsigned code = (unsigned)read_fixed(&reader, 1), low = code & 0x3F;

        switch (code >> 6) {
        case 1:
            program->location += low * program->code_align;
            break;
        case 2:
            save_register(&program->state, low, (int64_t)read_uleb(&reader) * program->data_align);
            break;
        case 3:
            restore_register(program, low);
            break;
        default:
            reader.bad = !run_extended(program, &reader, code);
        }
        if (program->location > program->target)
            return; /* what follows is of later instructions */
    }
    if (reader.bad)
        program->state.other = true;
}

/* What a CIE says about the FDEs that refer to it. */
struct cie {
    struct cfi_reader program;
    uint64_t code_align;
    int64_t data_align;
    unsigned pointer_encoding;
    bool augmented, other;
};

static struct cfi_reader entry_at(const uint8_t *at)
{
    struct cfi_reader reader = {at, at + 4, false};
    uint64_t length = read_fixed(&reader, 4);

    reader.bad = length == 0 || length == UINT32_MAX;
    reader.end = reader.bad ? reader.at : reader.at + length;
    return reader;
}

/* The letters of an augmentation and what they add. */
static void read_augmentation(struct cie *cie, struct cfi_reader *reader, const char *letters)
{
    const uint8_t *end;
    uint64_t size;

    if (*letters != 'z')
        return;
    cie->augmented = true;
    size = read_uleb(reader);
    end = reader->at + size;
    for (letters++; *letters && !reader->bad; letters++) {
        if (*letters == 'R') {
            cie->pointer_encoding = (unsigned)read_fixed(reader, 1);
        } else if (*letters == 'L') {
            (void)read_fixed(reader, 1);
        } else if (*letters == 'P') {
            unsigned size_of = (unsigned)read_fixed(reader, 1) & 7;

            (void)read_fixed(reader, size_of == 3 ? 4 : 8);
        } else {
            cie->other = true; /* 'S': a signal frame */
            break;
        }
    }
    reader->at = end;
}

static bool read_cie(const uint8_t *at, struct cie *cie)
{
    struct cfi_reader reader = entry_at(at);
    const char *letters;
    uint64_t version;

    *cie = (struct cie){0};
    (void)read_fixed(&reader, 4);
    version = read_fixed(&reader, 1);
    letters = (const char *)reader.at;
    reader.at += strlen(letters) + 1;
    if (*letters && *letters != 'z')
        return false;
    cie->code_align = read_uleb(&reader);
    cie->data_align = read_sleb(&reader);
    if (version == 1)
        (void)read_fixed(&reader, 1);
    else
        (void)read_uleb(&reader);
    read_augmentation(cie, &reader, letters);
    cie->program = reader;
    return !reader.bad && !cie->other;
}

/* The state of the frame at the call before `address`. False: not to be known here. */
static bool find_state(uintptr_t address, struct cfi_state *ret_state)
{
    struct dwarf_eh_bases bases;
    const uint8_t *fde = _Unwind_Find_FDE((void *)(address - 1), &bases), *reference;
    struct cfi_program program = {0};
    struct cfi_reader reader;
    struct cie cie;
    int32_t back;

    if (!fde)
        return false;
    reader = entry_at(fde);
    reference = reader.at;
    back = (int32_t)read_fixed(&reader, 4);
    if (reader.bad || !read_cie(reference - back, &cie))
        return false;
    switch (cie.pointer_encoding & 0x0F) { /* begin and size of the function */
    case 0x03:
    case 0x0B:
        (void)read_fixed(&reader, 8);
        break;
    case 0x00:
    case 0x04:
    case 0x0C:
        (void)read_fixed(&reader, 8);
        (void)read_fixed(&reader, 8);
        break;
    default:
        return false;
    }
    if (cie.augmented)
        skip_block(&reader);
    program.code_align = cie.code_align;
    program.data_align = cie.data_align;
    program.target = UINT64_MAX;
    run_program(&program, cie.program);
    program.initial = program.state;
    program.target = address - 1 - (uintptr_t)bases.func;
    program.location = 0;
    run_program(&program, reader);
    *ret_state = program.state;
    return !reader.bad && !program.state.other;
}

static bool is_in_frame(int64_t offset)
{
    return offset < 0 && offset >= -(int64_t)FRAME_MAX;
}

static struct rule find_rule(uintptr_t address)
{
    struct rule rule = {RULE_OTHER, 0, 0};
    struct cfi_state state;

    if (!find_state(address, &state))
        return rule;
    if (state.return_undefined)
        return (struct rule){RULE_END, 0, 0};
    if ((state.cfa_register != REG_SP && state.cfa_register != REG_BP) ||
        !is_in_frame(state.saved_return) || !is_in_frame(-state.cfa_offset) ||
        (state.saved_bp && !is_in_frame(state.saved_bp)))
        return rule;
    rule.kind_and_cfa =
        (int32_t)(state.cfa_offset << 2) | (state.cfa_register == REG_SP ? RULE_SP : RULE_BP);
    rule.saved_bp = (int32_t)state.saved_bp;
    rule.saved_return = (int32_t)state.saved_return;
    return rule;
}

static size_t place_of(uintptr_t address)
{
    return address * 0x9E3779B97F4A7C15u >> 52;
}

/* Finds the rule of an address and remembers it. */
static __attribute__((noinline)) struct rule learn(uintptr_t address)
{
    struct rule rule = find_rule(address);
    unsigned index, count;

    pthread_mutex_lock(&rules_lock);
    count = atomic_load_explicit(&rule_count, memory_order_relaxed);
    for (index = 0; index < count; index++) {
        if (rules[index].kind_and_cfa == rule.kind_and_cfa &&
            rules[index].saved_bp == rule.saved_bp &&
            rules[index].saved_return == rule.saved_return)
            break;
    }
    if (index == count && count < RULES) {
        rules[count] = rule;
        atomic_store_explicit(&rule_count, count + 1, memory_order_release);
    }
    if (index < RULES && address >> 48 == 0) {
        /* The older of the two stays in the other place. */
        size_t place = place_of(address);
        uint64_t older = atomic_load_explicit(&known[place], memory_order_relaxed);

        atomic_store_explicit(&known[place ^ 1], older, memory_order_release);
        atomic_store_explicit(&known[place], (uint64_t)address << 16 | index, memory_order_release);
    }
    pthread_mutex_unlock(&rules_lock);
    return rule;
}

static struct rule rule_of(uintptr_t address)
{
    size_t place = place_of(address);
    uint64_t word = atomic_load_explicit(&known[place], memory_order_acquire);

    if (word >> 16 != address)
        word = atomic_load_explicit(&known[place ^ 1], memory_order_acquire);
    return word >> 16 == address ? rules[word & 0xFFFF] : learn(address);
}

void weir__cfi_forget(void)
{
    for (size_t i = 0; i < KNOWN; i++)
        atomic_store_explicit(&known[i], 0, memory_order_relaxed);
}

struct registers {
    uintptr_t address, sp, bp;
};

/* Without the signature that a return address may carry (pointer authentication). */
static inline uintptr_t plain_address(uintptr_t address)
{
#    ifdef __aarch64__
    register uintptr_t x30 __asm__("x30") = address;

    __asm__("hint #7" : "+r"(x30)); /* xpaclri: nothing on machines that have none */
    address = x30;
#    endif
    return address;
}

enum step { STEP_MADE, STEP_END, STEP_OTHER };

/* From a frame to its caller's. Reads words of frames that the sanitizers know nothing about. */
__attribute__((no_sanitize("address", "thread", "undefined"))) static inline enum step
step_up(struct registers *at)
{
    struct rule rule = rule_of(at->address);
    int kind = rule.kind_and_cfa & 3;
    uintptr_t cfa = (kind == RULE_SP ? at->sp : at->bp) + (uintptr_t)(rule.kind_and_cfa >> 2);

    if (kind == RULE_END)
        return STEP_END;
    if (kind == RULE_OTHER || cfa <= at->sp || cfa - at->sp > FRAME_MAX)
        return STEP_OTHER;
    at->address = plain_address(*(uintptr_t *)(cfa + (uintptr_t)(intptr_t)rule.saved_return));
    if (rule.saved_bp)
        at->bp = *(uintptr_t *)(cfa + (uintptr_t)(intptr_t)rule.saved_bp);
    at->sp = cfa;
    return STEP_MADE;
}

/* False: a frame of another shape. */
static bool walk_rules(struct plain_walk *walk, struct registers at)
{
    enum step step = STEP_MADE;

    while (step == STEP_MADE && at.address && keep(walk, at.address))
        step = step_up(&at);
    return step != STEP_OTHER;
}

__attribute__((noinline, no_sanitize("address", "thread", "undefined"))) int
weir__cfi_walk(void **addresses, int max, uintptr_t skip, uintptr_t skip_end)
{
    struct plain_walk walk = {addresses, 0, max, skip, skip_end, true};
    /* This function keeps a frame pointer because it asks for it. */
    uintptr_t bp = (uintptr_t)__builtin_frame_address(0);
    struct registers at;

    if (max <= 0)
        return 0;
#    ifdef __x86_64__
    at = (struct registers){*(uintptr_t *)(bp + 8), bp + 16, *(uintptr_t *)bp};
#    else
    /* The distance of this frame's end from its link is known by its rule only. */
    at.bp = bp;
    __asm__ volatile("mov %0, sp\n\tadr %1, . + 4" : "=r"(at.sp), "=r"(at.address));
    if (step_up(&at) != STEP_MADE)
        return walk_plain(addresses, max, skip, skip_end);
#    endif
    if (!walk_rules(&walk, at))
        return walk_plain(addresses, max, skip, skip_end);
    return walk.count;
}

int weir__cfi_walk_from(uintptr_t address, uintptr_t sp, uintptr_t bp, void **addresses, int max)
{
    struct plain_walk walk = {addresses, 0, max, 0, 0, false};

    if (max > 0)
        (void)walk_rules(&walk, (struct registers){address, sp, bp}); /* as far as it goes */
    return walk.count;
}

#endif
