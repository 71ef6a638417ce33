/* The audit bundle of a directory: plan, rosters, entries, and what was kept of the updates. */
#include <stdlib.h>
#include <string.h>

#include "directory_internal.h"
#include "fedmoe/aggregator/state.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/proto/bundle.h"
#include "kept_internal.h"

#define CA_FILE_MAX ((size_t)64 * 1024)

typedef struct {
    const char *dir;
    int lock;
    fm_aggregator_config config;
    fm_buf plan;
    fm_hash plan_hash;
    fm_identity *identity;
    fm_optimizer *optimizer;
    fm_state *state;
    fm_bundle_writer *out;
    bool told; /* a roster is in the bundle: */
    fm_session session;
    fm_buf scratch;
    fm_audit_report report;
} export;

static fm_status open_all(export *e, const char *output)
{
    fm_status st = fm_dir_lock(e->dir, &e->lock);

    if (st == FM_EEXIST)
        return fm_fail(st,
                       "%s: an aggregator is at work there; stop it for a moment (it goes on where "
                       "it was), or wait for the end of the run",
                       e->dir);
    if (st != FM_OK || (st = fm_directory_open(e->dir, &e->config, &e->plan)) != FM_OK ||
        (st = fm_directory_check_output(e->dir, &e->config, output)) != FM_OK ||
        (st = fm_identity_load(e->dir, &e->identity)) != FM_OK ||
        (st = fm_directory_optimizer(&e->config, &e->optimizer)) != FM_OK)
        return st;
    e->plan_hash = fm_plan_hash(e->plan.data, e->plan.len);
    /* The first state goes out before this brings the optimizer to the last one. */
    if ((st = fm_bundle_create(output, &e->out)) != FM_OK ||
        (st = fm_bundle_put(e->out, FM_BUNDLE_PLAN, e->plan.data, e->plan.len)) != FM_OK)
        return st;
    return FM_OK;
}

static fm_status put_ca(export *e)
{
    char *path = NULL;
    fm_buf ca = { 0 };
    fm_status st;

    if ((st = fm_path_join(e->dir, "ca.crt", &path)) == FM_OK &&
        (st = fm_file_read(path, CA_FILE_MAX, &ca)) == FM_OK)
        st = fm_bundle_put(e->out, FM_BUNDLE_CA, ca.data, ca.len);
    fm_buf_fini(&ca);
    free(path);
    return st;
}

static fm_status put_first(export *e)
{
    const fm_optimizer *o = e->optimizer;
    fm_status st = put_ca(e);

    return st == FM_OK
               ? fm_bundle_put(e->out, FM_BUNDLE_MODEL, o->weights, o->n * sizeof *o->weights)
               : st;
}

/* ---- a round ---- */

static fm_status put_roster(export *e, const fm_session *session)
{
    fm_status st;

    if (e->told && memcmp(&e->session, session, sizeof *session) == 0)
        return FM_OK;
    fm_buf_clear(&e->scratch);
    if ((st = fm_state_read_roster(e->state, session, &e->scratch)) == FM_OK)
        st = fm_bundle_put(e->out, FM_BUNDLE_ROSTER, e->scratch.data, e->scratch.len);
    e->told = true;
    e->session = *session;
    return st;
}

static fm_status put_kept(export *e, const fm_entry *entry, fm_kept_file *kept, fm_kept_kind kind)
{
    const fm_bundle_kind section = kind == FM_KEPT_UPDATE ? FM_BUNDLE_UPDATE : FM_BUNDLE_SEEDS;
    fm_status st = FM_OK;

    for (uint32_t i = 0; st == FM_OK && i < entry->survivor_count; i++)
        if ((st = fm_kept_get(kept, kind, entry->survivors[i], &e->scratch)) == FM_OK)
            st = fm_bundle_put(e->out, section, e->scratch.data, e->scratch.len);
    return st;
}

static fm_status put_updates(export *e, const fm_entry *entry)
{
    fm_kept_file *kept = NULL;
    fm_status st = fm_kept_read(e->dir, entry->round, &kept);

    if (st == FM_ENOTFOUND) {
        fm_error_clear();
        return FM_OK;
    }
    if (st == FM_OK && (st = put_kept(e, entry, kept, FM_KEPT_UPDATE)) == FM_OK)
        st = put_kept(e, entry, kept, FM_KEPT_SEEDS);
    fm_kept_file_close(&kept);
    e->report.updates += st == FM_OK;
    return st;
}

static fm_status put_round(void *ctx, uint64_t round, fm_bytes record)
{
    export *e = ctx;
    fm_entry *entry = NULL;
    fm_status st;

    if (record.len == 0)
        return fm_fail(FM_ESTATE,
                       "state.db: round %llu was finished by a version that kept no records of "
                       "rounds: there is nothing to export for others to check",
                       (unsigned long long)round);
    if ((st = fm_entry_decode(record.data, record.len, &entry)) != FM_OK)
        return fm_fail_context(st,
                               "state.db: the record of round %llu: ", (unsigned long long)round);
    if ((st = put_roster(e, &entry->session)) == FM_OK &&
        (st = fm_bundle_put(e->out, FM_BUNDLE_ENTRY, record.data, record.len)) == FM_OK)
        st = put_updates(e, entry);
    e->report.entries++;
    free(entry);
    return st;
}

/* ---- the end ---- */

static fm_status put_seal(export *e)
{
    fm_bundle_seal seal = { .entries = e->report.entries,
                            .head = e->report.head,
                            .made_s = fm_clock_wall_s() };
    const fm_hash before = fm_bundle_mark(e->out);
    uint8_t signature[FM_SIGNATURE_MAX];
    size_t len = 0;
    fm_hash digest;
    fm_status st;

    fm_identity_der(e->identity, &seal.certificate.data, &seal.certificate.len);
    digest = fm_bundle_seal_digest(e->config.plan.federation, &e->plan_hash, &before, &seal);
    if ((st = fm_identity_sign(e->identity, FM_LABEL_SEAL, digest.bytes, FM_HASH_BYTES, signature,
                               &len)) != FM_OK)
        return st;
    seal.signature = (fm_bytes){ signature, len };
    fm_buf_clear(&e->scratch);
    if ((st = fm_bundle_seal_encode(&seal, &e->scratch)) == FM_OK)
        st = fm_bundle_put(e->out, FM_BUNDLE_SEAL, e->scratch.data, e->scratch.len);
    return st == FM_OK ? fm_bundle_finish(&e->out) : st;
}

static fm_status write_all(export *e, const char *output)
{
    fm_status st;

    if ((st = open_all(e, output)) != FM_OK || (st = put_first(e)) != FM_OK ||
        (st = fm_state_open(e->dir, &e->plan_hash, e->config.model, e->optimizer, &e->state)) !=
            FM_OK)
        return st;
    e->report.head = fm_state_head(e->state);
    if (fm_state_finished(e->state) == 0)
        return fm_fail(FM_ENOTFOUND, "%s: no round is finished yet: there is nothing to check",
                       e->dir);
    if ((st = fm_state_each_record(e->state, put_round, e)) != FM_OK)
        return st;
    return put_seal(e);
}

fm_status fm_aggregator_export_audit(const char *dir, const char *output, fm_audit_report *out)
{
    export e = { .dir = dir, .lock = -1 };
    fm_status st;

    if (!dir || !output || !out)
        return fm_fail(FM_EINVAL, "export: an argument is missing");
    fm_buf_init(&e.scratch, FM_MAX_MESSAGE_BYTES);
    if ((st = write_all(&e, output)) == FM_OK)
        *out = e.report;
    fm_bundle_abort(&e.out);
    fm_buf_fini(&e.scratch);
    fm_state_close(&e.state);
    fm_optimizer_free(&e.optimizer);
    fm_identity_free(&e.identity);
    fm_buf_fini(&e.plan);
    fm_aggregator_config_fini(&e.config);
    fm_dir_unlock(&e.lock);
    return st;
}
