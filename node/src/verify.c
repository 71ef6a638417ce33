/* A bundle from its first section to its last, in the only order that there is. */
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/file.h"
#include "verify_internal.h"

fm_status fm_verify_place(const verification *v, fm_status st, const char *field)
{
    const bool round = v->entry && v->at.kind != FM_BUNDLE_ROSTER && v->at.kind != FM_BUNDLE_SEAL;
    char of[48] = "";

    if (round)
        (void)snprintf(of, sizeof of, " of round %llu", (unsigned long long)v->entry->round);
    return fm_fail_context(st, "%s: section %llu (%s%s), %s: ", v->o->bundle,
                           (unsigned long long)v->at.number, fm_bundle_kind_name(v->at.kind), of,
                           field);
}

static fm_status next(verification *v)
{
    return fm_bundle_next(v->reader, &v->at);
}

static fm_status expect(verification *v, fm_bundle_kind kind)
{
    fm_status st = next(v);

    if (st != FM_OK || v->at.kind == kind)
        return st;
    return fm_fail(FM_EPROTO,
                   "%s: section %llu is a section '%s' where '%s' must stand: a section is missing "
                   "or moved",
                   v->o->bundle, (unsigned long long)v->at.number, fm_bundle_kind_name(v->at.kind),
                   fm_bundle_kind_name(kind));
}

/* ---- plan and CA ---- */

static fm_status take_plan(verification *v)
{
    fm_verify_report *r = &v->report;
    fm_status st = fm_plan_decode(v->at.payload.data, v->at.payload.len, &r->plan);

    if (st != FM_OK)
        return fm_verify_place(v, st, "plan");
    r->plan_hash = fm_plan_hash(v->at.payload.data, v->at.payload.len);
    v->model = r->plan.initial_model;
    if (strcmp(r->plan.federation, fm_trust_federation(v->trust)) != 0)
        return fm_verify_fail(v, FM_EAUTH, "federation",
                              "the plan is of federation '%s', and the CA in %s is that of '%s'",
                              r->plan.federation, v->o->trust, fm_trust_federation(v->trust));
    return FM_OK;
}

/* Only said: what everything is checked against is the verifier's own. */
static fm_status take_ca(verification *v)
{
    fm_buf own = { 0 };
    char *path = NULL;
    fm_status st;

    if ((st = fm_path_join(v->o->trust, "ca.crt", &path)) == FM_OK &&
        (st = fm_file_read(path, fm_bundle_limit(FM_BUNDLE_CA), &own)) == FM_OK)
        v->report.same_ca =
            own.len == v->at.payload.len && memcmp(own.data, v->at.payload.data, own.len) == 0;
    v->report.ca = fm_trust_fingerprint(v->trust);
    v->report.list = fm_trust_list_count(v->trust) > 0;
    v->report.list_number = fm_trust_crl_number(v->trust);
    fm_buf_fini(&own);
    free(path);
    return st;
}

/* ---- rounds ---- */

/* Behind an entry: its updates and seeds, or nothing of them. On return v->at is what follows. */
static fm_status take_updates(verification *v)
{
    fm_status st = next(v);

    if (st != FM_OK)
        return st;
    if (v->at.kind != FM_BUNDLE_UPDATE) {
        fm_verify_gap(v);
        return FM_OK;
    }
    for (uint32_t i = 0; st == FM_OK && i < v->entry->survivor_count; i++)
        if (i == 0 || (st = expect(v, FM_BUNDLE_UPDATE)) == FM_OK)
            st = fm_verify_update(v, i);
    for (uint32_t i = 0; st == FM_OK && i < v->entry->survivor_count; i++)
        if ((st = expect(v, FM_BUNDLE_SEEDS)) == FM_OK)
            st = fm_verify_seeds(v, i);
    if (st == FM_OK)
        st = fm_verify_step(v);
    return st == FM_OK ? next(v) : st;
}

static fm_status take_round(verification *v)
{
    fm_status st = FM_OK;

    if (v->at.kind == FM_BUNDLE_ROSTER && (st = fm_verify_roster(v)) == FM_OK)
        st = expect(v, FM_BUNDLE_ENTRY);
    if (st != FM_OK)
        return st;
    if (v->at.kind != FM_BUNDLE_ENTRY)
        return fm_fail(FM_EPROTO,
                       "%s: section %llu is a section '%s' where an entry, a roster or the seal "
                       "must stand: a section is missing or moved",
                       v->o->bundle, (unsigned long long)v->at.number,
                       fm_bundle_kind_name(v->at.kind));
    if ((st = fm_verify_entry(v)) != FM_OK || (st = fm_verify_journal_entry(v)) != FM_OK)
        return st;
    return take_updates(v);
}

static fm_status check_all(verification *v)
{
    fm_status st;

    if ((st = expect(v, FM_BUNDLE_PLAN)) != FM_OK || (st = take_plan(v)) != FM_OK ||
        (st = expect(v, FM_BUNDLE_CA)) != FM_OK || (st = take_ca(v)) != FM_OK ||
        (st = expect(v, FM_BUNDLE_MODEL)) != FM_OK || (st = fm_verify_model(v)) != FM_OK ||
        (st = fm_verify_journal_open(v)) != FM_OK || (st = next(v)) != FM_OK)
        return st;
    while (st == FM_OK && v->at.kind != FM_BUNDLE_SEAL)
        st = take_round(v);
    if (st != FM_OK || (st = fm_verify_seal(v)) != FM_OK || (st = next(v)) != FM_OK)
        return st;
    if (v->o->need_updates && v->report.recomputed < v->report.entries)
        return fm_fail(FM_EPROTO,
                       "%s: only %llu of %llu rounds can be recomputed: the updates of the others, "
                       "or of a round before them, were not kept",
                       v->o->bundle, (unsigned long long)v->report.recomputed,
                       (unsigned long long)v->report.entries);
    return fm_verify_journal_end(v);
}

static void finish(verification *v)
{
    fm_verify_forget_roster(v);
    fm_bundle_close(&v->reader);
    fm_trust_free(&v->trust);
    fm_verify_gap(v);
    fm_replay_round_free(&v->sums);
    fm_buf_fini(&v->bytes);
    free(v->entry);
    free(v->rows);
    free(v->seen);
    fm_verify_report_fini(&v->report);
}

fm_status fm_verify_bundle(const fm_verify_options *o, fm_verify_report *out)
{
    verification v = { .o = o };
    fm_status st;

    if (!o || !o->bundle || !o->trust || !out)
        return fm_fail(FM_EINVAL, "verify: NULL argument");
    fm_buf_init(&v.bytes, FM_MAX_ENTRY_BYTES);
    if ((st = fm_trust_load(o->trust, &v.trust)) == FM_OK &&
        (st = fm_bundle_open(o->bundle, &v.reader)) == FM_OK && (st = check_all(&v)) == FM_OK) {
        *out = v.report; /* ownership moves to the caller */
        v.report = (fm_verify_report){ 0 };
    }
    finish(&v);
    return st;
}

void fm_verify_report_fini(fm_verify_report *r)
{
    if (!r)
        return;
    fm_plan_fini(&r->plan);
    free(r->members);
    free(r->missing);
    *r = (fm_verify_report){ 0 };
}
