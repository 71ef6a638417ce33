/* What the driver leaves beside node.yaml, for people and scripts. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/json.h"
#include "fedmoe/base/log.h"
#include "run_internal.h"

#define STATUS_EVERY_MS 200
#define PRIVATE 0600 /* what is spent, and for what, is the house's business */

void fm_node_floats(const uint8_t *le, float *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = fm_get_u32le(le + 4 * i);

        memcpy(&out[i], &bits, sizeof bits);
    }
}

fm_status fm_node_read_json(const char *dir, const char *name, json_t **out)
{
    char *path = NULL;
    fm_status st = fm_path_join(dir, name, &path);

    if (st == FM_OK && (st = fm_json_read(path, out)) == FM_EPARSE)
        st = fm_fail(st,
                     "%s: cut short or damaged; the node keeps nothing in this file that it needs: "
                     "delete it, %s",
                     fm_error_text(),
                     strcmp(name, "plan.json") == 0 ? "it comes again with the next plan offered"
                                                    : "it comes again at the next start");
    free(path);
    return st;
}

static fm_status write_json(const fm_node_driver *d, const char *name, mode_t mode, json_t *value)
{
    char *path = NULL;
    fm_status st = FM_OK;

    if (!value)
        return fm_fail(FM_ENOMEM, "no memory for %s", name);
    if ((st = fm_path_join(d->config.dir, name, &path)) == FM_OK)
        st = fm_json_write(path, value, mode);
    free(path);
    json_decref(value);
    return st;
}

/** Of what left last: its line in the journal; null when nothing did. */
static json_t *last_update(const fm_node_history *h)
{
    char hex[2 * FM_HASH_BYTES + 1], when[32];

    if (h->count == 0)
        return json_null();
    fm_hash_hex(&h->rows[0].hash, hex);
    fm_clock_format(h->rows[0].sent_s, when, sizeof when);
    return json_pack("{s:I s:I s:s s:s s:b}", "round", (json_int_t)h->rows[0].round, "bytes",
                     (json_int_t)h->rows[0].bytes, "hash", hex, "time", when, "released",
                     h->rows[0].released_s != 0);
}

/** What left, and what is left. */
static json_t *books_json(const fm_node_driver *d)
{
    const fm_node_history *h = &d->history;
    uint64_t rounds = 0;
    bool known = fm_history_affordable(h, d->plan.charged, &rounds);

    return json_pack("{s:f s:I s:o s:I s:I s:o s:s}", "epsilon_left",
                     fmax(d->config.policy.epsilon - d->status.epsilon_spent, 0.0), "releases",
                     (json_int_t)h->releases, "rounds_affordable",
                     known ? json_integer((json_int_t)rounds) : json_null(), "updates_sent",
                     (json_int_t)h->updates, "update_bytes_sent", (json_int_t)h->bytes,
                     "last_update", last_update(h), "page", fm_node_page_address(d));
}

static json_t *now_json(const fm_node_driver *d)
{
    const fm_node_status *s = &d->status;
    fm_link_counters c = { 0 };
    char updated[32];

    if (d->link)
        c = fm_link_client_counters(d->link);
    fm_clock_format(fm_clock_wall_s(), updated, sizeof updated);
    return json_pack(
        "{s:s s:s s:b s:s s:I s:I s:s s:f s:f s:f s:I s:I s:I s:s s:s}", "name", d->config.name,
        "state", fm_node_driver_state(d), "paused", d->paused, "paused_since", s->paused_since,
        "round", (json_int_t)s->round, "rounds", (json_int_t)d->plan.rounds, "phase", s->phase,
        "epsilon_spent", s->epsilon_spent, "epsilon_budget", d->config.policy.epsilon, "delta",
        d->config.policy.delta, "bytes_sent", (json_int_t)(s->bytes_sent + c.bytes_sent),
        "bytes_received", (json_int_t)(s->bytes_received + c.bytes_received), "records",
        (json_int_t)fm_node_driver_records(d), "reason", s->reason, "updated", updated);
}

json_t *fm_node_driver_status_json(const fm_node_driver *d)
{
    json_t *j = now_json(d), *books = books_json(d);

    if (!j || !books || json_object_update(j, books) != 0) {
        json_decref(j);
        j = NULL;
    }
    json_decref(books);
    return j;
}

size_t fm_node_driver_records(const fm_node_driver *d)
{
    return d->plan.corpus ? d->plan.corpus->sequences : d->plan.table.rows;
}

void fm_node_driver_status(fm_node_driver *d, bool force)
{
    uint64_t now = fm_clock_now_ms();

    d->status.dirty = true;
    if (!force && now - d->status.written_ms < STATUS_EVERY_MS)
        return; /* each write is synced: rounds of a few milliseconds would wait for it */
    /* What is spent costs milliseconds to reckon: here, not within a round. */
    if ((d->ledger && fm_ledger_epsilon(d->ledger, d->config.data_set, NULL, d->config.policy.delta,
                                        &d->status.epsilon_spent) != FM_OK) ||
        write_json(d, "status.json", PRIVATE, fm_node_driver_status_json(d)) != FM_OK)
        fm_log(FM_LOG_WARN, "status.json was not written: %s", fm_error_text());
    d->status.written_ms = now;
    d->status.dirty = false;
    fm_history_point(&d->history, fm_clock_wall_s(), d->status.epsilon_spent);
    fm_node_page_publish(d);
}

void fm_node_driver_status_flush(fm_node_driver *d)
{
    if (d->status.dirty)
        fm_node_driver_status(d, false);
}

fm_status fm_node_driver_trace(const fm_node_driver *d, uint64_t round, uint64_t compute_ns)
{
    char line[96];
    int len, fd;
    bool ok;

    if (!d->o->trace)
        return FM_OK;
    len = snprintf(line, sizeof line, "{\"round\": %llu, \"compute_ns\": %llu}\n",
                   (unsigned long long)round, (unsigned long long)compute_ns);
    fd = open(d->o->trace, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    ok = fd >= 0 && write(fd, line, (size_t)len) == len;
    if (fd >= 0 && close(fd) != 0)
        ok = false;
    return ok ? FM_OK
              : fm_fail(FM_EIO, "%s: cannot append: %s%s", d->o->trace, strerror(errno),
                        fm_file_advice(errno));
}

static const char *task_name(fm_task task)
{
    return task == FM_TASK_TRAINING     ? "training"
           : task == FM_TASK_STATISTICS ? "statistics"
                                        : "evaluation";
}

/** How units are added, and what rides with their gradients. */
static json_t *units_json(const fm_plan *p)
{
    return json_pack("{s:s s:I s:I s:I s:f s:f s:f s:f s:I s:f s:I s:f s:f s:I s:I}", "encoding",
                     p->encoding == FM_ENCODING_FAST ? "fast" : "exact", "word_bits",
                     (json_int_t)p->word_bits, "load_groups", (json_int_t)p->load_groups,
                     "load_experts", (json_int_t)p->load_experts, "load_share", p->load_share,
                     "clip_quantile", p->clip_quantile, "clip_rate", p->clip_rate, "clip_share",
                     p->clip_share, "start_count", (json_int_t)p->start_count, "start_scale",
                     p->start_scale, "mask_density", (json_int_t)p->mask_density, "held_share",
                     p->held_share, "held_bound", p->held_bound, "patience",
                     (json_int_t)p->patience, "held_bins", (json_int_t)p->held_bins);
}

/** Sums by groups; nothing of a plan with one. */
static json_t *groups_json(const fm_plan *p)
{
    static const char *const means[] = { "", "median", "trimmed", "geometric" };

    if (p->robust_groups == 0)
        return json_object();
    return json_pack("{s:I s:I s:s s:I}", "robust_groups", (json_int_t)p->robust_groups,
                     "robust_quorum", (json_int_t)p->robust_quorum, "robust_mean",
                     means[p->robust_mean], "robust_trim", (json_int_t)p->robust_trim);
}

static json_t *local_json(const fm_plan *p)
{
    return json_pack("{s:I s:f s:f s:s}", "local_steps", (json_int_t)p->local_steps, "local_rate",
                     p->local_rate, "proximal", p->proximal, "correction",
                     p->correction == FM_CORRECTION_SCAFFOLD ? "scaffold" : "none");
}

json_t *fm_node_plan_json(const fm_plan *p, const fm_hash *hash)
{
    char hex[2 * FM_HASH_BYTES + 1];
    json_t *head;
    json_t *figures =
        json_pack("{s:f s:f s:f s:f s:f s:I s:I s:f}", "epsilon", p->epsilon, "delta", p->delta,
                  "clip_norm", p->clip_norm, "sampling_rate", p->sampling_rate, "noise_multiplier",
                  p->noise_multiplier, "rounds", (json_int_t)p->rounds, "max_units",
                  (json_int_t)p->max_units, "expected_units", p->expected_units);
    json_t *rest =
        json_pack("{s:I s:I s:I s:I s:I s:I s:I s:s s:s s:s? s:s s:s?}", "min_cohort",
                  (json_int_t)p->min_cohort, "quorum", (json_int_t)p->quorum, "colluders",
                  (json_int_t)p->colluders, "max_nodes", (json_int_t)p->max_nodes, "parameters",
                  (json_int_t)p->parameters, "max_unit_rows", (json_int_t)p->max_unit_rows,
                  "frozen", (json_int_t)p->frozen, "task", task_name(p->task), "noise",
                  p->noise == FM_NOISE_LOCAL ? "local" : "distributed", "model", p->model_text,
                  "schema", p->schema_text, "query", p->query_text);
    json_t *units = units_json(p), *local = local_json(p), *groups = groups_json(p);
    bool ok;

    fm_hash_hex(hash, hex);
    head = json_pack("{s:s s:s s:s s:s}", "hash", hex, "federation", p->federation, "purpose",
                     p->purpose, "privacy_unit", p->privacy_unit);
    ok = head && figures && rest && units && local && groups &&
         json_object_update(head, figures) == 0 && json_object_update(head, rest) == 0 &&
         json_object_update(head, units) == 0 && json_object_update(head, local) == 0 &&
         json_object_update(head, groups) == 0;

    json_decref(figures);
    json_decref(rest);
    json_decref(units);
    json_decref(local);
    json_decref(groups);
    if (ok)
        return head;
    json_decref(head);
    return NULL;
}

/** Who stands behind the offer: as the link has verified them. */
static json_t *parties_json(const fm_node_driver *d)
{
    const fm_cert_info *aggregator = fm_peer_info(fm_link_client_server(d->link));
    char its[2 * FM_HASH_BYTES + 1], ca[2 * FM_HASH_BYTES + 1];
    fm_hash fingerprint = fm_trust_fingerprint(d->trust);

    fm_hash_hex(&aggregator->fingerprint, its);
    fm_hash_hex(&fingerprint, ca);
    return json_pack("{s:s s:s s:s}", "aggregator", aggregator->name, "aggregator_certificate", its,
                     "ca", ca);
}

/** The answer, and what only this node knows. @param bytes  base64 of the plan as it travelled. */
static json_t *answer_json(const fm_node_driver *d, const char *answer, const char *why,
                           const char *bytes)
{
    char offered[32];

    fm_clock_format(fm_clock_wall_s(), offered, sizeof offered);
    return json_pack("{s:b s:s s:s s:s s:I s:I s:s}", "approved", strcmp(answer, "approved") == 0,
                     "answer", answer, "reason", why, "offered", offered, "records",
                     (json_int_t)fm_node_driver_records(d), "step_ms", (json_int_t)d->plan.step_ms,
                     "bytes", bytes);
}

static fm_status plan_base64(const fm_plan *plan, char **out)
{
    fm_buf bytes = { .limit = FM_MAX_PLAN_BYTES };
    void *text = NULL;
    size_t room;
    fm_status st = fm_plan_encode(plan, &bytes);

    if (st == FM_OK) {
        room = sodium_base64_ENCODED_LEN(bytes.len, sodium_base64_VARIANT_ORIGINAL);
        if ((st = fm_alloc(room, 1, &text)) == FM_OK)
            *out = sodium_bin2base64(text, room, bytes.data, bytes.len,
                                     sodium_base64_VARIANT_ORIGINAL);
    }
    fm_buf_fini(&bytes);
    return st;
}

fm_status fm_node_driver_write_plan(const fm_node_driver *d, const fm_plan *plan,
                                    const fm_hash *hash, const char *answer, const char *why)
{
    json_t *j = NULL, *parties = NULL, *whole = NULL;
    char *bytes = NULL;
    fm_status st = plan_base64(plan, &bytes);

    if (st == FM_OK) {
        j = answer_json(d, answer, why, bytes);
        parties = parties_json(d);
        whole = fm_node_plan_json(plan, hash);
        if (!j || !parties || !whole || json_object_update(j, parties) != 0 ||
            json_object_update(j, whole) != 0) {
            json_decref(j);
            j = NULL;
        }
        json_decref(parties);
        json_decref(whole);
        st = write_json(d, "plan.json", PRIVATE, j);
    }
    free(bytes);
    return st;
}

static fm_status write_model(fm_node_driver *d, uint64_t rounds)
{
    char hash[2 * FM_HASH_BYTES + 1], count[24];
    const fm_safetensors_meta meta[] = { { "fedmoe.federation", d->plan.federation },
                                         { "fedmoe.purpose", d->plan.purpose },
                                         { "fedmoe.plan", hash },
                                         { "fedmoe.rounds", count } };
    fm_buf file = { .limit = SIZE_MAX };
    fm_tabular *t = NULL;
    char *path = NULL;
    fm_status st;

    fm_hash_hex(&d->plan.hash, hash);
    (void)snprintf(count, sizeof count, "%llu", (unsigned long long)rounds);
    if (d->plan.decoder)
        return fm_node_driver_write_adapter(d, meta, sizeof meta / sizeof meta[0]);
    if ((st = fm_tabular_new(&d->plan.model, 1, &t)) == FM_OK &&
        (st = fm_train_state_set(t, &d->plan.tail, d->plan.weights, d->plan.parameters)) == FM_OK &&
        (st = fm_tabular_set_clip_norm(t, fm_train_clip_norm(&d->plan.tail, d->plan.clip_norm,
                                                             d->plan.weights,
                                                             d->plan.parameters))) == FM_OK &&
        (st = fm_tabular_encode(t, d->plan.schema, meta, sizeof meta / sizeof meta[0], &file)) ==
            FM_OK &&
        (st = fm_path_join(d->config.dir, "model.safetensors", &path)) == FM_OK)
        st = fm_file_replace(path, file.data, file.len, 0644);
    free(path);
    fm_tabular_free(&t);
    fm_buf_fini(&file);
    return st;
}

/* The same figures as the aggregator's: the sum is in the result, the rest in the plan. */
static fm_status write_answer(fm_node_driver *d, uint64_t rounds)
{
    const fm_node_prepared *p = &d->plan;
    char hash[2 * FM_HASH_BYTES + 1];
    const fm_query_report report = {
        .federation = p->federation,
        .purpose = p->purpose,
        .plan = hash,
        .epsilon = p->epsilon,
        .delta = p->delta,
        .rounds = (double)rounds,
        .noise_std = fm_query_noise_std(fm_node_step_lattice(p->step), rounds),
    };
    json_t *answer = NULL;
    fm_status st;

    if (rounds == 0) {
        fm_log(FM_LOG_WARN, "concluded without an answer: no round could be finished");
        return FM_OK;
    }
    fm_hash_hex(&p->hash, hash);
    st = fm_query_read(p->query, p->weights + p->frozen, &report, &answer);
    return st == FM_OK ? write_json(d, fm_node_driver_result_name(d), 0644, answer) : st;
}

const char *fm_node_driver_result_name(const fm_node_driver *d)
{
    return d->plan.query ? "result.json" : "model.safetensors";
}

fm_status fm_node_driver_write_result(fm_node_driver *d, const uint8_t *model, uint64_t rounds)
{
    fm_node_floats(model, d->plan.weights, d->plan.parameters);
    return d->plan.query ? write_answer(d, rounds) : write_model(d, rounds);
}
