/* The entry of a finished round for those who were not there: made of what the machine holds. */
#include "fedmoe/proto/entry.h"
#include "round_internal.h"

static fm_entry entry_of(fm_coordinator *m, const fm_hash *model_before)
{
    fm_entry e = {
        .round = m->round,
        .finished_s = m->now_s,
        .session = m->session,
        .roster = m->roster,
        .plan = m->plan_hash,
        .model_before = *model_before,
        .head_before = m->c.head,
        .model_after = m->model,
        .participants = m->participants,
        .participant_count = m->participant_count,
        .survivors = m->survivors,
        .updates = m->update_hashes,
        .update_signatures = m->update_signatures,
        .commit_signatures = m->signatures,
        .survivor_count = m->survivor_count,
    };

    fm_identity_der(m->c.identity, &e.certificate.data, &e.certificate.len);
    return e;
}

fm_status fm_coord_record(fm_coordinator *m, const fm_transcript_entry *e,
                          const fm_hash *model_before, fm_buf *out)
{
    const fm_entry entry = entry_of(m, model_before);
    const fm_hash head = fm_transcript_next(&m->c.head, e);
    uint8_t signature[FM_SIGNATURE_MAX];
    size_t len = 0;
    fm_hash digest;
    fm_status st = fm_entry_encode_body(&entry, out);

    if (st != FM_OK)
        return st;
    digest = fm_entry_digest(m->c.plan->federation, &head, out->data, out->len);
    if ((st = fm_identity_sign(m->c.identity, FM_LABEL_ENTRY, digest.bytes, FM_HASH_BYTES,
                               signature, &len)) != FM_OK)
        return st;
    return fm_entry_encode_signature((fm_bytes){ signature, len }, out);
}
