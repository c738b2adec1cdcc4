/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A matcher: routes by the day of the week (UTC), for any protocol.
 *
 *     routes: [ { match: { weekday: sunday }, respond: { body: "closed\n" } }, … ]
 */
#include <time.h>

#include <weir/config.h>
#include <weir/plugin.h>

static const char *const days[] = {"sunday",   "monday", "tuesday", "wednesday",
                                   "thursday", "friday", "saturday"};

static bool compile(weir_config_context *context, weir_slice parameter, weir_slice text,
                    weir_match_key *ret_key, void **ret_compiled)
{
    (void)parameter;
    (void)ret_compiled;
    for (size_t i = 0; i < 7; i++)
        if (weir_slice_equal_nocase(text, weir_slice_str(days[i]))) {
            *ret_key = (weir_match_key){WEIR_MATCH_EXACT, weir_slice_str(days[i])};
            return true;
        }
    weir_config_error(context, NULL, "`%.*s` is no day", (int)text.len, (const char *)text.data);
    weir_config_help(context, "write `sunday`, `monday`, …");
    return false;
}

static bool extract(const weir_subject *subject, weir_slice parameter, weir_slice *ret_value)
{
    time_t now = time(NULL);
    struct tm utc;

    (void)subject;
    (void)parameter;
    if (!gmtime_r(&now, &utc))
        return false;
    *ret_value = weir_slice_str(days[utc.tm_wday]);
    return true;
}

static const weir_matcher weekday = {
    WEIR_SIZED(weir_matcher),  .name = "weekday",
    .modes = WEIR_MATCH_EXACT, .doc = "Day of the week (UTC): sunday",
    .compile = compile,        .extract = extract,
};

WEIR_PLUGIN(.name = "weekday", .version = "0.1.0", .summary = "Routes by the day of the week",
            .matchers = WEIR_LIST(&weekday));
