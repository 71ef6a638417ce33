/* The unsigned note of what was done to a model since. */
#include "fedmoe/provenance/derivation.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "card_internal.h"

static const char between[] = " from ";

static size_t step_length(const char *p)
{
    return strspn(p, "abcdefghijklmnopqrstuvwxyz0123456789-");
}

/** One line, to its end or the text's. @param p  moved past it. */
static fm_status read_line(const char **p, fm_hash *out)
{
    const size_t hex = 2 * sizeof out->bytes, n = step_length(*p);
    char again[2 * FM_HASH_BYTES + 1];
    const char *at = *p + n;
    size_t len = 0;

    if (n == 0 || n > FM_DERIVATION_STEP_MAX || strncmp(at, between, strlen(between)) != 0)
        return fm_fail(FM_EPROTO, FM_META_DERIVATION ": not a record of steps");
    at += strlen(between);
    if (strnlen(at, hex) != hex ||
        sodium_hex2bin(out->bytes, sizeof out->bytes, at, hex, NULL, &len, NULL) != 0 ||
        len != sizeof out->bytes)
        return fm_fail(FM_EPROTO, FM_META_DERIVATION ": a step without its parent's hash");
    fm_hash_hex(out, again);
    if (memcmp(again, at, hex) != 0 || (at[hex] != '\n' && at[hex] != '\0'))
        return fm_fail(FM_EPROTO, FM_META_DERIVATION ": a hash in another form than fedmoe writes");
    *p = at + hex + (at[hex] == '\n');
    return FM_OK;
}

fm_status fm_derivation_read(const char *text, fm_hash *first, size_t *steps)
{
    fm_hash begin = { { 0 } }, other;
    size_t n = 0;
    fm_status st;

    do {
        if (n == FM_DERIVATION_STEPS_MAX)
            return fm_fail(FM_EPROTO, FM_META_DERIVATION ": more than %u steps",
                           FM_DERIVATION_STEPS_MAX);
        if ((st = read_line(&text, n == 0 ? &begin : &other)) != FM_OK)
            return st;
        n++;
    } while (*text);
    *first = begin;
    *steps = n;
    return FM_OK;
}

fm_status fm_derivation_add(const char *before, const fm_hash *parent, const char *step,
                            fm_buf *out)
{
    char hex[2 * FM_HASH_BYTES + 1];
    fm_hash first;
    size_t steps = 0;
    fm_status st;

    if (!*step || step_length(step) != strlen(step) || strlen(step) > FM_DERIVATION_STEP_MAX)
        return fm_fail(FM_EINVAL, "'%s' is no name of a step", step);
    if (before && ((st = fm_derivation_read(before, &first, &steps)) != FM_OK ||
                   (st = fm_buf_printf(out, "%s\n", before)) != FM_OK))
        return st;
    if (steps == FM_DERIVATION_STEPS_MAX)
        return fm_fail(FM_EPROTO, "%u steps were recorded already", FM_DERIVATION_STEPS_MAX);
    fm_hash_hex(parent, hex);
    return fm_buf_printf(out, "%s%s%s", step, between, hex);
}

fm_status fm_derivation_extend(const fm_safetensors *parent, const char *step, fm_buf *out)
{
    fm_hash *each = NULL, weights;
    fm_status st = fm_card_file_digests(parent, &each);

    if (st != FM_OK)
        return st;
    weights = fm_card_weights_digest(each, fm_safetensors_count(parent));
    free(each);
    return fm_derivation_add(fm_safetensors_meta_get(parent, FM_META_DERIVATION), &weights, step,
                             out);
}
