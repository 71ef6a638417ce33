/* What stands beside node.yaml: certificates, plan, status, journal, model; all may be missing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/file.h"
#include "fedmoe/base/json.h"
#include "fedmoe/base/safetensors.h"
#include "fedmoe/node/journal.h"
#include "report.h"
#include "run_internal.h"

#define MODEL_LIMIT ((size_t)FM_MAX_PARAMETERS * 4 + FM_SAFETENSORS_MAX_HEADER + 8)

/** A JSON file of the driver; what is not there stays NULL, what is broken is an error. */
static fm_status read_json(const fm_report *r, const char *name, json_t **out)
{
    const fm_status st = fm_node_read_json(r->config.dir, name, out);

    return st == FM_ENOTFOUND ? FM_OK : st;
}

static fm_status read_certificate(const fm_report *r, const char *name, fm_report_certificate *c)
{
    char *path = NULL;
    bool is_ca = false;
    fm_status st = fm_path_join(r->config.identity_dir, name, &path);

    if (st != FM_OK)
        return st;
    c->known = fm_cert_describe(path, &c->info, &c->type, &is_ca) == FM_OK;
    if (!c->known)
        (void)snprintf(c->why, sizeof c->why, "%s", fm_error_text());
    free(path);
    return FM_OK;
}

fm_status fm_report_read_journal(fm_report *r)
{
    char *path = NULL;
    fm_status st = fm_path_join(r->config.dir, "state.db", &path);

    if (st == FM_OK && fm_file_exists(path)) {
        st = fm_journal_read_released(path, &r->journal_released);
        r->journal_known = st == FM_OK;
    }
    free(path);
    return st;
}

static fm_status read_model(fm_report *r)
{
    fm_safetensors *s = NULL;
    const char *plan, *rounds;
    char *path = NULL;
    fm_status st = fm_path_join(r->config.dir, "model.safetensors", &path);

    if (st == FM_OK && (st = fm_safetensors_load(path, MODEL_LIMIT, &s)) == FM_OK) {
        plan = fm_safetensors_meta_get(s, "fedmoe.plan");
        rounds = fm_safetensors_meta_get(s, "fedmoe.rounds");
        (void)snprintf(r->model_plan, sizeof r->model_plan, "%s", plan ? plan : "");
        (void)snprintf(r->model_rounds, sizeof r->model_rounds, "%s", rounds ? rounds : "");
    }
    fm_safetensors_free(&s);
    free(path);
    return st == FM_ENOTFOUND ? FM_OK : st;
}

static fm_status add_file(fm_report *r, const char *what, const char *dir, const char *name)
{
    fm_report_file *f = &r->files[r->file_count];
    fm_status st = fm_path_join(dir, name, &f->path);

    if (st != FM_OK)
        return st;
    r->file_count++;
    f->what = what;
    st = fm_hash_file_sha256(f->path, f->sha256, &f->bytes);
    f->there = st == FM_OK;
    return st == FM_ENOTFOUND ? FM_OK : st;
}

/** Not the ledger: its bytes change with SQLite's housekeeping; what counts is the chain's head. */
static fm_status hash_files(fm_report *r)
{
    const char *dir = r->config.dir;
    fm_status st;

    if ((st = add_file(r, "the policy", ".", r->config_path)) != FM_OK ||
        (st = add_file(r, "the plan offered last", dir, "plan.json")) != FM_OK ||
        (st = add_file(r, "the result", dir, "model.safetensors")) != FM_OK ||
        (st = add_file(r, "the certificate", r->config.identity_dir, "identity.crt")) != FM_OK)
        return st;
    return r->config.schema ? add_file(r, "the pinned schema", ".", r->config.schema) : FM_OK;
}

static fm_status read_voided(const char *journal, fm_report *r)
{
    fm_status st = fm_journal_read_voided(journal, 0, &r->voided[0]);

    for (uint64_t i = r->voided[0].times;
         st == FM_OK && i > 0 && r->voided_count < FM_REPORT_VOIDED; i--)
        st = fm_journal_read_voided(journal, i, &r->voided[r->voided_count++]);
    return st;
}

/** Without the certificate nobody's decision counts: that it is not readable is said elsewhere. */
static fm_status read_decisions(fm_report *r)
{
    fm_status st = fm_decision_keys_of(&r->config, &r->keys);
    char *journal = NULL;

    if (st == FM_ENOMEM)
        return st;
    if ((st = fm_decisions_of_node(&r->config, &r->decisions)) != FM_OK ||
        (st = fm_path_join(r->config.dir, "state.db", &journal)) != FM_OK)
        return st;
    if (fm_file_exists(journal))
        st = read_voided(journal, r);
    free(journal);
    return st;
}

fm_status fm_report_read_beside(fm_report *r)
{
    fm_status st;

    if ((st = read_decisions(r)) != FM_OK || (st = read_json(r, "plan.json", &r->plan)) != FM_OK ||
        (st = read_json(r, "status.json", &r->status)) != FM_OK ||
        (st = read_certificate(r, "identity.crt", &r->own)) != FM_OK ||
        (st = read_certificate(r, "ca.crt", &r->authority)) != FM_OK ||
        (st = read_model(r)) != FM_OK)
        return st;
    return hash_files(r);
}
