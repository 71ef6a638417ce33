#include "cmd_tokens.h"

#include <stdio.h>
#include <string.h>

#include "fedmoe/base/text.h"

fm_status fm_cmd_tokens_parse(const char *text, size_t vocabulary, fm_token_list *out)
{
    size_t most = 1;
    void *fresh;
    fm_status st;

    for (const char *p = text; *p; p++)
        most += *p == ',';
    if (most > UINT32_MAX)
        return fm_fail(FM_EINVAL, "--tokens: too many");
    if ((st = fm_alloc(most, sizeof *out->ids, &fresh)))
        return st;
    *out = (fm_token_list){ .ids = fresh, .cap = most };
    for (const char *p = text;; p++) {
        const size_t n = strcspn(p, ",");
        char one[24];
        uint64_t value = 0;

        (void)snprintf(one, sizeof one, "%.*s", n < sizeof one ? (int)n : 0, p);
        if (!fm_text_u64(one, &value) || value >= vocabulary)
            return fm_fail(FM_EINVAL,
                           "--tokens: item %zu is not a token; numbers from 0 to %zu are, with "
                           "commas between them",
                           out->count + 1, vocabulary - 1);
        out->ids[out->count++] = (uint32_t)value;
        p += n;
        if (!*p)
            return FM_OK;
    }
}
