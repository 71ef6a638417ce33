/* A message is refused, or is the one encoding of what it says. */
#include <string.h>

#include "fedmoe/proto/message.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    fm_message *m = NULL;
    fm_buf again;

    if (fm_message_decode(data, len, &m) != FM_OK) {
        FUZZ_REQUIRE(m == NULL);
        return 0;
    }
    fm_buf_init(&again, FM_MAX_MESSAGE_BYTES);
    FUZZ_REQUIRE(fm_message_encode(m, &again) == FM_OK);
    FUZZ_REQUIRE(again.len == len && memcmp(again.data, data, len) == 0);
    fm_buf_fini(&again);
    fm_message_free(&m);
    return 0;
}
