/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target without libFuzzer: over each file of its corpus, and over each of them cut
 * short and with single bytes changed. A path as argument replaces the target's folder.
 */
#include "config.h"

#include <dirent.h>

#include "tests/fuzz/fuzz.h"

#define INPUT_MAX 65536

static void run(const uint8_t *data, size_t size)
{
    static const uint8_t odd[] = {0, '\r', '\n', ' ', ':', ';', '0', 0xff};
    uint8_t *changed = (uint8_t *)block_of(data, size);

    LLVMFuzzerTestOneInput(data, size);
    for (size_t i = 0; i < size && i < 400; i++) {
        LLVMFuzzerTestOneInput(data, i);
        for (size_t k = 0; k < sizeof(odd); k++) {
            changed[i] = odd[k];
            LLVMFuzzerTestOneInput(changed, size);
        }
        changed[i] = data[i];
    }
    free(changed);
}

static int run_file(const char *folder, const char *name)
{
    static uint8_t input[INPUT_MAX];
    char path[4400];
    FILE *file;
    size_t size;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    file = fopen(path, "rb");
    if (!file)
        return 0;
    size = fread(input, 1, sizeof(input), file);
    fclose(file);
    run(input, size);
    return 1;
}

int main(int argc, char **argv)
{
    char corpus[4000];
    const char *folder = argc > 1 ? argv[1] : corpus;
    struct dirent *entry;
    int count = 0;
    DIR *files;

    snprintf(corpus, sizeof(corpus), "%s/%s", TOP_SOURCE, fuzz_corpus);
    files = opendir(folder);
    if (!files) {
        printf("1..1\nnot ok 1 - %s can be read\n", folder);
        return 1;
    }
    while ((entry = readdir(files))) {
        if (entry->d_name[0] != '.')
            count += run_file(folder, entry->d_name);
    }
    closedir(files);
    printf("1..1\n%sok 1 - %d inputs of %s and their neighbours\n", count ? "" : "not ", count,
           strrchr(folder, '/') ? strrchr(folder, '/') + 1 : folder);
    return count == 0;
}
