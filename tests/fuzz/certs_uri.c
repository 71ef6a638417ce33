/* Text as the URI of a key in a token: refused, or within its fields. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/certs/token_uri.h"
#include "fuzz.h"

static bool is_text(const char *s, size_t cap)
{
    const size_t len = strnlen(s, cap);

    for (size_t i = 0; i < len; i++)
        if ((unsigned char)s[i] < ' ')
            return false;
    return len < cap;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *text = malloc(len + 1);
    fm_token_uri u;

    FUZZ_REQUIRE(text);
    if (len > 0)
        memcpy(text, data, len);
    text[len] = '\0';
    if (fm_token_uri_parse(text, &u) == FM_OK) {
        FUZZ_REQUIRE(u.token[0] || u.serial[0]);
        FUZZ_REQUIRE(u.object[0] || u.id_len > 0);
        FUZZ_REQUIRE(u.id_len <= sizeof u.id && u.module[0] == '/');
        FUZZ_REQUIRE(is_text(u.token, sizeof u.token) && is_text(u.serial, sizeof u.serial) &&
                     is_text(u.object, sizeof u.object) && is_text(u.module, sizeof u.module) &&
                     is_text(u.pin_file, sizeof u.pin_file));
    }
    free(text);
    return 0;
}
