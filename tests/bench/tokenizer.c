/*
 * Speed of tokenizers on one core: text to ids and back, beside the bare split by the scanner and by
 * the expression library. Two vocabularies of the shared data; GPT-2's also with the splits of
 * DeepSeek-V2 and V3 (whose own vocabularies are larger). English-like text made here, and Shakespeare
 * where the shared data has him. Seconds are those of this thread's processor, the least of several
 * runs. `--megabytes N`, `--tries N`; fails when a text does not come back.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fedmoe/base/cli.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/log.h"
#include "fedmoe/base/random.h"
#include "fm_test.h"
#include "tokenizer_internal.h"

#define SKIPPED 77
#define WORDS 30000

#define SPLIT(regex)                                                                \
    "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"" regex "\"}, \"behavior\": " \
    "\"Isolated\", \"invert\": false}, "
#define STAGES(stages)                                                                  \
    "{\"type\": \"Sequence\", \"pretokenizers\": [" stages "{\"type\": \"ByteLevel\", " \
    "\"add_prefix_space\": false, \"use_regex\": false}]}"
/* The published lists of letters are longer; the first ones decide for English. */
#define DEEPSEEK_V2                                                                             \
    STAGES(SPLIT("[\\r\\n]") SPLIT("\\\\s?[A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba" \
                                   "\u0370-\u0373\u0400-\u0481\u0531-\u0556]+")                 \
               SPLIT("\\\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+")     \
                   SPLIT("\\\\s+$") SPLIT(                                                      \
                       "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+") "{\"type\": \"Digits\", "  \
                                                                     "\"individual_digits\": "  \
                                                                     "true}, ")
#define DEEPSEEK_V3                                                                       \
    STAGES(SPLIT("\\\\p{N}{1,3}") SPLIT("[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+")     \
               SPLIT("[!\\\"#$%&'()*+,\\\\-./:;<=>?@\\\\[\\\\\\\\\\\\]^_`{|}~][A-Za-z]+|" \
                     "[^\\r\\n\\\\p{L}\\\\p{P}\\\\p{S}]?[\\\\p{L}\\\\p{M}]+|"             \
                     " ?[\\\\p{P}\\\\p{S}]+[\\r\\n]*|\\\\s*[\\r\\n]+|\\\\s+(?!\\\\S)|\\\\s+"))

static const struct {
    const char *name, *file, *splits;
} kinds[] = {
    { "GPT-2", "gpt2.tokenizer.json", NULL },
    { "OLMo (NFC)", "allenai_gpt-neox-olmo-dolma-v1_5.json", NULL },
    { "DeepSeek-V2's splits", "gpt2.tokenizer.json", DEEPSEEK_V2 },
    { "DeepSeek-V3's splits", "gpt2.tokenizer.json", DEEPSEEK_V3 },
};

static double seconds(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void need(fm_status st)
{
    if (!st)
        return;
    fprintf(stderr, "bench-tokenizer: %s\n", fm_error_text());
    exit(1);
}

/* Words of 1 to 12 letters of English frequency, drawn by Zipf's law; sentences, numbers, quotes. */
static void make_text(fm_buf *out, size_t bytes)
{
    static const char letters[] =
        "eeeeeeeeeeeetttttttttaaaaaaaaooooooooiiiiiiinnnnnnnsssssshhhhhhrrrrrr"
        "ddddllllcccuuummmwwffggyyppbbvk";
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 8);
    char(*words)[13] = calloc(WORDS, sizeof *words);
    size_t in_sentence = 0;

    if (!words)
        exit(1);
    for (size_t i = 0; i < WORDS; i++)
        for (size_t n = 1 + fm_rng_below(&rng, i < 100 ? 4 : 12), k = 0; k < n; k++)
            words[i][k] = letters[fm_rng_below(&rng, sizeof letters - 1)];
    while (out->len < bytes) {
        /* Rank r with weight 1 / r. */
        const size_t rank = (size_t)exp(fm_rng_unit(&rng) * log(WORDS));

        if (fm_rng_below(&rng, 40) == 0)
            need(fm_buf_printf(out, "%u", (unsigned)fm_rng_below(&rng, 2000)));
        else
            need(fm_buf_append(out, words[rank % WORDS], strlen(words[rank % WORDS])));
        in_sentence++;
        if (in_sentence > 8 && fm_rng_below(&rng, 8) == 0) {
            need(fm_buf_printf(out, "%s", fm_rng_below(&rng, 6) ? ". " : ".\n\n"));
            in_sentence = 0;
        } else {
            need(fm_buf_printf(out, "%s", fm_rng_below(&rng, 12) ? " " : ", "));
        }
    }
    free(words);
}

static fm_tokenizer *load(size_t kind, double *took)
{
    char rel[128], path[512], *text;
    json_t *root;
    fm_tokenizer *t = NULL;

    (void)snprintf(rel, sizeof rel, "data/tokenizers/%s", kinds[kind].file);
    if (!fm_test_shared(rel, path, sizeof path)) {
        printf("skipped: no ../shared/data/tokenizers\n");
        exit(SKIPPED);
    }
    if (!(root = json_load_file(path, 0, NULL)))
        exit(1);
    if (kinds[kind].splits)
        json_object_set_new(root, "pre_tokenizer", json_loads(kinds[kind].splits, 0, NULL));
    text = json_dumps(root, JSON_COMPACT);
    *took = seconds();
    need(fm_tokenizer_parse(kinds[kind].name, text, strlen(text), &t));
    *took = seconds() - *took;
    free(text);
    json_decref(root);
    return t;
}

/* The bare split, and what the expression library takes for the same matches. */
static void measure_split(const fm_buf *text, uint64_t tries)
{
    const fm_tk_classes *c;
    const uint8_t *p = text->data;
    pcre2_match_data *m = pcre2_match_data_create(1, NULL);
    pcre2_code *re = NULL;
    fm_tk_runs runs = { 0 };
    double scan = 1e9, library = 1e9, copy = 1e9;
    uint8_t *to = malloc(text->len);
    size_t pieces = 0, same = 0;

    need(fm_tk_classes_get(&c));
    need(fm_tk_pattern_compile("GPT-2", FM_TK_GPT2, strlen(FM_TK_GPT2), false, &re, &runs));
    for (uint64_t i = 0; i < tries && to; i++) {
        double begin = seconds();

        memcpy(to, p, text->len);
        copy = seconds() - begin < copy ? seconds() - begin : copy;
        begin = seconds();
        pieces = same = 0;
        for (size_t at = 0; at < text->len; pieces++)
            at += fm_tk_scan(c, p + at, text->len - at);
        scan = seconds() - begin < scan ? seconds() - begin : scan;
        begin = seconds();
        for (size_t at = 0;
             at < text->len && pcre2_match(re, p, text->len, at, PCRE2_NO_UTF_CHECK, m, NULL) > 0;
             same++)
            at = pcre2_get_ovector_pointer(m)[1];
        library = seconds() - begin < library ? seconds() - begin : library;
    }
    if (!to || pieces != same) {
        fprintf(stderr, "bench-tokenizer: the scanner has %zu pieces, the library %zu\n", pieces,
                same);
        exit(1);
    }
    printf(
        "  split alone: scanner %.0f MB/s, library %.0f MB/s (%.1f bytes a piece); a copy of the "
        "text %.0f MB/s\n",
        (double)text->len / scan / 1e6, (double)text->len / library / 1e6,
        (double)text->len / (double)pieces, (double)text->len / copy / 1e6);
    free(to);
    pcre2_match_data_free(m);
    pcre2_code_free(re);
}

static void measure(size_t kind, const fm_buf *text, uint64_t tries)
{
    double loaded, encode = 1e9, decode = 1e9;
    fm_tokenizer *t = load(kind, &loaded);
    fm_tokenizer_worker *w = NULL;
    fm_token_list l = { 0 };
    fm_buf back = { .limit = text->len };

    need(fm_tokenizer_worker_new(t, &w));
    for (uint64_t i = 0; i < tries; i++) {
        double begin = seconds();

        l.count = 0;
        need(fm_tokenizer_encode(w, text->data, text->len, 0, &l, NULL));
        encode = seconds() - begin < encode ? seconds() - begin : encode;
        back.len = 0;
        begin = seconds();
        need(fm_tokenizer_decode(t, l.ids, l.count, false, &back));
        decode = seconds() - begin < decode ? seconds() - begin : decode;
    }
    if (back.len != text->len || memcmp(back.data, text->data, text->len) != 0) {
        fprintf(stderr, "bench-tokenizer: %s: the text does not come back\n", kinds[kind].name);
        exit(1);
    }
    printf("  %-22s %6.1f MB/s, back %6.1f MB/s, %.2f bytes an id, loaded in %.3f s\n",
           kinds[kind].name, (double)text->len / encode / 1e6, (double)text->len / decode / 1e6,
           (double)text->len / (double)l.count, loaded);
    fm_buf_fini(&back);
    fm_token_list_fini(&l);
    fm_tokenizer_worker_free(&w);
    fm_tokenizer_free(&t);
}

static void measure_all(const char *name, const fm_buf *text, uint64_t tries)
{
    printf("%s, %.1f MB\n", name, (double)text->len / 1e6);
    for (size_t kind = 0; kind < FM_TEST_COUNT(kinds); kind++)
        measure(kind, text, tries);
    measure_split(text, tries);
}

int main(int argc, char **argv)
{
    uint64_t megabytes = 16, tries = 7;
    const fm_cli_option options[] = {
        { "megabytes", FM_CLI_U64, &megabytes, "N", "of made text", false, 1, 128 },
        { "tries", FM_CLI_U64, &tries, "N", "of which the best counts", false, 1, 100 },
    };
    const fm_cli_spec spec = { .program = "bench-tokenizer run",
                               .summary = "Measure tokenizers on one core.",
                               .examples = "./dev bench tokenizer --megabytes 64",
                               .options = options,
                               .option_count = FM_TEST_COUNT(options) };
    char path[512];
    fm_buf text = { .limit = (size_t)256 << 20 };
    int first, code;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    need(fm_random_init());
    fm_log_set_level(FM_LOG_ERROR);
    make_text(&text, (size_t)megabytes << 20);
    measure_all("made text", &text, tries);
    fm_buf_fini(&text);
    if (fm_test_shared("data/text/tinyshakespeare/input.txt", path, sizeof path)) {
        need(fm_file_read(path, (size_t)256 << 20, &text));
        measure_all("Shakespeare", &text, tries);
        fm_buf_fini(&text);
    }
    return 0;
}
