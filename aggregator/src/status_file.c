#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/json.h"
#include "fedmoe/base/log.h"
#include "fedmoe/optim/auc.h"
#include "run_internal.h"

#define EVERY_MS 1000

run_member *fm_run_member(fm_run *r, const char *name)
{
    run_member *grown;

    for (size_t i = 0; i < r->member_count; i++)
        if (strcmp(r->members[i].name, name) == 0)
            return &r->members[i];
    if (!(grown = realloc(r->members, (r->member_count + 1) * sizeof *grown)))
        return NULL;
    r->members = grown;
    grown += r->member_count++;
    memset(grown, 0, sizeof *grown);
    strncpy(grown->name, name, FM_NAME_MAX);
    return grown;
}

static const char *state_now(const fm_run *r)
{
    switch (fm_coordinator_get_phase(r->coordinator)) {
    case FM_COORD_WAIT_MEMBERS:
    case FM_COORD_WAIT_ROSTER:
        return "waiting";
    case FM_COORD_FINISHED:
        return "finished";
    default:
        return "training";
    }
}

/* Added to `one`: how often it did harm, and until when it is barred for that. */
static bool add_harm(const fm_run *r, const char *name, json_t *one)
{
    uint64_t barred_ms = 0;
    uint32_t times = 0;
    char when[32];

    if (r->coordinator)
        times = fm_coordinator_harm(r->coordinator, name, fm_clock_now_ms(), &barred_ms);
    if (json_object_set_new(one, "harm", json_integer(times)) != 0)
        return false;
    if (barred_ms == 0)
        return true;
    fm_clock_format(fm_clock_wall_s() + (int64_t)(barred_ms + 999) / 1000, when, sizeof when);
    return json_object_set_new(one, "barred_until", json_string(when)) == 0;
}

/* Added to `one`, where sums are by groups: how often its group stood out. A suspicion, no proof. */
static bool add_suspicion(const fm_run *r, const char *name, json_t *one)
{
    uint32_t outlying = 0, rounds = 0;
    bool suspect;

    if (!r->coordinator || r->config.plan.robust_groups == 0)
        return true;
    suspect = fm_coordinator_suspicion(r->coordinator, name, &outlying, &rounds);
    return json_object_set_new(one, "outlying", json_integer(outlying)) == 0 &&
           json_object_set_new(one, "watched", json_integer(rounds)) == 0 &&
           json_object_set_new(one, "suspect", json_boolean(suspect)) == 0;
}

/* What it was last heard to be; of one that takes part in no further round, why. */
static const char *state_of(const fm_run *r, const run_member *m, char *out, size_t cap)
{
    const char *left = r->coordinator ? fm_coordinator_left_for(r->coordinator, m->name) : NULL;

    if (!left)
        return m->state;
    (void)snprintf(out, cap, "%s%s", left, m->peer == 0 && m->has_result ? "; has the result" : "");
    return out;
}

static json_t *members_json(const fm_run *r)
{
    json_t *list = json_array();

    for (size_t i = 0; list && i < r->member_count; i++) {
        const run_member *m = &r->members[i];
        char state[FM_MAX_REASON_BYTES + 1];
        json_t *one = json_pack("{s:s, s:s, s:b, s:I}", "name", m->name, "state",
                                state_of(r, m, state, sizeof state), "connected", m->peer != 0,
                                "bytes_received", (json_int_t)(m->bytes_before + m->bytes_now));

        if (one && !(add_harm(r, m->name, one) && add_suspicion(r, m->name, one))) {
            json_decref(one);
            one = NULL;
        }
        if (!one || json_array_append_new(list, one) != 0) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

/* What is known of the units held out; NULL, which is left out: nothing. */
static json_t *held_json(const fm_run *r)
{
    const fm_plan *p = &r->config.plan;
    const double loss = r->optimizer ? p->held_bound * fm_optimizer_held_loss(r->optimizer) : NAN;
    fm_auc auc;
    json_t *j = isnan(loss) ? NULL : json_pack("{s:f}", "loss", loss);

    if (j && fm_optimizer_held_auc(r->optimizer, &auc) &&
        (json_object_set_new(j, "auc", json_real(auc.value)) != 0 ||
         json_object_set_new(j, "auc_deviation", json_real(auc.deviation)) != 0)) {
        json_decref(j);
        j = NULL;
    }
    return j;
}

static json_t *status_json(const fm_run *r, const char *state)
{
    const char *why = r->coordinator ? fm_coordinator_conclusion(r->coordinator) : "";
    json_t *j =
        json_pack("{s:s, s:s, s:I, s:I, s:I, s:o*, s:o}", "federation", r->config.plan.federation,
                  "state", state, "round", (json_int_t)(r->state ? fm_state_finished(r->state) : 0),
                  "rounds", (json_int_t)r->config.plan.rounds, "abandoned",
                  (json_int_t)r->abandoned, "held_out", held_json(r), "members", members_json(r));

    if (j && *why && json_object_set_new(j, "reason", json_string(why)) != 0) {
        json_decref(j);
        return NULL;
    }
    return j;
}

/* @param j  owned; NULL: there was no memory for it. */
static void write_file(fm_run *r, json_t *j)
{
    char when[32], *path = NULL;
    const char *page = fm_page_url(r);

    if (j && page && json_object_set_new(j, "page", json_string(page)) != 0)
        fm_log(FM_LOG_WARN, "status.json does not say where the page is: no memory");
    fm_clock_format(fm_clock_wall_s(), when, sizeof when);
    if (!j || json_object_set_new(j, "updated", json_string(when)) != 0)
        fm_log(FM_LOG_WARN, "status.json could not be written: no memory");
    else if (fm_path_join(r->options->dir, "status.json", &path) != FM_OK ||
             fm_json_write(path, j, 0644) != FM_OK)
        fm_log(FM_LOG_WARN, "status.json could not be written: %s", fm_error_text());
    json_decref(j);
    free(path);
    r->status_due = false;
    r->status_written_ms = fm_clock_now_ms();
}

void fm_run_write_status(fm_run *r, const char *state)
{
    write_file(r, status_json(r, state ? state : state_now(r)));
}

/* Nothing is written into a folder that init did not make. */
static bool is_ours(const fm_run *r)
{
    char *path = NULL;
    bool ours = fm_path_join(r->options->dir, "door.key", &path) == FM_OK && fm_file_exists(path);

    free(path);
    return ours;
}

void fm_run_write_failed(fm_run *r, const char *reason)
{
    char *path = NULL;
    json_t *j = NULL;

    if (!is_ours(r))
        return;
    if (!r->state && fm_path_join(r->options->dir, "status.json", &path) == FM_OK &&
        fm_json_read(path, &j) != FM_OK)
        j = NULL; /* not written yet, or no more to be read */
    if (!json_is_object(j)) {
        json_decref(j);
        j = status_json(r, "failed");
    }
    if (j && (json_object_set_new(j, "state", json_string("failed")) != 0 ||
              json_object_set_new(j, "reason", json_string(reason)) != 0)) {
        json_decref(j);
        j = NULL;
    }
    write_file(r, j);
    free(path);
}

void fm_run_refresh_status(fm_run *r, uint64_t now_ms)
{
    if (r->status_due && now_ms - r->status_written_ms >= EVERY_MS)
        fm_run_write_status(r, NULL);
}
