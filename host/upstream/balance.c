/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which server gets the next connection.
 *
 *   round_robin  in turn; with weights so that the turns of a heavy server lie apart (the server with
 *                the largest credit goes, all get their weight as credit, it pays the sum)
 *   least_conn   the fewest connections in use for its weight, as this loop sees them; in turn when equal
 *   random       two by chance, of them the one with fewer connections in use
 *   hash, ip_hash  the server that draws best for the key: every server draws for every key, so that a
 *                server which goes takes only its own keys along, and gets the same ones back
 *
 * Weights are those of the configuration, or an operator's, times the share that slow_start leaves.
 * Nobody draws who is out: taken out by an operator, down by its checks, or passed over by passive
 * health. Positions and counts belong to each loop: nothing here locks, allocates or writes what other
 * loops read, but for the right to try a failed server.
 */
#include "config.h"

#include <weir/slice.h>

#include "host/upstream/upstream.h"

/* Weights are fixed point, so that the share of slow_start has something to cut. */
#define WEIGHT_ONE 1024u

struct draw {
    const weir_upstream *upstream;
    struct upstream_loop *local;
    unsigned loop;
    const struct pick *pick;
    struct tried_servers lost; /* somebody else had the right to try them */
    bool weighted;
};

static unsigned weight_overrides; /* servers with one, atomic */

void weir__weight_overrides_add(int n)
{
    __atomic_add_fetch(&weight_overrides, (unsigned)n, __ATOMIC_RELAXED);
}

static bool has(const struct tried_servers *set, size_t index)
{
    return set->bits[index / 64] >> (index % 64) & 1;
}

uint64_t weir__hash_mix(uint64_t x)
{
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

uint64_t weir__hash_bytes(weir_slice bytes)
{
    const unsigned char *data = bytes.data;
    uint64_t hash = 0xcbf29ce484222325u;

    for (size_t i = 0; i < bytes.len; i++)
        hash = (hash ^ data[i]) * 0x100000001b3u;
    return weir__hash_mix(hash);
}

static uint64_t next_random(struct upstream_loop *local)
{
    local->random += 0x9e3779b97f4a7c15u;
    return weir__hash_mix(local->random);
}

/* Of one server. */

uint32_t weir__server_weight(const weir_upstream *upstream, size_t index)
{
    uint32_t said = __atomic_load_n(&upstream->servers[index]->weight_override, __ATOMIC_RELAXED);

    return said ? said - 1 : upstream->weights[index];
}

static uint64_t weight_of(const struct draw *draw, size_t index)
{
    uint64_t full = (uint64_t)weir__server_weight(draw->upstream, index) * WEIGHT_ONE, share;
    int64_t slow = draw->upstream->slow_start.ns, since, age;

    if (!slow || !full)
        return full;
    since = __atomic_load_n(&draw->upstream->servers[index]->up_since, __ATOMIC_RELAXED);
    age = draw->pick->now - since;
    if (!since || age >= slow)
        return full;
    share = age <= 0 ? 0 : full * (uint64_t)(age / 1000) / (uint64_t)(slow / 1000 + 1);
    return share < full / 100 + 1 ? full / 100 + 1 : share;
}

/* Whether new connections may go there at all. */
static bool is_open(const struct draw *draw, size_t index)
{
    struct server *server = draw->upstream->servers[index];

    return __atomic_load_n(&server->override, __ATOMIC_RELAXED) < SERVER_DRAINED &&
           !__atomic_load_n(&server->checked_down, __ATOMIC_RELAXED) &&
           !has(&draw->pick->tried, index);
}

/* Passive health has nothing against it, or its time of being passed over has ended. */
static bool is_ready(const struct draw *draw, size_t index)
{
    /* With one server there is nothing to pass over to. */
    return is_open(draw, index) && !has(&draw->lost, index) &&
           (draw->upstream->n_servers == 1 ||
            __atomic_load_n(&draw->upstream->servers[index]->down_until, __ATOMIC_RELAXED) <=
                draw->pick->now);
}

static uint64_t weight_if_ready(const struct draw *draw, size_t index)
{
    if (!is_ready(draw, index))
        return 0;
    return draw->weighted ? weight_of(draw, index) : WEIGHT_ONE;
}

static uint64_t used(const struct draw *draw, size_t index)
{
    return draw->upstream->servers[index]->pools[draw->loop].active;
}

/* Less in use for its weight. */
static bool is_freer(const struct draw *draw, size_t a, uint64_t weight_a, size_t b,
                     uint64_t weight_b)
{
    return (used(draw, a) + 1) * weight_b < (used(draw, b) + 1) * weight_a;
}

/* The ways; each gives an index below n_servers, or n_servers when nobody is ready. */

static size_t in_turn(const struct draw *draw)
{
    size_t n = draw->upstream->n_servers, first = draw->local->next < n ? draw->local->next : 0;

    for (size_t k = 0; k < n; k++) {
        size_t i = first + k < n ? first + k : first + k - n;

        if (!is_ready(draw, i))
            continue;
        draw->local->next = (unsigned)(i + 1);
        return i;
    }
    return n;
}

static size_t by_credit(const struct draw *draw)
{
    size_t n = draw->upstream->n_servers, best = n;
    int64_t *credit = draw->local->credit, sum = 0;

    for (size_t i = 0; i < n; i++) {
        int64_t weight = (int64_t)weight_if_ready(draw, i);

        if (!weight)
            continue;
        credit[i] += weight;
        sum += weight;
        if (best == n || credit[i] > credit[best])
            best = i;
    }
    if (best < n)
        credit[best] -= sum;
    return best;
}

static size_t round_robin(const struct draw *draw)
{
    return draw->weighted ? by_credit(draw) : in_turn(draw);
}

static size_t least_used(const struct draw *draw)
{
    size_t n = draw->upstream->n_servers, first = draw->local->next < n ? draw->local->next : 0;
    uint64_t weight, best_weight = 0;
    size_t best = n;

    for (size_t k = 0; k < n; k++) {
        size_t i = first + k < n ? first + k : first + k - n;

        weight = weight_if_ready(draw, i);
        if (!weight || (best < n && !is_freer(draw, i, weight, best, best_weight)))
            continue;
        best = i;
        best_weight = weight;
    }
    if (best < n)
        draw->local->next = (unsigned)(best + 1);
    return best;
}

/* One by chance, heavy ones more often; not `but`. */
static size_t by_chance(const struct draw *draw, size_t but)
{
    size_t n = draw->upstream->n_servers, last = n;
    uint64_t sum = 0, at;

    for (size_t i = 0; i < n; i++)
        sum += i == but ? 0 : weight_if_ready(draw, i);
    if (!sum)
        return n;
    at = next_random(draw->local) % sum;
    for (size_t i = 0; i < n; i++) {
        uint64_t weight = i == but ? 0 : weight_if_ready(draw, i);

        if (!weight)
            continue;
        last = i;
        if (at < weight)
            break;
        at -= weight;
    }
    return last;
}

static size_t two_choices(const struct draw *draw)
{
    size_t n = draw->upstream->n_servers, one = by_chance(draw, n), other;

    if (one == n)
        return n;
    other = by_chance(draw, one);
    if (other == n)
        return one;
    /* Weights had their say in the drawing. */
    return used(draw, other) < used(draw, one) ? other : one;
}

/* -log2(u / 2^64) in 1/2^24; `u` is not 0. */
static uint64_t minus_log2(uint64_t u)
{
    int zeros = __builtin_clzll(u);
    uint64_t m = u << zeros >> 32, fraction = 0;

    for (int i = 0; i < 24; i++) {
        m = m * m >> 31;
        fraction <<= 1;
        if (m >> 32) {
            m >>= 1;
            fraction |= 1;
        }
    }
    return (((uint64_t)zeros + 1) << 24) - fraction;
}

/* Each server draws a number u for the key; the largest u ^ (1 / weight) wins. */
static size_t best_draw(const struct draw *draw)
{
    size_t n = draw->upstream->n_servers, best = n;
    uint64_t best_u = 0, best_cost = 0, best_weight = 0;

    for (size_t i = 0; i < n; i++) {
        uint64_t weight = weight_if_ready(draw, i), u, cost = 0;

        if (!weight)
            continue;
        u = weir__hash_mix(draw->pick->key ^ draw->upstream->servers[i]->hash) | 1;
        if (draw->weighted) {
            cost = minus_log2(u);
            if (best < n && (cost * best_weight > best_cost * weight ||
                             (cost * best_weight == best_cost * weight && u <= best_u)))
                continue;
        } else if (best < n && u <= best_u) {
            continue;
        }
        best = i;
        best_u = u;
        best_cost = cost;
        best_weight = weight;
    }
    return best;
}

static size_t choose(const struct draw *draw)
{
    switch (draw->upstream->balance) {
    case BALANCE_LEAST_CONN:
        return least_used(draw);
    case BALANCE_RANDOM:
        return two_choices(draw);
    case BALANCE_HASH:
    case BALANCE_IP_HASH:
        /* Who has no key is nobody's in particular. */
        return draw->pick->has_key ? best_draw(draw) : round_robin(draw);
    default:
        return round_robin(draw);
    }
}

/* Everything is failing: the server whose failure is oldest has had most time to recover. */
static bool pick_least_recently_failed(const struct draw *draw, size_t *ret_index)
{
    int64_t oldest = INT64_MAX;
    bool found = false;

    for (size_t i = 0; i < draw->upstream->n_servers; i++) {
        int64_t down = __atomic_load_n(&draw->upstream->servers[i]->down_until, __ATOMIC_RELAXED);

        if (!is_open(draw, i) || (found && down >= oldest) ||
            !weir__server_weight(draw->upstream, i))
            continue;
        oldest = down;
        *ret_index = i;
        found = true;
    }
    return found;
}

void weir__upstream_keep(weir_upstream *upstream, unsigned loop, const struct pick *pick,
                         size_t index)
{
    upstream->loops[loop].kept = (unsigned)index + 1;
    upstream->loops[loop].kept_key = pick->key;
}

/* What was chosen and not used: its turn, and perhaps the right to try it, are spent already. */
static bool take_kept(const struct draw *draw, size_t *ret_index)
{
    unsigned kept = draw->local->kept;

    draw->local->kept = 0;
    if (!kept || draw->local->kept_key != draw->pick->key || !is_open(draw, kept - 1))
        return false;
    *ret_index = kept - 1;
    return true;
}

bool weir__upstream_pick(weir_upstream *upstream, unsigned loop, const struct pick *pick,
                         size_t *ret_index)
{
    struct draw draw = {
        .upstream = upstream, .local = &upstream->loops[loop], .loop = loop, .pick = pick};

    draw.weighted = upstream->uneven || upstream->slow_start.ns ||
                    __atomic_load_n(&weight_overrides, __ATOMIC_RELAXED);
    if (take_kept(&draw, ret_index))
        return true;
    for (;;) {
        size_t i = choose(&draw);

        if (i == upstream->n_servers)
            return pick_least_recently_failed(&draw, ret_index);
        if (upstream->n_servers == 1 || weir__server_usable(upstream->servers[i], pick->now)) {
            *ret_index = i;
            return true;
        }
        draw.lost.bits[i / 64] |= (uint64_t)1 << (i % 64);
    }
}
