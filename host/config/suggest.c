/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "Did you mean": the nearest of the words that would be right.
 *
 * Distance counts inserted, deleted, changed and swapped neighbouring letters (Damerau-Levenshtein,
 * restricted); at most 2, at most 1 for words of up to 4 letters. Before that, words that people
 * bring from other servers are translated.
 */
#include <config.h>
#include <string.h>

#include "host/config/internal.h"

#define LONGEST 64

static const char *const aliases[][2] = {
    {"proxy_pass", "proxy"},
    {"reverse_proxy", "proxy"},
    {"server", "servers"},
    {"upstream", "upstreams"},
    {"backend", "upstreams"},
    {"backends", "upstreams"},
    {"location", "routes"},
    {"locations", "routes"},
    {"route", "routes"},
    {"listen", "bind"},
    {"port", "bind"},
    {"address", "bind"},
    {"frontend", "listeners"},
    {"listener", "listeners"},
    {"healthcheck", "health_check"},
    {"check", "health_check"},
    {"lb_policy", "balance"},
    {"leastconn", "least_conn"},
    {"roundrobin", "round_robin"},
    {"filters", "use"},
    {"middleware", "use"},
    {"middlewares", "use"},
    {"certificate", "certificates"},
    {"cert", "certificate"},
    {"private_key", "key"},
    {"return", "respond"},
    {"rewrite", "redirect"},
    {"root", "static"},
    {"logging", "log"},
    {"includes", "include"},
    {"plugin", "plugins"},
    {"verbosity", "level"},
    {"warn", "warning"},
    {"err", "error"},
    {"crit", "critical"},
    {"none", "off"},
};

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned m = a < b ? a : b;

    return m < c ? m : c;
}

unsigned weir__edit_distance(const char *a, const char *b, unsigned limit)
{
    unsigned rows[3][LONGEST + 1];
    size_t la = strlen(a), lb = strlen(b);
    unsigned *before = rows[0], *above = rows[1], *row = rows[2];

    if (la > LONGEST || lb > LONGEST || (la > lb ? la - lb : lb - la) > limit)
        return limit + 1;
    for (size_t j = 0; j <= lb; j++)
        above[j] = (unsigned)j;
    for (size_t i = 1; i <= la; i++) {
        unsigned *spare = before;

        row[0] = (unsigned)i;
        for (size_t j = 1; j <= lb; j++) {
            unsigned cost = a[i - 1] != b[j - 1];

            row[j] = min3(above[j] + 1, row[j - 1] + 1, above[j - 1] + cost);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < row[j])
                row[j] = before[j - 2] + 1;
        }
        before = above;
        above = row;
        row = spare;
    }
    return above[lb];
}

void weir__suggest_begin(struct suggestion *s, const char *word)
{
    s->word = word;
    s->best = NULL;
    s->distance = strlen(word) <= 4 ? 2 : 3; /* one more than allowed */
}

void weir__suggest_offer(struct suggestion *s, const char *candidate)
{
    unsigned distance;

    for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++) {
        if (strcmp(aliases[i][0], s->word) == 0 && strcmp(aliases[i][1], candidate) == 0) {
            s->best = candidate;
            s->distance = 0;
            return;
        }
    }
    distance = weir__edit_distance(s->word, candidate, 2);
    if (distance < s->distance && distance < strlen(candidate)) {
        s->best = candidate;
        s->distance = distance;
    }
}

bool weir__config_is_near(const char *word, const char *meant)
{
    struct suggestion near;

    weir__suggest_begin(&near, word);
    weir__suggest_offer(&near, meant);
    return near.best != NULL;
}
