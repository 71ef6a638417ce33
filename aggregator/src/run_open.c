/* What a run needs: the directory's files, the state, the sockets; and the revocation list. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/log.h"
#include "run_internal.h"

#define JUDGE_MS 60000u

static fm_status open_kept(fm_run *r)
{
    const fm_transcript_entry *entries = NULL;
    uint32_t count = 0;

    fm_state_entries(r->state, 0, &entries, &count);
    if (!r->config.keep_updates)
        return fm_kept_sweep(r->options->dir, entries, count);
    return fm_kept_open(r->options->dir, entries, count, &r->kept);
}

static fm_status open_files(fm_run *r)
{
    const char *dir = r->options->dir;
    fm_hash plan;
    fm_status st;

    if ((st = fm_directory_open(dir, &r->config, &r->plan)) != FM_OK ||
        (st = fm_directory_door_secret(dir, &r->door_secret)) != FM_OK ||
        (st = fm_identity_load(dir, &r->identity)) != FM_OK ||
        (st = fm_path_join(dir, "crl.pem", &r->crl)) != FM_OK ||
        (st = fm_path_join(dir, "ca.crt", &r->ca)) != FM_OK)
        return st;
    (void)stat(r->crl, &r->crl_seen);
    (void)stat(r->ca, &r->ca_seen);
    if ((st = fm_trust_load(dir, &r->trust)) != FM_OK ||
        (st = fm_trust_hold(r->trust, dir)) != FM_OK ||
        (st = fm_directory_optimizer(&r->config, &r->optimizer)) != FM_OK ||
        (st = fm_enroller_new(dir, r->options->ca, &r->enroller)) != FM_OK)
        return st;
    plan = fm_plan_hash(r->plan.data, r->plan.len);
    fm_safetensors_forget(r->config.model); /* the optimizer has the weights */
    st = fm_state_open(dir, &plan, r->config.model, r->optimizer, &r->state);
    return st == FM_OK ? open_kept(r) : st;
}

static fm_status open_coordinator(fm_run *r)
{
    const fm_link_server_config link = {
        .door = r->config.door,
        .door_secret = r->door_secret,
        .identity = r->identity,
        .trust = r->trust,
        .issuer = fm_enroller_issuer(r->enroller),
        .limits = { .max_peers = r->config.plan.max_nodes },
    };
    const fm_coordinator_config c = {
        .plan = &r->config.plan,
        .plan_bytes = r->plan.data,
        .plan_len = r->plan.len,
        .identity = r->identity,
        .trust = r->trust,
        .optimizer = r->optimizer,
        .finished = fm_state_finished(r->state),
        .last_round = fm_state_last_round(r->state),
        .head = fm_state_head(r->state),
        .join_ms = r->config.join_s * 1000,
        .phase_ms = r->config.round_s * 1000,
        .ports = fm_run_ports(r),
    };
    fm_status st = fm_spool_new(r->options->dir, r->config.plan.max_nodes, &r->spool);

    if (st == FM_OK)
        st = fm_coordinator_new(&c, &r->coordinator);
    return st == FM_OK ? fm_link_server_new(&link, &r->link) : st;
}

fm_status fm_run_open(fm_run *r)
{
    const char *trace = r->options->trace;
    fm_status st;

    if ((st = fm_dir_lock(r->options->dir, &r->lock)) != FM_OK)
        return st;
    if (trace && !(r->trace = fopen(trace, "ae")))
        return fm_fail(FM_EIO, "%s: cannot be written: %s", trace, strerror(errno));
    if ((st = open_files(r)) != FM_OK || (st = open_coordinator(r)) != FM_OK)
        return st;
    return fm_page_open(r);
}

void fm_run_close(fm_run *r)
{
    fm_page_close(r);
    fm_coordinator_free(&r->coordinator);
    fm_spool_free(&r->spool);
    fm_link_server_free(&r->link);
    fm_kept_close(&r->kept);
    fm_enroller_free(&r->enroller);
    fm_state_close(&r->state);
    fm_optimizer_free(&r->optimizer);
    fm_identity_free(&r->identity);
    fm_trust_free(&r->trust);
    fm_buf_fini(&r->plan);
    fm_aggregator_config_fini(&r->config);
    sodium_free(r->door_secret);
    if (r->trace)
        (void)fclose(r->trace);
    free(r->crl);
    free(r->ca);
    fm_run_members_fini(r);
    fm_dir_unlock(&r->lock);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static bool has_changed(const char *path, struct stat *seen)
{
    struct stat now = { 0 };

    if (stat(path, &now) != 0 || same_file(&now, seen))
        return false;
    *seen = now;
    return true;
}

/** NULL: refused, with a line in the log. An older one is not left lying there. */
static fm_trust *read_lists(fm_run *r)
{
    const char *dir = r->options->dir;
    fm_trust *fresh = NULL;
    fm_status st = fm_trust_load(dir, &fresh);

    if (st == FM_OK && (st = fm_trust_check_newer(r->trust, fresh)) == FM_OK)
        st = fm_trust_hold(fresh, dir);
    if (st == FM_OK)
        return fresh;
    fm_trust_free(&fresh);
    fm_log(FM_LOG_ERROR, "the new crl.pem is refused, the old one still counts: %s",
           fm_error_text());
    if (st != FM_EREPLAY)
        return NULL;
    if (fm_trust_save_crl(r->trust, dir) == FM_OK)
        (void)stat(r->crl, &r->crl_seen);
    else
        fm_log(FM_LOG_ERROR, "the old crl.pem cannot be put back: %s", fm_error_text());
    return NULL;
}

static void say_read_again(const fm_trust *t)
{
    const size_t last = fm_trust_ca_count(t) - 1;
    char hex[2 * FM_HASH_BYTES + 1];

    fm_hash_hex(&fm_trust_ca_info(t, last)->fingerprint, hex);
    fm_log(FM_LOG_INFO, "crl.pem was read again: list %llu",
           (unsigned long long)fm_trust_crl_number(t));
    if (last > 0)
        fm_log(FM_LOG_INFO, "two CAs are pinned; fingerprint of the newer one: %s", hex);
}

/** A certificate may also have run out. */
static void judge_by_clock(fm_run *r, uint64_t now_ms)
{
    if (now_ms - r->judged_ms < JUDGE_MS)
        return;
    r->judged_ms = now_ms;
    fm_run_judge_members(r);
    fm_page_members(r);
}

fm_status fm_run_watch_crl(fm_run *r, uint64_t now_ms)
{
    bool crl, ca;
    fm_trust *fresh;
    fm_status st;

    crl = has_changed(r->crl, &r->crl_seen);
    ca = has_changed(r->ca, &r->ca_seen);
    if (!crl && !ca) {
        judge_by_clock(r, now_ms);
        return FM_OK;
    }
    if (!(fresh = read_lists(r)))
        return FM_OK;
    say_read_again(fresh);
    fm_link_server_set_trust(r->link, fresh);
    st = fm_coordinator_set_trust(r->coordinator, fresh, now_ms, fm_clock_wall_s());
    fm_page_set_trust(r->page, fresh);
    fm_trust_free(&r->trust);
    r->trust = fresh;
    fm_run_judge_members(r);
    fm_page_members(r);
    return st;
}
