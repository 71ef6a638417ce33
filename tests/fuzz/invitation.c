/* A join code is refused, or is the one plain text of what it says. */
#include <string.h>

#include "fedmoe/proto/invitation.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char text[2 * FM_INVITATION_TEXT_MAX], plain[FM_INVITATION_TEXT_MAX + 1];
    fm_invitation i, again;

    if (len >= sizeof text)
        return 0;
    memcpy(text, data, len);
    text[len] = '\0';
    memset(&i, 0, sizeof i);
    memset(&again, 0, sizeof again);
    if (fm_invitation_decode(text, &i) != FM_OK)
        return 0;
    FUZZ_REQUIRE(fm_invitation_encode(&i, plain) == FM_OK);
    FUZZ_REQUIRE(fm_invitation_decode(plain, &again) == FM_OK);
    FUZZ_REQUIRE(memcmp(&i, &again, sizeof i) == 0);
    return 0;
}
