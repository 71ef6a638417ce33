/* Adapters in a federation: what the plan says of them, and whether a folder is what it means. */
#include "fedmoe/model/adapter_terms.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decoder_folder_internal.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/random.h"
#include "fedmoe/base/yaml.h"
#include "fedmoe/model/corpus.h"
#include "fedmoe/model/tabular.h"

#define FIRST_LINE "kind: " FM_META_KIND_ADAPTER "\n"
#define TENSOR "adapter.b"
#define NO_LINE "may have no quotes, backslashes, line ends or control characters"
#define OWN_META 3
#define MAX_RANK 1024
#define MAX_SEED ((uint64_t)1 << 53)

/* ---- modules ---- */

static const struct {
    const char *name;
    unsigned maps;
} modules[] = {
    { "attention", FM_ADAPT_QUERY | FM_ADAPT_KEY | FM_ADAPT_VALUE | FM_ADAPT_QUERY_A |
                       FM_ADAPT_LATENT | FM_ADAPT_LATENT_B | FM_ADAPT_OUTPUT },
    { "shared", FM_ADAPT_SHARED },
    { "dense", FM_ADAPT_DENSE },
    { "experts", FM_ADAPT_EXPERTS },
};

static unsigned module_maps(const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof modules / sizeof modules[0]; i++)
        if (strlen(modules[i].name) == len && strncmp(modules[i].name, name, len) == 0)
            return modules[i].maps;
    return 0;
}

fm_status fm_adapter_modules(const char *text, unsigned *maps)
{
    unsigned all = 0;

    for (const char *at = text;; at++) {
        const size_t len = strcspn(at, ",");
        const unsigned one = module_maps(at, len);

        if (!one)
            return fm_fail(FM_EINVAL,
                           "modules: '%.*s' is none; there are attention, shared, dense and "
                           "experts",
                           (int)(len < 40 ? len : 40), at);
        all |= one;
        at += len;
        if (!*at)
            break;
    }
    *maps = all;
    return FM_OK;
}

/* ---- the text ---- */

bool fm_adapter_terms_is(const char *text)
{
    return text && strncmp(text, FIRST_LINE, sizeof FIRST_LINE - 1) == 0;
}

static fm_status get_text(const fm_yaml_node *map, const char *key, char *out, size_t cap)
{
    const char *s = NULL;
    fm_status st = fm_yaml_get_string(map, key, &s);

    if (st != FM_OK)
        return st;
    if (strlen(s) >= cap)
        return fm_yaml_fail(fm_yaml_find(map, key), "%s is longer than %zu bytes", key, cap - 1);
    memcpy(out, s, strlen(s) + 1);
    return FM_OK;
}

static fm_status get_hash(const fm_yaml_node *map, const char *key, char out[2 * FM_HASH_BYTES + 1])
{
    fm_status st = get_text(map, key, out, 2 * FM_HASH_BYTES + 1);

    if (st != FM_OK ||
        (strlen(out) == 2 * FM_HASH_BYTES && strspn(out, "0123456789abcdef") == 2 * FM_HASH_BYTES))
        return st;
    return fm_yaml_fail(fm_yaml_find(map, key), "%s must be %d digits of 0-9 and a-f", key,
                        2 * FM_HASH_BYTES);
}

/* Whether it comes back as it is from between double quotes of a YAML file. */
static bool fits_a_line(const char *text)
{
    static const char *const not_printed[] = { "\xe2\x80\xa8", "\xe2\x80\xa9", "\xef\xbb\xbf",
                                               "\xef\xbf\xbe", "\xef\xbf\xbf" };

    for (const unsigned char *p = (const unsigned char *)text; *p; p++)
        if (*p < 0x20 || *p == 0x7f || *p == '"' || *p == '\\' || (*p == 0xc2 && p[1] < 0xa0))
            return false;
    for (size_t i = 0; i < sizeof not_printed / sizeof not_printed[0]; i++)
        if (strstr(text, not_printed[i]))
            return false;
    return true;
}

static fm_status read_root(const fm_yaml_node *root, fm_adapter_terms *t)
{
    static const char *const keys[] = { "kind", "base",    "tokenizer", "modules", "rank", "alpha",
                                        "seed", "context", "end_token", "square",  NULL };
    uint64_t rank, context;
    fm_status st;

    if ((st = fm_yaml_check_keys(root, keys)) != FM_OK ||
        (st = get_hash(root, "base", t->base)) != FM_OK ||
        (st = get_hash(root, "tokenizer", t->tokenizer)) != FM_OK ||
        (st = get_text(root, "modules", t->modules, sizeof t->modules)) != FM_OK ||
        (st = fm_adapter_modules(t->modules, &t->maps)) != FM_OK ||
        (st = fm_yaml_get_u64(root, "rank", 1, MAX_RANK, &rank)) != FM_OK ||
        (st = fm_yaml_get_double(root, "alpha", 1e-6, 1e6, &t->alpha)) != FM_OK ||
        (st = fm_yaml_get_u64(root, "seed", 0, MAX_SEED, &t->seed)) != FM_OK ||
        (st = fm_yaml_get_u64(root, "context", 2, FM_CORPUS_MAX_CONTEXT, &context)) != FM_OK)
        return st;
    t->rank = (size_t)rank;
    t->context = (size_t)context;
    if ((st = fm_yaml_get_bool_or(root, "square", false, &t->square)) != FM_OK)
        return st;
    if (!fm_yaml_find(root, "end_token"))
        return FM_OK;
    st = get_text(root, "end_token", t->end_token, sizeof t->end_token);
    if (st == FM_OK && !fits_a_line(t->end_token))
        st = fm_yaml_fail(fm_yaml_find(root, "end_token"), "end_token " NO_LINE);
    return st;
}

fm_status fm_adapter_terms_parse(const char *name, const char *text, fm_adapter_terms *out)
{
    fm_adapter_terms t = { .rank = 0 };
    fm_yaml *doc = NULL;
    fm_status st;

    if (!name || !text || !out)
        return fm_fail(FM_EINVAL, "fm_adapter_terms_parse: an argument is missing");
    if (!fm_adapter_terms_is(text))
        return fm_fail(FM_EPARSE, "%s: does not begin with '" FIRST_LINE "'", name);
    if ((st = fm_yaml_parse(name, text, strlen(text), &doc)) == FM_OK &&
        (st = read_root(fm_yaml_root(doc), &t)) == FM_OK)
        *out = t;
    fm_yaml_free(&doc);
    return st;
}

fm_status fm_adapter_terms_write(const fm_adapter_terms *t, fm_buf *out)
{
    fm_status st;

    if (!fits_a_line(t->end_token))
        return fm_fail(FM_EINVAL, "the end token " NO_LINE);
    st = fm_buf_printf(out,
                       FIRST_LINE "base: %s\ntokenizer: %s\nmodules: \"%s\"\nrank: %zu\n"
                                  "alpha: %.17g\nseed: %llu\ncontext: %zu\n",
                       t->base, t->tokenizer, t->modules, t->rank, t->alpha,
                       (unsigned long long)t->seed, t->context);
    if (st == FM_OK && t->square)
        st = fm_buf_printf(out, "square: true\n");
    if (st == FM_OK && t->end_token[0])
        st = fm_buf_printf(out, "end_token: \"%s\"\n", t->end_token);
    return st;
}

/* ---- the folder ---- */

static fm_status hash_file(const fm_decoder_folder *f, const char *name,
                           char hex[2 * FM_HASH_BYTES + 1])
{
    char *path = NULL;
    fm_status st = fm_path_join(f->dir, name, &path);

    if (st == FM_OK)
        st = fm_hash_file_sha256(path, hex, NULL);
    free(path);
    return st;
}

fm_status fm_adapter_terms_of(const fm_decoder_folder *f, fm_adapter_terms *out)
{
    char hex[2 * FM_HASH_BYTES + 1];
    fm_buf lines = { 0 };
    fm_hash all;
    fm_status st;

    fm_buf_init(&lines, 0);
    if ((st = hash_file(f, FM_FOLDER_TOKENIZER, out->tokenizer)) != FM_OK ||
        (st = hash_file(f, FM_FOLDER_CONFIG, hex)) != FM_OK)
        goto done;
    st = fm_buf_printf(&lines, "%s  %s\n", hex, FM_FOLDER_CONFIG);
    for (size_t i = 0; st == FM_OK && i < f->shards; i++)
        if ((st = hash_file(f, f->names[i], hex)) == FM_OK)
            st = fm_buf_printf(&lines, "%s  %s\n", hex, f->names[i]);
    if (st == FM_OK) {
        all = fm_hash_of("fedmoe base model 1", lines.data, lines.len);
        fm_hash_hex(&all, out->base);
    }
done:
    fm_buf_fini(&lines);
    return st;
}

fm_status fm_adapter_terms_check(const fm_adapter_terms *t, const fm_decoder_folder *f)
{
    fm_adapter_terms here = { .rank = 0 };
    fm_status st = fm_adapter_terms_of(f, &here);

    if (st != FM_OK)
        return st;
    if (strcmp(here.base, t->base) != 0)
        return fm_fail(FM_EINVAL,
                       "%s is not the base model that the plan is for: its hash is %.16s..., the "
                       "plan's %.16s...; get the same files as the coordinator",
                       f->dir, here.base, t->base);
    if (strcmp(here.tokenizer, t->tokenizer) != 0)
        return fm_fail(FM_EINVAL,
                       "%s/" FM_FOLDER_TOKENIZER " is not the one that the plan is for: its hash "
                       "is %.16s..., the plan's %.16s...",
                       f->dir, here.tokenizer, t->tokenizer);
    return t->context <= f->parsed.config.context
               ? FM_OK
               : fm_fail(FM_EINVAL, "the plan's context is %zu tokens, the base model's %zu",
                         t->context, (size_t)f->parsed.config.context);
}

fm_status fm_adapter_terms_load(const fm_adapter_terms *t, const fm_decoder_folder *f, size_t most,
                                fm_decoder **out)
{
    const fm_decoder_options o = {
        .max_tokens = 1, /* each thread has buffers of its own */
        .adapters = { .rank = t->rank,
                      .alpha = t->alpha,
                      .maps = t->maps,
                      .square = t->square,
                      .most = most },
    };
    fm_decoder *d = NULL;
    fm_rng_seed state;
    fm_rng rng;
    fm_status st;

    if ((st = fm_decoder_folder_load(f, &o, &d)) == FM_OK && fm_decoder_adapter_parameters(d) == 0)
        st = fm_fail(FM_EINVAL, "%s has none of the modules %s", f->dir, t->modules);
    if (st == FM_OK) {
        rng = fm_rng_public(&state, t->seed);
        st = fm_decoder_adapters_init(d, &rng);
    }
    if (st == FM_OK)
        *out = d;
    else
        fm_decoder_free(&d);
    return st;
}

/* ---- the small file ---- */

fm_status fm_adapter_terms_encode(const fm_adapter_terms *t, const char *schema, const float *b,
                                  size_t n, const fm_safetensors_meta *extra, size_t extra_count,
                                  fm_buf *out)
{
    const fm_tensor_view tensor = { .name = TENSOR,
                                    .dtype = "F32",
                                    .dims = 1,
                                    .shape = { n },
                                    .data = (const uint8_t *)b,
                                    .bytes = n * sizeof *b };
    fm_safetensors_meta *meta = NULL;
    fm_buf text = { 0 };
    fm_status st;

    fm_buf_init(&text, 0);
    if ((st = fm_adapter_terms_write(t, &text)) == FM_OK &&
        (st = fm_alloc(OWN_META + extra_count, sizeof *meta, (void **)&meta)) == FM_OK) {
        meta[0] = (fm_safetensors_meta){ FM_META_KIND, FM_META_KIND_ADAPTER };
        meta[1] = (fm_safetensors_meta){ FM_META_MODEL, (const char *)text.data };
        meta[2] = (fm_safetensors_meta){ FM_META_SCHEMA, schema };
        for (size_t i = 0; i < extra_count; i++)
            meta[OWN_META + i] = extra[i];
        st = fm_safetensors_encode(&tensor, 1, meta, OWN_META + extra_count, out);
    }
    free(meta);
    fm_buf_fini(&text);
    return st;
}

fm_status fm_adapter_terms_read(const fm_safetensors *file, fm_decoder *d)
{
    const fm_tensor_view *t = fm_safetensors_find(file, TENSOR);
    const size_t n = fm_decoder_gradient_parameters(d);
    float *b = NULL;
    fm_status st;

    if (!t || strcmp(t->dtype, "F32") != 0 || t->bytes != n * sizeof *b)
        return fm_fail(FM_EPROTO, "the file holds no " TENSOR " of %zu values, as its terms ask",
                       n);
    if ((st = fm_alloc(n, sizeof *b, (void **)&b)) != FM_OK)
        return st;
    memcpy(b, t->data, t->bytes);
    st = fm_decoder_adapters_set_trained(d, b, n);
    free(b);
    return st;
}
