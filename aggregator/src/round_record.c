/* The entry of a finished round for those who were not there: made of what the machine holds. */
#include "fedmoe/proto/entry.h"
#include "round_internal.h"

/*
 * An auditor refuses a time at which the aggregator's certificate was not valid, or that is far
 * from the members' statements. A clock that is set wrong for a while must not cost the bundle.
 */
static int64_t finished_s(const fm_coordinator *m)
{
    const fm_cert_info *own = fm_identity_info(m->c.identity);
    const int64_t from_s =
        own->not_before_s > m->roster_from_s ? own->not_before_s : m->roster_from_s;
    const int64_t to_s = own->not_after_s < m->roster_to_s ? own->not_after_s : m->roster_to_s;
    const int64_t at_s = m->now_s > to_s ? to_s : m->now_s;

    return at_s < from_s ? from_s : at_s;
}

static fm_entry entry_of(fm_coordinator *m, const fm_hash *model_before)
{
    fm_entry e = {
        .round = m->round,
        .finished_s = finished_s(m),
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
