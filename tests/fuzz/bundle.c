/* A bundle, an entry or a seal is refused, or within its limits and the one encoding of itself. */
#include <stdlib.h>
#include <string.h>

#include "fedmoe/proto/bundle.h"
#include "fuzz.h"

static void read_entry(const uint8_t *data, size_t len)
{
    fm_entry *e = NULL;
    fm_transcript_entry t;
    fm_buf again;

    if (fm_entry_decode(data, len, &e) != FM_OK)
        return;
    fm_buf_init(&again, FM_MAX_ENTRY_BYTES);
    FUZZ_REQUIRE(fm_entry_encode_body(e, &again) == FM_OK);
    FUZZ_REQUIRE(again.len == fm_entry_body_len(e, len));
    FUZZ_REQUIRE(fm_entry_encode_signature(e->signature, &again) == FM_OK);
    FUZZ_REQUIRE(again.len == len && memcmp(again.data, data, len) == 0);
    t = fm_entry_transcript("heart", e);
    FUZZ_REQUIRE(t.round == e->round);
    fm_buf_fini(&again);
    free(e);
}

static void read_seal(const uint8_t *data, size_t len)
{
    fm_bundle_seal s;
    fm_buf again = { .len = 0 };

    if (fm_bundle_seal_decode(data, len, &s) != FM_OK)
        return;
    FUZZ_REQUIRE(fm_bundle_seal_encode(&s, &again) == FM_OK);
    FUZZ_REQUIRE(again.len == len && memcmp(again.data, data, len) == 0);
    fm_buf_fini(&again);
}

static void read_file(const uint8_t *data, size_t len)
{
    FILE *f = len ? fmemopen((void *)(uintptr_t)data, len, "rb") : NULL;
    fm_bundle_section s = { .number = 0 };
    fm_bundle_reader *r = NULL;

    if (!f || fm_bundle_open_stream(f, "input", &r) != FM_OK)
        return;
    while (fm_bundle_next(r, &s) == FM_OK && s.kind != FM_BUNDLE_END) {
        FUZZ_REQUIRE(s.payload.len <= fm_bundle_limit(s.kind));
        if (s.kind == FM_BUNDLE_ENTRY)
            read_entry(s.payload.data, s.payload.len);
        else if (s.kind == FM_BUNDLE_SEAL)
            read_seal(s.payload.data, s.payload.len);
    }
    fm_bundle_close(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    read_file(data, len);
    read_entry(data, len);
    read_seal(data, len);
    return 0;
}
