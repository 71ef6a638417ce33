/* A hostile aggregator: it has its own key, and signs whatever it likes. */
#include <stdlib.h>
#include <string.h>

#include "desk.h"
#include "fedmoe/base/clock.h"

static fm_bytes hub_certificate(void)
{
    fm_bytes b;

    fm_identity_der(fed_hub, &b.data, &b.len);
    return b;
}

static void replace(fm_buf *b, const fm_buf *with)
{
    fm_buf_clear(b);
    need(fm_buf_append(b, with->data, with->len) == FM_OK, "piece");
}

static fm_entry *entry_of(const piece *p)
{
    fm_entry *e = NULL;

    return fm_entry_decode(p->data.data, p->data.len, &e) == FM_OK ? e : NULL;
}

static fm_hash head_after(const fm_entry *e)
{
    const fm_transcript_entry t = fm_entry_transcript("heart", e);

    return fm_transcript_next(&e->head_before, &t);
}

/* Entries and head as the pieces have them, as far as they can be read. */
static void count_entries(const pieces *p, fm_bundle_seal *seal)
{
    for (size_t i = 0; i < p->count; i++) {
        fm_entry *e = p->pieces[i].kind == FM_BUNDLE_ENTRY ? entry_of(&p->pieces[i]) : NULL;

        seal->entries += p->pieces[i].kind == FM_BUNDLE_ENTRY;
        if (e)
            seal->head = head_after(e);
        free(e);
    }
}

void forge_seal(pieces *p)
{
    const fm_hash plan = fm_plan_hash(p->pieces[0].data.data, p->pieces[0].data.len);
    fm_bundle_seal seal = { .made_s = fm_clock_wall_s(), .certificate = hub_certificate() };
    uint8_t signature[FM_SIGNATURE_MAX];
    fm_buf bytes = { 0 };
    fm_hash digest, before;

    pieces_encode(p, &bytes, &before);
    fm_buf_clear(&bytes);
    count_entries(p, &seal);
    digest = fm_bundle_seal_digest("heart", &plan, &before, &seal);
    need(fm_identity_sign(fed_hub, FM_LABEL_SEAL, digest.bytes, FM_HASH_BYTES, signature,
                          &seal.signature.len) == FM_OK,
         "seal");
    seal.signature.data = signature;
    need(fm_bundle_seal_encode(&seal, &bytes) == FM_OK, "seal");
    replace(&p->pieces[p->count - 1].data, &bytes);
    fm_buf_fini(&bytes);
}

bool forge_entry_signature(pieces *p, size_t at)
{
    fm_buf *b = &p->pieces[at].data;
    fm_entry *e = entry_of(&p->pieces[at]);
    uint8_t signature[FM_SIGNATURE_MAX];
    fm_hash head, digest;
    size_t len = 0, body;

    if (!e)
        return false;
    body = fm_entry_body_len(e, b->len);
    head = head_after(e);
    digest = fm_entry_digest("heart", &head, b->data, body);
    need(fm_identity_sign(fed_hub, FM_LABEL_ENTRY, digest.bytes, FM_HASH_BYTES, signature, &len) ==
             FM_OK,
         "entry");
    free(e);
    b->len = body;
    need(fm_entry_encode_signature((fm_bytes){ signature, len }, b) == FM_OK, "entry");
    return true;
}

#define HEAD_BEFORE_AT (1u + 8u + 8u + FM_SESSION_BYTES + 3u * FM_HASH_BYTES)

void forge_chain(pieces *p)
{
    fm_hash head = { { 0 } };

    for (size_t i = 0; i < p->count; i++) {
        fm_entry *e = NULL;

        if (p->pieces[i].kind != FM_BUNDLE_ENTRY)
            continue;
        memcpy(p->pieces[i].data.data + HEAD_BEFORE_AT, head.bytes, FM_HASH_BYTES);
        need(forge_entry_signature(p, i) && (e = entry_of(&p->pieces[i])) != NULL, "entry");
        head = head_after(e);
        free(e);
    }
}
