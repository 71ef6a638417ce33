/* test-vectors [SUITE]: the tests. test-vectors --write FOLDER: the files that they compare with. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/random.h"
#include "suites.h"
#include "vec.h"

static int write_all(const char *folder)
{
    vec_need(fm_random_init() == FM_OK, "random bytes");
    for (size_t i = 0; i < vec_topic_count; i++) {
        char path[512];
        json_t *topic = vec_topics[i].make();
        char *text = vec_text(topic);
        FILE *f;

        (void)snprintf(path, sizeof path, "%s/%s", folder, vec_topics[i].file);
        f = fopen(path, "w");
        if (!f || fprintf(f, "%s\n", text) < 0 || fclose(f) != 0) {
            perror(path);
            return 1;
        }
        free(text);
        json_decref(topic);
    }
    return 0;
}

int main(int argc, char **argv)
{
    const fm_test_suite all[] = { suite_vectors };

    if (argc == 3 && strcmp(argv[1], "--write") == 0)
        return write_all(argv[2]);
    return fm_test_main(all, 1, argc, argv);
}
