#include "config_internal.h"
#include "directory_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fedmoe/aggregator/round.h"
#include "fedmoe/aggregator/state.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/json.h"
#include "fedmoe/base/text.h"
#include "fedmoe/provenance/derivation.h"
#include "kept_internal.h"

/* fm_dp_calibrate is exact to 1e-4. */
#define NOISE_TOLERANCE 1e-3

/* Make the configuration's plan say what plan.bin says, where it may. */
static fm_status match_plan(fm_plan *made, const fm_plan *approved, const fm_buf *bytes,
                            const char *path)
{
    fm_buf again = { 0 };
    fm_status st;

    memcpy(made->run, approved->run, sizeof made->run);
    if (fabs(made->noise_multiplier - approved->noise_multiplier) <=
        NOISE_TOLERANCE * approved->noise_multiplier)
        made->noise_multiplier = approved->noise_multiplier;
    if ((st = fm_plan_encode(made, &again)) == FM_OK &&
        (again.len != bytes->len || memcmp(again.data, bytes->data, again.len) != 0))
        st = fm_fail(FM_ESTATE,
                     "%s: federation.yaml or the model was changed after init; a changed plan is "
                     "a new run: fedmoe-aggregator init in a new directory",
                     path);
    fm_buf_fini(&again);
    return st;
}

fm_status fm_directory_open(const char *dir, fm_aggregator_config *config, fm_buf *plan_bytes)
{
    char *path = NULL, *plan_path = NULL;
    fm_aggregator_config c = { 0 };
    fm_plan approved = { 0 };
    fm_status st;

    if ((st = fm_path_join(dir, "federation.yaml", &path)) != FM_OK ||
        (st = fm_path_join(dir, "plan.bin", &plan_path)) != FM_OK ||
        (st = fm_file_read(plan_path, FM_MAX_PLAN_BYTES, plan_bytes)) != FM_OK)
        goto done;
    if ((st = fm_plan_decode(plan_bytes->data, plan_bytes->len, &approved)) != FM_OK) {
        st = fm_fail(st,
                     "%s: damaged (%s); restore it from your backup: it is what the members "
                     "approved, and a new init is a new run",
                     plan_path, fm_error_text());
        goto done;
    }
    if ((st = fm_aggregator_config_load(path, &c)) != FM_OK ||
        (st = match_plan(&c.plan, &approved, plan_bytes, plan_path)) != FM_OK)
        goto done;
    *config = c; /* ownership moves to the caller */
    c = (fm_aggregator_config){ 0 };
done:
    fm_aggregator_config_fini(&c);
    fm_plan_fini(&approved);
    free(path);
    free(plan_path);
    return st;
}

fm_status fm_directory_optimizer(const fm_aggregator_config *c, fm_optimizer **out)
{
    const float *first = NULL;
    size_t n = 0;
    fm_status st = fm_safetensors_flat_view(c->model, &first, &n);

    return st == FM_OK ? fm_replay_optimizer_new(&c->plan, first, n, out) : st;
}

typedef struct {
    const fm_plan *plan;
    const fm_directory_card *card; /* NULL: none */
    uint64_t rounds;
} result_about;

/* The result's tensors: the state's, but for clip norm, what is known of units held out, and phase, which are no part
   of a model.
   `meta` has room for a card. */
static fm_status write_flat(const char *path, const fm_safetensors *like, const float *flat,
                            const result_about *about, fm_safetensors_meta *meta, size_t meta_count)
{
    size_t count = fm_safetensors_count(like), used = 0;
    fm_tensor_view *views = NULL;
    fm_card_signed texts = { 0 };
    fm_status st = fm_alloc(count, sizeof *views, (void **)&views);

    for (size_t i = 0; st == FM_OK && i < count; i++) {
        fm_tensor_view v = *fm_safetensors_at(like, i);

        v.data = (const uint8_t *)flat;
        flat += v.bytes / sizeof *flat;
        if (strcmp(v.name, FM_CONFIG_CLIP_TENSOR) != 0 &&
            strcmp(v.name, FM_CONFIG_HELD_TENSOR) != 0 &&
            strcmp(v.name, FM_CONFIG_SCORES_TENSOR) != 0 &&
            strcmp(v.name, FM_CONFIG_PHASE_TENSOR) != 0)
            views[used++] = v;
    }
    if (st == FM_OK && about->card) {
        const fm_card_subject s = { views, used, meta, meta_count };

        if ((st = fm_directory_sign(about->card, about->plan, about->rounds, &s, &texts)) == FM_OK)
            fm_card_signed_meta(&texts, meta + meta_count);
        meta_count += FM_CARD_META;
    }
    if (st == FM_OK)
        st = fm_safetensors_replace(path, 0644, views, used, meta, meta_count);
    fm_card_signed_fini(&texts);
    free(views);
    return st;
}

/* What the first model says of its own making, and the result says of the plan instead. */
static bool is_own(const char *key)
{
    static const char *const own[] = {
        "fedmoe.federation",    "fedmoe.rounds",   "fedmoe.epsilon",      "fedmoe.delta",
        "fedmoe.mechanism",     "fedmoe.plan",     "fedmoe.privacy_unit", "fedmoe.clip_norm",
        "fedmoe.purpose",       FM_META_CARD,      FM_META_CARD_TENSORS,  FM_META_CARD_CERTIFICATES,
        FM_META_CARD_SIGNATURE, FM_META_DERIVATION
    };

    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (strcmp(key, own[i]) == 0)
            return true;
    return false;
}

#define OWN_META 7

typedef struct {
    char rounds[24], epsilon[32], delta[32], clip_norm[32], steps[40], mechanism[256];
} own_texts;

static void own_meta(const fm_plan *p, uint64_t rounds, double clip_norm, own_texts *t,
                     fm_safetensors_meta meta[OWN_META])
{
    const bool private = p->noise_multiplier > 0.0;

    (void)snprintf(t->rounds, sizeof t->rounds, "%" PRIu64, rounds);
    t->steps[0] = '\0';
    (void)snprintf(t->epsilon, sizeof t->epsilon, "none");
    (void)snprintf(t->delta, sizeof t->delta, "none");
    if (private) {
        fm_text_up(p->epsilon, t->epsilon);
        fm_text_up(p->delta, t->delta);
    }
    (void)snprintf(t->clip_norm, sizeof t->clip_norm, "%.9g", clip_norm);
    if (p->local_steps > 0)
        (void)snprintf(t->steps, sizeof t->steps, " of %u local steps", (unsigned)p->local_steps);
    (void)snprintf(
        t->mechanism, sizeof t->mechanism,
        private ? "discrete Gaussian, noise multiplier %.9g, Poisson sampling rate %.9g, "
                  "%u rounds%s planned, clip norm %.9g; add or remove one unit"
                : "none: trained without privacy",
        p->noise_multiplier, p->sampling_rate, (unsigned)p->rounds, t->steps, p->clip_norm);
    meta[0] = (fm_safetensors_meta){ "fedmoe.federation", p->federation };
    meta[1] = (fm_safetensors_meta){ "fedmoe.rounds", t->rounds };
    meta[2] = (fm_safetensors_meta){ "fedmoe.epsilon", t->epsilon };
    meta[3] = (fm_safetensors_meta){ "fedmoe.delta", t->delta };
    meta[4] = (fm_safetensors_meta){ "fedmoe.privacy_unit", p->privacy_unit };
    meta[5] = (fm_safetensors_meta){ "fedmoe.clip_norm", t->clip_norm };
    meta[6] = (fm_safetensors_meta){ "fedmoe.mechanism", t->mechanism };
}

fm_status fm_directory_write_model(const fm_aggregator_config *c, const fm_optimizer *o,
                                   uint64_t rounds, const fm_directory_card *card, const char *path)
{
    const result_about about = { &c->plan, card, rounds };
    size_t kept = fm_safetensors_meta_count(c->model), count = 0;
    own_texts texts;
    void *average = NULL, *p = NULL;
    const float *flat = o->weights;
    fm_safetensors_meta *meta;
    fm_status st;

    if ((o->averaged > 0 && (st = fm_alloc(o->n, sizeof(float), &average)) != FM_OK) ||
        (st = fm_alloc(kept + OWN_META + FM_CARD_META, sizeof *meta, &p)) != FM_OK)
        goto done;
    if (average) {
        fm_optimizer_result(o, average);
        flat = average;
    }
    meta = p;
    for (size_t i = 0; i < kept; i++) {
        fm_safetensors_meta m = fm_safetensors_meta_at(c->model, i);

        if (!is_own(m.key))
            meta[count++] = m;
    }
    own_meta(&c->plan, rounds, c->plan.clip_norm * fm_optimizer_clip_ratio(o, flat), &texts,
             meta + count);
    count += OWN_META;
    st = write_flat(path, c->model, flat, &about, meta, count);
done:
    free(p);
    free(average);
    return st;
}

fm_status fm_directory_write_result(const fm_aggregator_config *c, const fm_optimizer *o,
                                    uint64_t rounds, const fm_hash *plan, const char *path)
{
    json_t *answer = NULL;
    fm_status st;

    if (!c->query)
        return fm_directory_write_model(c, o, rounds, NULL, path);
    if ((st = fm_directory_answer(c, o, rounds, plan, &answer)) == FM_OK)
        st = fm_json_write(path, answer, 0644);
    json_decref(answer);
    return st;
}

/* ---- export ---- */

/* A round's kept updates, or what would be taken for some. */
static fm_status check_not_kept(const char *dir, const char *output)
{
    char *kept = NULL, *into = NULL;
    struct stat a, b;
    fm_status st;

    if ((st = fm_path_join(dir, FM_KEPT_DIR, &kept)) == FM_OK &&
        (st = fm_path_dir(output, &into)) == FM_OK && stat(kept, &a) == 0 && stat(into, &b) == 0 &&
        a.st_dev == b.st_dev && a.st_ino == b.st_ino)
        st = fm_fail(FM_EEXIST, "%s is among the updates that are kept; choose another folder",
                     output);
    free(kept);
    free(into);
    return st;
}

/* Whatever the directory holds but result.safetensors must stay as it is. */
fm_status fm_directory_check_output(const char *dir, const fm_aggregator_config *c,
                                    const char *output)
{
    // clang-format off
    const char *const own[] = {
        "federation.yaml", c->model_file, c->schema_file, c->query_file, "plan.bin", "door.key",
        "identity.key", "identity.crt", "identity.uri", "federation",
        "ca.crt", "crl.pem", "crl.held", "crl.lock",
        "state.db", "state.db-wal", "state.db-shm", "status.json", "checkpoint.safetensors",
        "status.key", "status.crt", "status.links", "status.links.lock", c->page.key,
        c->page.certificate,
        "invitations.db", "invitations.db-journal", FM_USE_POLICY_FILE,
    };
    // clang-format on
    struct stat target, mine;
    fm_status st = check_not_kept(dir, output);

    if (st != FM_OK || stat(output, &target) != 0)
        return st;
    for (size_t k = 0; st == FM_OK && k < sizeof own / sizeof own[0]; k++) {
        char *path = NULL;

        if (own[k] && (st = fm_path_join(dir, own[k], &path)) == FM_OK && stat(path, &mine) == 0 &&
            mine.st_dev == target.st_dev && mine.st_ino == target.st_ino)
            st = fm_fail(FM_EEXIST, "%s is one of the aggregator's own files; choose another name",
                         output);
        free(path);
    }
    return st;
}

/* A card that nobody could check is not made. */
static fm_status check_signer(const fm_identity *id)
{
    char when[32];

    if (fm_identity_info(id)->not_after_s > fm_clock_wall_s())
        return FM_OK;
    fm_clock_format(fm_identity_info(id)->not_after_s, when, sizeof when);
    return fm_fail(
        FM_EAUTH,
        "the aggregator's certificate ended on %s, so that its signature on a card would "
        "not count; renew it, or export --without-card",
        when);
}

static fm_status write_signed(const char *dir, const fm_aggregator_config *c, const fm_optimizer *o,
                              uint64_t rounds, fm_directory_card *card, const char *output)
{
    fm_identity *id = NULL;
    fm_use_policy policy = { 0 };
    fm_status st;

    if ((st = fm_identity_load(dir, &id)) == FM_OK && (st = check_signer(id)) == FM_OK &&
        (st = fm_directory_policy(dir, &c->plan, &policy)) == FM_OK) {
        card->signer = id;
        card->policy = &policy;
        st = fm_directory_write_model(c, o, rounds, card, output);
        card->signer = NULL; /* both end here */
        card->policy = NULL;
    }
    fm_use_policy_fini(&policy);
    fm_identity_free(&id);
    return st;
}

fm_status fm_aggregator_export(const char *dir, const char *output, bool with_card,
                               uint64_t *rounds)
{
    fm_directory_card card = { 0 };
    fm_aggregator_config c = { 0 };
    fm_optimizer *o = NULL;
    fm_buf plan = { 0 };
    uint64_t finished = 0;
    fm_status st;

    if (!dir || !output || !rounds)
        return fm_fail(FM_EINVAL, "export: an argument is missing");
    if ((st = fm_directory_open(dir, &c, &plan)) != FM_OK ||
        (st = fm_directory_check_output(dir, &c, output)) != FM_OK ||
        (st = fm_directory_optimizer(&c, &o)) != FM_OK)
        goto done;
    card.plan = fm_plan_hash(plan.data, plan.len);
    if ((st = fm_state_peek(dir, &card.plan, o, &finished, &card.head)) == FM_ENOTFOUND)
        st = c.query
                 ? fm_fail(FM_ENOTFOUND, "%s: no round is finished yet: there is no answer", dir)
                 : fm_fail(FM_ENOTFOUND, "%s: no round is finished yet; the first model is %s", dir,
                           c.model_file);
    if (st != FM_OK)
        goto done;
    st = c.query || !with_card ? fm_directory_write_result(&c, o, finished, &card.plan, output)
                               : write_signed(dir, &c, o, finished, &card, output);
    if (st == FM_OK)
        *rounds = finished;
done:
    fm_optimizer_free(&o);
    fm_buf_fini(&plan);
    fm_aggregator_config_fini(&c);
    return st;
}
