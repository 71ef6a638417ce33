/* A watermark's key is refused, or its options are possible ones. */
#include "fedmoe/edge/watermark.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    fm_watermark *w = NULL;
    fm_watermark_options o;

    if (fm_watermark_parse("key", data, len, &w) != FM_OK) {
        FUZZ_REQUIRE(w == NULL);
        return 0;
    }
    o = fm_watermark_get_options(w);
    FUZZ_REQUIRE(o.window >= 1 && o.window <= FM_WATERMARK_WINDOW_MAX);
    FUZZ_REQUIRE(o.kind == FM_WATERMARK_RED_GREEN ||
                 (o.layers >= 1 && o.layers <= FM_WATERMARK_LAYERS_MAX));
    FUZZ_REQUIRE(o.kind == FM_WATERMARK_TOURNAMENT ||
                 (o.gamma > 0.0 && o.gamma < 1.0 && o.delta >= 0.0));
    fm_watermark_free(&w);
    return 0;
}
