/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inspectors, without connections: what is found must depend on the bytes alone, so everything here is
 * tried whole, cut in two at every place, and byte by byte.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/inspect/client_hello.h"
#include "host/inspect/inspect.h"
#include "tests/unit/host/hello.h"
#include "tests/unit/host/host_test.h"

/* What came of an inspection, in words: "known sni=a.test protocol=tls reply=S rest=12". */
struct outcome {
    char text[1024];
};

struct feeder {
    struct weir_inspection inspection;
    unsigned char kept[64 * 1024];
    size_t len;
    char reply[16];
    size_t replied;
};

static weir_error *note_reply(void *arg, weir_slice data)
{
    struct feeder *f = arg;

    assert_true(f->replied + data.len < sizeof f->reply);
    memcpy(f->reply + f->replied, data.data, data.len);
    f->replied += data.len;
    return NULL;
}

static weir_verdict is_line(weir_slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = ((const unsigned char *)bytes.data)[i];

        if (c == '\n')
            return WEIR_VERDICT_YES;
        if (c < ' ' || c > 126)
            return WEIR_VERDICT_NO;
    }
    return WEIR_VERDICT_MORE;
}

static const struct inspector_entry all[] = {
    {"tls", &weir__inspect_tls, NULL, CLIENT_HELLO_LIMIT},
    {"ssh", &weir__inspect_ssh, NULL, 4},
    {"postgres", &weir__inspect_postgres, NULL, CLIENT_HELLO_LIMIT},
    {"line", NULL, is_line, 100},
};
static const struct inspector_entry databases[] = {
    {"postgres", &weir__inspect_postgres, NULL, CLIENT_HELLO_LIMIT},
    {"tls", &weir__inspect_tls, NULL, CLIENT_HELLO_LIMIT},
};
static const struct inspect_plan mux = {all, 4, {0}};
static const struct inspect_plan postgres = {databases, 2, {0}};
static const struct inspect_plan postgres_alone = {databases, 1, {0}};

/* One more piece. True: it is decided. */
static bool feed(struct feeder *f, weir_slice piece, bool final, enum inspect_end *ret)
{
    size_t consumed;

    assert_true(f->len + piece.len <= sizeof f->kept);
    if (piece.len)
        memcpy(f->kept + f->len, piece.data, piece.len);
    f->len += piece.len;
    *ret = weir__inspection_look(&f->inspection, weir_slice_of(f->kept, f->len), final, &consumed);
    assert_true(consumed <= f->len);
    memmove(f->kept, f->kept + consumed, f->len - consumed);
    f->len -= consumed;
    return *ret != INSPECT_MORE;
}

static void add(struct outcome *o, const char *name, weir_slice value)
{
    size_t n = strlen(o->text);

    if (value.len)
        snprintf(o->text + n, sizeof o->text - n, " %s=%.*s", name, (int)value.len,
                 (const char *)value.data);
}

static struct outcome describe(struct feeder *f, enum inspect_end end, size_t rest)
{
    static const char *const ends[] = {"more", "known", "unknown", "timeout", "ended", "failed"};
    const struct inspect_facts *facts = &f->inspection.facts;
    struct outcome o;
    char number[24];

    snprintf(o.text, sizeof o.text, "%s", ends[end]);
    for (size_t i = 0; i < INSPECT_FACTS; i++) {
        static const char *const names[] = {"sni", "alpn", "protocol"};

        if (facts->texts[i])
            add(&o, names[i], weir_slice_str(facts->texts[i]));
    }
    add(&o, "reply", weir_slice_of(f->reply, f->replied));
    if (facts->preamble) {
        snprintf(number, sizeof number, "%zu", facts->send);
        add(&o, "send", weir_slice_str(number));
        add(&o, "expect", weir_slice_of(facts->preamble + facts->send, facts->expect));
    }
    snprintf(number, sizeof number, "%zu", rest);
    add(&o, "rest", weir_slice_str(number));
    weir__facts_free(&f->inspection.facts);
    return o;
}

/* In pieces: the first of `cut` bytes, then all of `step` (0: the rest at once). */
static struct outcome inspect(const struct inspect_plan *plan, weir_slice bytes, size_t cut,
                              size_t step, bool final)
{
    static struct feeder f;
    enum inspect_end end = INSPECT_MORE;
    size_t given = 0, rest;
    bool decided = false;

    f.inspection = (struct weir_inspection){.plan = plan, .reply = note_reply, .arg = &f};
    f.len = f.replied = 0;
    while (given < bytes.len && !decided) {
        size_t n = given < cut ? cut - given : step ? step : bytes.len - given;

        n = n < bytes.len - given ? n : bytes.len - given;
        decided = feed(&f, weir_slice_of((const char *)bytes.data + given, n), false, &end);
        given += n;
    }
    if (final && !decided)
        (void)feed(&f, weir_slice_of(NULL, 0), true, &end);
    /* All that was not consumed is there still, in order. */
    rest = f.len + (bytes.len - given);
    assert_memory_equal(f.kept, (const char *)bytes.data + bytes.len - rest, f.len);
    return describe(&f, end, rest);
}

static void expect_final(const struct inspect_plan *plan, weir_slice bytes, bool final,
                         const char *wanted)
{
    struct outcome o = inspect(plan, bytes, bytes.len, 0, final);

    assert_string_equal(o.text, wanted);
    o = inspect(plan, bytes, 0, 1, final);
    assert_string_equal(o.text, wanted);
    for (size_t cut = 1; cut < bytes.len; cut++) {
        o = inspect(plan, bytes, cut, 0, final);
        assert_string_equal(o.text, wanted);
    }
}

static void expect(const struct inspect_plan *plan, weir_slice bytes, const char *wanted)
{
    expect_final(plan, bytes, false, wanted);
}

static weir_slice hello(unsigned char *into, const char *sni, const char *alpn, size_t record)
{
    struct hello_spec spec = {.sni = sni, .alpn = alpn, .record = record};

    return weir_slice_of(into, hello_write(&spec, into));
}

/* TLS */

static void tls_names_what_the_client_asks_for(void **state)
{
    unsigned char b[HELLO_ROOM];

    (void)state;
    expect(&mux, hello(b, "Example.COM", "\2h2\x08http/1.1", 0),
           "known sni=example.com alpn=h2,http/1.1 protocol=tls rest=161");
    expect(&mux, hello(b, "a.test.", NULL, 0), "known sni=a.test protocol=tls rest=139");
    expect(&mux, hello(b, NULL, NULL, 0), "known protocol=tls rest=123");
}

static void tls_fragments_are_one_hello(void **state)
{
    unsigned char b[HELLO_ROOM];
    static const size_t sizes[] = {1, 2, 3, 5, 17, 60};

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        weir_slice bytes = hello(b, "a.test", "\2h2", sizes[i]);
        char wanted[100];

        snprintf(wanted, sizeof wanted, "known sni=a.test alpn=h2 protocol=tls rest=%zu",
                 bytes.len);
        expect(&mux, bytes, wanted);
    }
}

static void tls_bytes_behind_the_hello_stay(void **state)
{
    unsigned char b[HELLO_ROOM + 10];
    weir_slice bytes = hello(b, "a.test", NULL, 0);
    struct outcome o;

    (void)state;
    memset(b + bytes.len, 'x', 10);
    o = inspect(&mux, weir_slice_of(b, bytes.len + 10), bytes.len + 10, 0, false);
    assert_string_equal(o.text, "known sni=a.test protocol=tls rest=148");
}

static void tls_that_could_be_read_in_two_ways_is_none(void **state)
{
    static const struct hello_spec wrong[] = {
        {.sni = "a.test", .sni_twice = true},
        {.sni = "a.test", .second_name = "b.test"},
        {.alpn = "\2h2", .alpn_twice = true},
        {.sni = "a\nb.test"},
        {.sni = ""},
        {.sni = "a.test", .long_by = 1},
        {.sni = "a.test", .session_id = 33},
        {.alpn = "\3h2"},
        {.alpn = "\0"},
    };
    unsigned char b[HELLO_ROOM];

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        weir_slice bytes = weir_slice_of(b, hello_write(&wrong[i], b));
        char wanted[60];

        snprintf(wanted, sizeof wanted, "unknown rest=%zu", bytes.len);
        expect(&mux, bytes, wanted);
    }
}

static void tls_protocols_that_no_file_can_name_are_left_out(void **state)
{
    unsigned char b[HELLO_ROOM];

    (void)state;
    expect(&mux, hello(b, NULL, "\2\x0a\x0a\2h2\3a,b\2h3", 0),
           "known alpn=h2,h3 protocol=tls rest=142");
}

static void tls_of_another_kind_is_none(void **state)
{
    unsigned char b[HELLO_ROOM];
    weir_slice bytes = hello(b, "a.test", NULL, 0);

    (void)state;
    b[0] = 21; /* an alert */
    expect(&mux, bytes, "unknown rest=138");
    b[0] = 22;
    b[1] = 2; /* of SSL 2 */
    expect(&mux, bytes, "unknown rest=138");
    b[1] = 3;
    b[5] = 2; /* a ServerHello */
    expect(&mux, bytes, "unknown rest=138");
    b[5] = 1;
    b[6] = 1; /* of 64 KiB and more */
    expect(&mux, bytes, "unknown rest=138");
    b[6] = 0;
    expect(&mux, bytes, "known sni=a.test protocol=tls rest=138");
    b[3] = b[4] = 0; /* a record of nothing */
    expect(&mux, bytes, "unknown rest=138");
}

static void tls_that_grows_past_the_limit_is_none(void **state)
{
    /* A hello of 16,000 bytes in records of one byte takes six times as many. */
    static unsigned char b[HELLO_ROOM];
    struct hello_spec spec = {.sni = "a.test", .record = 1, .padding = 10000};
    weir_slice bytes = weir_slice_of(b, hello_write(&spec, b));
    struct outcome o = inspect(&mux, bytes, CLIENT_HELLO_LIMIT - 1, 1, false);

    (void)state;
    assert_true(bytes.len > CLIENT_HELLO_LIMIT);
    assert_true(strncmp(o.text, "unknown rest=", 13) == 0);
    spec = (struct hello_spec){.sni = "a.test", .padding = 10000};
    bytes = weir_slice_of(b, hello_write(&spec, b));
    o = inspect(&mux, bytes, 1000, 1000, false);
    assert_true(strncmp(o.text, "known sni=a.test protocol=tls", 29) == 0);
}

static void every_byte_of_a_hello_may_be_wrong(void **state)
{
    unsigned char b[HELLO_ROOM];
    weir_slice bytes = hello(b, "a.test", "\2h2", 0);

    (void)state;
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char right = b[i];

        for (unsigned v = 0; v < 256; v += 5) {
            struct outcome whole, single;

            b[i] = (unsigned char)v;
            whole = inspect(&mux, bytes, bytes.len, 0, true);
            single = inspect(&mux, bytes, 0, 1, true);
            assert_string_equal(whole.text, single.text);
        }
        b[i] = right;
    }
}

/* The others */

static void ssh_begins_with_its_name(void **state)
{
    (void)state;
    expect(&mux, WEIR_SLICE("SSH-2.0-OpenSSH_9.2\r\n"), "known protocol=ssh rest=21");
    expect(&mux, WEIR_SLICE("SSX-2.0\n"), "known protocol=line rest=8");
}

static void earlier_inspector_that_waits_is_waited_for(void **state)
{
    (void)state;
    /* "SS\n" would be a line at once, but only the third byte says that it is no SSH. */
    expect(&mux, WEIR_SLICE("SS\n"), "known protocol=line rest=3");
    expect_final(&mux, WEIR_SLICE("SS"), true, "ended rest=2");
    expect_final(&mux, WEIR_SLICE("hell"), true, "ended rest=4");
}

static void nobody_knows_garbage(void **state)
{
    (void)state;
    expect(&mux, WEIR_SLICE("\xff\xfe\xfd"), "unknown rest=3");
    expect(&mux, WEIR_SLICE("\0\0\0\7\1\2\3\4"), "unknown rest=8");
}

static void what_is_past_the_limit_of_all_is_nobodys(void **state)
{
    char b[200];

    (void)state;
    memset(b, 'a', sizeof b);
    b[150] = '\n'; /* behind the 100 bytes that `line` may see */
    expect(&mux, weir_slice_of(b, sizeof b), "unknown rest=200");
    b[99] = '\n';
    expect(&mux, weir_slice_of(b, sizeof b), "known protocol=line rest=200");
}

/* PostgreSQL */

#define SSL_REQUEST "\0\0\0\x08\x04\xd2\x16\x2f"
#define GSS_REQUEST "\0\0\0\x08\x04\xd2\x16\x30"
#define STARTUP     "\0\0\0\x11\0\3\0\0user\0a\0\0"

static weir_slice after(unsigned char *into, weir_slice first, const char *sni, const char *alpn)
{
    memcpy(into, first.data, first.len);
    return weir_slice_of(into, first.len + hello(into + first.len, sni, alpn, 0).len);
}

static void postgres_is_answered_then_named(void **state)
{
    unsigned char b[HELLO_ROOM + 16];

    (void)state;
    expect(&postgres, after(b, WEIR_SLICE(SSL_REQUEST), "a.db", NULL),
           "known sni=a.db protocol=postgres reply=S send=8 expect=S rest=136");
    expect(&postgres_alone, after(b, WEIR_SLICE(SSL_REQUEST), "a.db", NULL),
           "known sni=a.db protocol=postgres reply=S send=8 expect=S rest=136");
    expect(&postgres, after(b, WEIR_SLICE(GSS_REQUEST SSL_REQUEST), "a.db", NULL),
           "known sni=a.db protocol=postgres reply=NS send=8 expect=S rest=136");
}

static void postgres_with_tls_at_once_is_passed_on(void **state)
{
    unsigned char b[HELLO_ROOM];

    (void)state;
    expect(&postgres, hello(b, "a.db", "\x0apostgresql", 0),
           "known sni=a.db alpn=postgresql protocol=postgres rest=153");
    /* Other TLS is not its business. */
    expect(&postgres, hello(b, "a.db", "\2h2", 0), "known sni=a.db alpn=h2 protocol=tls rest=145");
    expect(&postgres_alone, hello(b, "a.db", "\2h2", 0), "unknown rest=145");
}

static void postgres_without_tls_is_known(void **state)
{
    (void)state;
    expect(&postgres, weir_slice_of(STARTUP, 17), "known protocol=postgres rest=17");
    expect(&postgres, weir_slice_of("\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\1\0\0\0\2", 16),
           "known protocol=postgres rest=16");
    expect(&postgres, weir_slice_of("\0\0\0\x08\x04\xd2\x16\x2e", 8), "unknown rest=8");
    expect(&postgres, weir_slice_of("\0\0\x7f\xff\0\3\0\0", 8), "unknown rest=8");
    expect(&postgres, weir_slice_of("\0\1\0\x08\x04\xd2\x16\x2f", 8), "unknown rest=8");
}

static void postgres_asks_for_tls_once(void **state)
{
    (void)state;
    /* Whoever was promised TLS and goes on in plain words is passed on with what it says. */
    expect(&postgres, WEIR_SLICE(SSL_REQUEST SSL_REQUEST),
           "unknown protocol=postgres reply=S send=8 expect=S rest=8");
    expect(&postgres, WEIR_SLICE(GSS_REQUEST GSS_REQUEST GSS_REQUEST GSS_REQUEST GSS_REQUEST),
           "failed reply=NNNN rest=8");
}

/* Inspectors that misbehave */

static weir_look look_again(weir_inspection *inspection, weir_slice bytes)
{
    (void)inspection;
    (void)bytes;
    return WEIR_LOOK_AGAIN;
}

static weir_look take_everything(weir_inspection *inspection, weir_slice bytes)
{
    (void)bytes;
    weir_inspection_consume(inspection, SIZE_MAX);
    return WEIR_LOOK_AGAIN;
}

static weir_look consume_and_deny(weir_inspection *inspection, weir_slice bytes)
{
    (void)bytes;
    weir_inspection_consume(inspection, 1);
    return WEIR_LOOK_NO;
}

static struct outcome by(weir_look (*look)(weir_inspection *, weir_slice), const char *bytes)
{
    const weir_inspector inspector = {WEIR_SIZED(weir_inspector), .name = "odd", .limit = 10,
                                      .look = look};
    const struct inspector_entry entries[] = {{"odd", &inspector, NULL, 10}};
    const struct inspect_plan plan = {entries, 1, {0}};

    return inspect(&plan, weir_slice_str(bytes), strlen(bytes), 0, false);
}

static void misbehaving_inspectors_end(void **state)
{
    (void)state;
    assert_string_equal(by(look_again, "abc").text, "failed rest=3");
    assert_string_equal(by(take_everything, "abc").text, "more rest=0");
    assert_string_equal(by(consume_and_deny, "abc").text, "unknown rest=3");
}

static weir_error *cannot(void *arg, weir_slice data)
{
    (void)arg;
    (void)data;
    return weir_raise(WEIR_ECLOSED, "gone");
}

static void answer_that_cannot_be_sent_ends_it(void **state)
{
    struct weir_inspection inspection = {.plan = &postgres, .reply = cannot};
    size_t consumed;

    (void)state;
    assert_int_equal(weir__inspection_look(&inspection, WEIR_SLICE(SSL_REQUEST), false, &consumed),
                     INSPECT_FAILED);
    weir__facts_free(&inspection.facts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tls_names_what_the_client_asks_for),
        cmocka_unit_test(tls_fragments_are_one_hello),
        cmocka_unit_test(tls_bytes_behind_the_hello_stay),
        cmocka_unit_test(tls_that_could_be_read_in_two_ways_is_none),
        cmocka_unit_test(tls_protocols_that_no_file_can_name_are_left_out),
        cmocka_unit_test(tls_of_another_kind_is_none),
        cmocka_unit_test(tls_that_grows_past_the_limit_is_none),
        cmocka_unit_test(every_byte_of_a_hello_may_be_wrong),
        cmocka_unit_test(ssh_begins_with_its_name),
        cmocka_unit_test(earlier_inspector_that_waits_is_waited_for),
        cmocka_unit_test(nobody_knows_garbage),
        cmocka_unit_test(what_is_past_the_limit_of_all_is_nobodys),
        cmocka_unit_test(postgres_is_answered_then_named),
        cmocka_unit_test(postgres_with_tls_at_once_is_passed_on),
        cmocka_unit_test(postgres_without_tls_is_known),
        cmocka_unit_test(postgres_asks_for_tls_once),
        cmocka_unit_test(misbehaving_inspectors_end),
        cmocka_unit_test(answer_that_cannot_be_sent_ends_it),
    };

    return cmocka_run_group_tests_name("inspect", tests, NULL, NULL);
}
