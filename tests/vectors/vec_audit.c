/* The entries of the two rounds of vec_run.h, and the audit bundle of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/file.h"
#include "fedmoe/proto/bundle.h"
#include "fm_test.h"
#include "vec_run.h"

#define MADE_S (VEC_NOW_S + 7200)

static fm_bytes certificate(void)
{
    fm_bytes b;

    fm_identity_der(vec_identity(VEC_HUB), &b.data, &b.len);
    return b;
}

static fm_entry entry_of(const vec_run *run, const run_round *r)
{
    return (fm_entry){ .round = r->number,
                       .finished_s = VEC_NOW_S + (int64_t)r->number,
                       .session = run->roster.session,
                       .roster = run->roster_hash,
                       .plan = run->plan_hash,
                       .model_before = r->model_before,
                       .head_before = r->head_before,
                       .model_after = r->entry.model_after,
                       .participants = vec_run_all,
                       .participant_count = RUN_NODES,
                       .survivors = r->survivors,
                       .updates = r->update_hashes,
                       .update_signatures = r->update_signatures,
                       .commit_signatures = r->commit_signatures,
                       .survivor_count = r->survivor_count,
                       .certificate = certificate() };
}

static json_t *put_entry(const vec_run *run, const run_round *r, fm_buf *out)
{
    const fm_entry e = entry_of(run, r);
    fm_hash digest;
    size_t body;

    fm_buf_init(out, FM_MAX_ENTRY_BYTES);
    vec_need(fm_entry_encode_body(&e, out) == FM_OK, "entry");
    body = out->len;
    digest = fm_entry_digest(run->plan.federation, &r->head_after, out->data, body);
    vec_need(fm_entry_encode_signature(vec_sign(VEC_HUB, FM_LABEL_ENTRY, &digest), out) == FM_OK,
             "entry");
    return json_pack("{s:o,s:I,s:o,s:o,s:o}", "entry", vec_hex(out->data, out->len), "body_bytes",
                     (json_int_t)body, "digest", vec_hash(&digest), "commit_digest",
                     vec_hash(&r->commit), "head_after", vec_hash(&r->head_after));
}

static void section(fm_bundle_writer *w, json_t *marks, fm_bundle_kind k, const void *data,
                    size_t len)
{
    fm_hash mark;

    vec_need(fm_bundle_put(w, k, data, len) == FM_OK, "bundle");
    mark = fm_bundle_mark(w);
    json_array_append_new(
        marks, json_pack("{s:s,s:o}", "section", fm_bundle_kind_name(k), "mark", vec_hash(&mark)));
}

static void put_seeds(fm_bundle_writer *w, json_t *marks, const fm_msg_release *r)
{
    fm_buf b = { 0 };
    fm_status st;

    fm_buf_init(&b, 4096);
    st = fm_buf_append(&b, r->self_seed, FM_SEED_BYTES);
    for (uint32_t i = 0; st == FM_OK && i < r->lost_count; i++)
        st = fm_buf_append(&b, r->pair_seeds[i], FM_SEED_BYTES);
    for (uint32_t i = 0; st == FM_OK && i < r->surplus_count; i++)
        st = fm_buf_append(&b, r->surplus_seeds[i], FM_SEED_BYTES);
    vec_need(st == FM_OK, "seeds");
    section(w, marks, FM_BUNDLE_SEEDS, b.data, b.len);
    fm_buf_fini(&b);
}

static void put_round(fm_bundle_writer *w, json_t *marks, const run_round *r, const fm_buf *entry)
{
    section(w, marks, FM_BUNDLE_ENTRY, entry->data, entry->len);
    for (uint32_t i = 0; i < r->survivor_count; i++)
        section(w, marks, FM_BUNDLE_UPDATE, r->nodes[r->survivors[i]].update,
                r->nodes[0].update_bytes);
    for (uint32_t i = 0; i < r->survivor_count; i++)
        put_seeds(w, marks, &r->nodes[r->survivors[i]].release);
}

static void put_seal(fm_bundle_writer *w, json_t *marks, const vec_run *run)
{
    const fm_hash before = fm_bundle_mark(w);
    fm_bundle_seal s = { .entries = RUN_ROUNDS,
                         .head = run->rounds[RUN_ROUNDS - 1].head_after,
                         .made_s = MADE_S,
                         .certificate = certificate() };
    const fm_hash digest =
        fm_bundle_seal_digest(run->plan.federation, &run->plan_hash, &before, &s);
    fm_buf b = { 0 };

    s.signature = vec_sign(VEC_HUB, FM_LABEL_SEAL, &digest);
    fm_buf_init(&b, 16384);
    vec_need(fm_bundle_seal_encode(&s, &b) == FM_OK, "seal");
    section(w, marks, FM_BUNDLE_SEAL, b.data, b.len);
    fm_buf_fini(&b);
}

static json_t *bundle_json(const vec_run *run, const fm_buf entries[RUN_ROUNDS])
{
    char dir[400], path[512];
    fm_bundle_writer *w = NULL;
    json_t *marks = json_array(), *j;
    fm_message roster = { .type = FM_MSG_ROSTER };
    fm_buf b = { 0 };

    fm_test_tmpdir(dir, sizeof dir);
    (void)snprintf(path, sizeof path, "%s/bundle", dir);
    vec_need(fm_bundle_create(path, &w) == FM_OK, "bundle");
    section(w, marks, FM_BUNDLE_PLAN, run->plan_bytes.data, run->plan_bytes.len);
    vec_need(fm_file_read(FEDMOE_VECTORS "/identities/ca.crt", 1 << 16, &b) == FM_OK, "ca.crt");
    section(w, marks, FM_BUNDLE_CA, b.data, b.len);
    fm_buf_fini(&b);
    section(w, marks, FM_BUNDLE_MODEL, run->rounds[0].model_bytes,
            sizeof run->rounds[0].model_bytes);
    roster.roster = run->roster;
    fm_buf_init(&b, FM_MAX_MESSAGE_BYTES);
    vec_need(fm_message_encode(&roster, &b) == FM_OK, "roster");
    section(w, marks, FM_BUNDLE_ROSTER, b.data, b.len);
    fm_buf_fini(&b);
    for (unsigned i = 0; i < RUN_ROUNDS; i++)
        put_round(w, marks, &run->rounds[i], &entries[i]);
    put_seal(w, marks, run);
    vec_need(fm_bundle_finish(&w) == FM_OK, "bundle");
    vec_need(fm_file_read(path, 1 << 20, &b) == FM_OK, "bundle");
    j = json_pack("{s:o,s:o}", "sections", marks, "bytes", vec_hex(b.data, b.len));
    fm_buf_fini(&b);
    return j;
}

json_t *vec_audit(void)
{
    const vec_run *run = vec_run_get(16);
    fm_buf entries[RUN_ROUNDS] = { { 0 } };
    json_t *list = json_array(), *bundle;

    for (unsigned i = 0; i < RUN_ROUNDS; i++)
        json_array_append_new(list, put_entry(run, &run->rounds[i], &entries[i]));
    bundle = bundle_json(run, entries);
    for (unsigned i = 0; i < RUN_ROUNDS; i++)
        fm_buf_fini(&entries[i]);
    return json_pack("{s:o,s:o}", "entries", list, "bundle", bundle);
}
