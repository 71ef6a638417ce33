/*
 * MLflow's file store: EXPERIMENT/meta.yaml, EXPERIMENT/RUN/meta.yaml, and in the run's folder a file
 * for each parameter, tag and metric; a metric's lines are "milliseconds value step".
 * @source https://mlflow.org/docs/latest/self-hosting/architecture/backend-store/
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "fedmoe/aggregator/directory.h"
#include "fedmoe/base/file.h"
#include "figures.h"

#define FIGURES_MODE 0644
#define FOLDER_MODE 0755

typedef struct {
    const fm_figures *f;
    char experiment[24], run[33]; /* of the federation's name; of the plan */
    char *folder;                 /* TO/EXPERIMENT/RUN */
} store;

/* Any text as YAML has it: as JSON has it. */
static fm_status put_text(fm_buf *out, const char *key, const char *text)
{
    json_t *j = json_string(text);
    char *quoted = j ? json_dumps(j, JSON_ENCODE_ANY) : NULL;
    fm_status st =
        quoted ? fm_buf_printf(out, "%s: %s\n", key, quoted) : fm_fail(FM_ENOMEM, "out of memory");

    free(quoted);
    json_decref(j);
    return st;
}

static fm_status put_file(const char *folder, const char *name, const void *data, size_t len)
{
    char *path = NULL;
    fm_status st = fm_path_join(folder, name, &path);

    if (st == FM_OK)
        st = fm_file_replace(path, data, len, FIGURES_MODE);
    free(path);
    return st;
}

/* FOLDER/KIND/NAME holds `text`. */
static fm_status put_fact(const store *s, const char *kind, const char *name, const char *text)
{
    char *folder = NULL;
    fm_status st;

    if ((st = fm_path_join(s->folder, kind, &folder)) == FM_OK &&
        (st = fm_dir_make(folder, FOLDER_MODE)) == FM_OK)
        st = put_file(folder, name, text, strlen(text));
    free(folder);
    return st;
}

static fm_status put_number(const store *s, const char *name, double v)
{
    char text[32];

    (void)snprintf(text, sizeof text, "%.10g", v);
    return put_fact(s, "params", name, text);
}

static const char *optimizer_name(fm_optimizer_kind kind)
{
    return kind == FM_OPTIMIZER_SGD    ? "sgd"
           : kind == FM_OPTIMIZER_ADAM ? "adam"
           : kind == FM_OPTIMIZER_SUM  ? "sum"
           : kind == FM_OPTIMIZER_YOGI ? "yogi"
                                       : "other";
}

static fm_status put_params(const store *s)
{
    const fm_plan *p = &s->f->config.plan;
    const struct {
        const char *name;
        double value;
    } numbers[] = {
        { "epsilon", p->epsilon },
        { "delta", p->delta },
        { "noise_multiplier", p->noise_multiplier },
        { "clip_norm", p->clip_norm },
        { "sampling_rate", p->sampling_rate },
        { "rounds", p->rounds },
        { "expected_units", p->expected_units },
        { "max_units", p->max_units },
        { "max_unit_rows", p->max_unit_rows },
        { "nodes", p->max_nodes },
        { "min_cohort", p->min_cohort },
        { "quorum", p->quorum },
        { "colluders", p->colluders },
        { "parameters", p->parameters },
        { "word_bits", p->word_bits },
        { "learning_rate", p->learning_rate },
        { "momentum", p->momentum },
        { "averaging", p->averaging },
        { "local_steps", p->local_steps },
        { "local_rate", p->local_rate },
        { "proximal", p->proximal },
        { "robust_groups", p->robust_groups },
        { "held_share", p->held_share },
        { "patience", p->patience },
        { "held_bins", p->held_bins },
    };
    fm_status st;

    if ((st = put_fact(s, "params", "federation", p->federation)) != FM_OK ||
        (st = put_fact(s, "params", "purpose", p->purpose)) != FM_OK ||
        (st = put_fact(s, "params", "privacy_unit", p->privacy_unit)) != FM_OK ||
        (st = put_fact(s, "params", "noise",
                       p->noise == FM_NOISE_LOCAL ? "local" : "distributed")) != FM_OK ||
        (st = put_fact(s, "params", "correction",
                       p->correction == FM_CORRECTION_SCAFFOLD ? "scaffold" : "none")) != FM_OK ||
        (st = put_fact(s, "params", "optimizer", optimizer_name(p->optimizer))) != FM_OK)
        return st;
    for (size_t i = 0; st == FM_OK && i < sizeof numbers / sizeof *numbers; i++)
        st = put_number(s, numbers[i].name, numbers[i].value);
    return st;
}

static fm_status put_tags(const store *s)
{
    char plan[2 * FM_HASH_BYTES + 1], head[2 * FM_HASH_BYTES + 1];
    fm_status st;

    fm_hash_hex(&s->f->plan, plan);
    fm_hash_hex(&s->f->head, head);
    if ((st = put_fact(s, "tags", "fedmoe.plan", plan)) != FM_OK ||
        (st = put_fact(s, "tags", "fedmoe.transcript", head)) != FM_OK ||
        (st = put_fact(s, "tags", "mlflow.runName", s->f->config.plan.federation)) != FM_OK ||
        (st = put_fact(s, "tags", "mlflow.source.name", "fedmoe-aggregator")) != FM_OK)
        return st;
    return put_fact(s, "tags", "mlflow.source.type", "LOCAL");
}

static fm_status put_metric(const store *s, const char *name)
{
    fm_buf lines = { 0 };
    fm_status st = FM_OK;

    for (size_t i = 0; st == FM_OK && i < s->f->count; i++) {
        const fm_figure *one = &s->f->at[i];

        if (strcmp(one->name, name) == 0)
            st = fm_buf_printf(&lines, "%lld %.17g %llu\n", (long long)one->time_s * 1000,
                               one->value, (unsigned long long)one->round);
    }
    if (st == FM_OK)
        st = put_fact(s, "metrics", name, (const char *)lines.data);
    fm_buf_fini(&lines);
    return st;
}

#define NAMES_MOST 32

/* Each name once. */
static fm_status put_metrics(const store *s)
{
    const char *names[NAMES_MOST];
    fm_status st = FM_OK;
    size_t count = 0;

    for (size_t i = 0; st == FM_OK && i < s->f->count; i++) {
        const char *name = s->f->at[i].name;
        size_t k = 0;

        while (k < count && strcmp(names[k], name) != 0)
            k++;
        if (k < count)
            continue;
        if (count == NAMES_MOST)
            return fm_fail(FM_EINTERNAL, "figures of more than %d names", NAMES_MOST);
        names[count++] = name;
        st = put_metric(s, name);
    }
    return st == FM_OK && count == 0 ? fm_fail(FM_EINTERNAL, "no figures") : st;
}

static fm_status put_run(const store *s, const char *root)
{
    const fm_figures *f = s->f;
    fm_buf b = { 0 }, uri = { 0 };
    fm_status st;

    if ((st = fm_buf_printf(&uri, "file://%s/%s/%s/artifacts", root, s->experiment, s->run)) ==
            FM_OK &&
        (st = put_text(&b, "artifact_uri", (const char *)uri.data)) == FM_OK &&
        (st = put_text(&b, "run_name", f->config.plan.federation)) == FM_OK)
        st = fm_buf_printf(
            &b,
            "end_time: %lld\nentry_point_name: ''\nexperiment_id: '%s'\nlifecycle_stage: active\n"
            "run_id: %s\nrun_uuid: %s\nsource_name: ''\nsource_type: 4\nsource_version: ''\n"
            "start_time: %lld\nstatus: %d\ntags: []\nuser_id: fedmoe\n",
            (long long)f->last_s * 1000, s->experiment, s->run, s->run,
            (long long)f->first_s * 1000, f->over ? 3 : 1); /* finished, running */
    if (st == FM_OK)
        st = put_file(s->folder, "meta.yaml", b.data, b.len);
    fm_buf_fini(&b);
    fm_buf_fini(&uri);
    return st;
}

static fm_status put_experiment(const store *s, const char *to, const char *root)
{
    char *folder = NULL;
    fm_buf b = { 0 }, uri = { 0 };
    fm_status st;

    if ((st = fm_path_join(to, s->experiment, &folder)) == FM_OK &&
        (st = fm_buf_printf(&uri, "file://%s/%s", root, s->experiment)) == FM_OK &&
        (st = put_text(&b, "artifact_location", (const char *)uri.data)) == FM_OK &&
        (st = put_text(&b, "name", s->f->config.plan.federation)) == FM_OK &&
        (st = fm_buf_printf(&b,
                            "creation_time: %lld\nexperiment_id: '%s'\nlast_update_time: %lld\n"
                            "lifecycle_stage: active\n",
                            (long long)s->f->first_s * 1000, s->experiment,
                            (long long)s->f->last_s * 1000)) == FM_OK)
        st = put_file(folder, "meta.yaml", b.data, b.len);
    fm_buf_fini(&b);
    fm_buf_fini(&uri);
    free(folder);
    return st;
}

/* Runs of one federation are one experiment. MLflow's own numbers have up to 18 digits. */
static void name_store(store *s)
{
    char hex[2 * FM_HASH_BYTES + 1];
    fm_hasher h;
    fm_hash digest;

    fm_hasher_begin(&h, "fedmoe mlflow experiment v1");
    fm_hasher_add_part(&h, s->f->config.plan.federation, strlen(s->f->config.plan.federation));
    digest = fm_hasher_end(&h);
    (void)snprintf(s->experiment, sizeof s->experiment, "%llu",
                   (unsigned long long)(100000000000000000u +
                                        fm_get_u64le(digest.bytes) % 800000000000000000u));
    fm_hash_hex(&s->f->plan, hex);
    (void)snprintf(s->run, sizeof s->run, "%.32s", hex);
}

static fm_status write_store(const char *to, const fm_figures *f)
{
    store s = { .f = f };
    char name[80], root[PATH_MAX], *artifacts = NULL;
    fm_status st;

    name_store(&s);
    (void)snprintf(name, sizeof name, "%s/%s", s.experiment, s.run);
    if ((st = fm_path_join(to, name, &s.folder)) == FM_OK &&
        (st = fm_path_join(s.folder, "artifacts", &artifacts)) == FM_OK &&
        (st = fm_dir_make(artifacts, FOLDER_MODE)) == FM_OK && !realpath(to, root))
        st = fm_fail(FM_EIO, "%s: its path cannot be found", to);
    /* The run's own meta.yaml last: without it MLflow does not see the run. */
    if (st == FM_OK && (st = put_experiment(&s, to, root)) == FM_OK &&
        (st = put_params(&s)) == FM_OK && (st = put_tags(&s)) == FM_OK &&
        (st = put_metrics(&s)) == FM_OK)
        st = put_run(&s, root);
    free(artifacts);
    free(s.folder);
    return st;
}

fm_status fm_aggregator_export_mlflow(const char *dir, const char *to, uint64_t *rounds)
{
    fm_figures f;
    fm_status st;

    if (!dir || !to || !rounds)
        return fm_fail(FM_EINVAL, "export: an argument is missing");
    if ((st = fm_figures_read(dir, &f)) == FM_OK && (st = write_store(to, &f)) == FM_OK)
        *rounds = f.finished;
    fm_figures_fini(&f);
    return st;
}
