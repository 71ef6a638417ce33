/* model.safetensors.index.json: whatever it names lies in the folder. */
#include <string.h>

#include "decoder_folder_internal.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    fm_buf text = { 0 };
    char **names = NULL;
    json_t *map = NULL;
    size_t shards = 0;

    FUZZ_REQUIRE(len == 0 || fm_buf_append(&text, data, len) == FM_OK);
    if (fm_folder_index_names("fuzz", &text, &map, &names, &shards) == FM_OK) {
        FUZZ_REQUIRE(shards >= 1 && shards <= FM_FOLDER_MAX_SHARDS && json_object_size(map) > 0);
        for (size_t i = 0; i < shards; i++) {
            FUZZ_REQUIRE(!strchr(names[i], '/') && names[i][0] != '.' && names[i][0]);
            FUZZ_REQUIRE(i == 0 || strcmp(names[i - 1], names[i]) < 0);
        }
        for (size_t i = 0; i < shards; i++)
            free(names[i]);
        free(names);
        json_decref(map);
    } else {
        FUZZ_REQUIRE(!names && !map && shards == 0);
    }
    fm_buf_fini(&text);
    return 0;
}
