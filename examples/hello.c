/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks: two children of a group, a timeout, and an error that shows the way it came. */
#include <stdio.h>

#include <weir/weir.h>

struct greeting {
    const char *name;
    weir_duration pause;
};

static weir_error *greet(void *arg)
{
    const struct greeting *greeting = arg;

    WEIR_TRY(weir_sleep(greeting->pause));
    printf("hello, %s\n", greeting->name);
    return NULL;
}

static weir_error *run(void *arg)
{
    struct greeting world = {"world", WEIR_MS(20)}, weir = {"weir", WEIR_MS(10)};

    (void)arg;
    {
        WEIR_GROUP(group);
        WEIR_TRY(weir_group_spawn(&group, greet, &world, NULL));
        WEIR_TRY(weir_group_spawn(&group, greet, &weir, NULL));
        WEIR_TRY(weir_group_join(&group));
    }
    {
        WEIR_TIMEOUT(limit, WEIR_MS(10));
        weir_error *error = weir_sleep(WEIR_S(3600));

        if (weir_timeout_expired(&limit))
            printf("an hour is too long\n");
        weir_ignore(error);
    }
    return NULL;
}

int main(void)
{
    weir_error *error = weir_run(run, NULL, NULL);
    char text[1024];

    if (!error)
        return 0;
    weir_error_print(error, text, sizeof text);
    weir_error_unref(error);
    fprintf(stderr, "%s\n", text);
    return 1;
}
