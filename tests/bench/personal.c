/* What a head of its own gains each of the four hospitals (train/personal.h), on records that neither
 * the federation nor the head has seen: ./dev bench personal. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fedmoe/base/cli.h"
#include "fedmoe/node/step.h"
#include "fedmoe/train/personal.h"
#include "fedmoe/train/state.h"
#include "heart.h"

#define NO_PRIVACY 1000.0
#define MODELS 3 /* the federation's, the head by the rule, a head in any case */

typedef struct {
    double sum, squares;
    unsigned n;
} mean;

typedef struct {
    mean accuracy[MODELS][HOSPITALS + 1], loss[MODELS][HOSPITALS + 1], auc[MODELS][HOSPITALS + 1];
    unsigned chosen[HOSPITALS];
} figures;

static void add(mean *m, double v)
{
    m->sum += v;
    m->squares += v * v;
    m->n++;
}

static fm_status open_model(const fm_plan *p, const float *state, fm_schema **schema,
                            fm_tabular **out)
{
    const fm_train_tail tail = fm_node_plan_tail(p);
    fm_tabular_config c;
    fm_status st;

    if ((st = fm_schema_parse("schema", p->schema_text, strlen(p->schema_text), schema)) != FM_OK ||
        (st = fm_tabular_config_parse("model", p->model_text, strlen(p->model_text), *schema,
                                      &c)) != FM_OK ||
        (st = fm_tabular_new(&c, 256, out)) != FM_OK)
        return st;
    return fm_train_state_set(*out, &tail, state, p->parameters);
}

static fm_status measure(fm_tabular *m, const fm_table *test, fm_metrics *out)
{
    float *logits = NULL;
    fm_status st = fm_alloc(test->rows, sizeof *logits, (void **)&logits);

    if (st == FM_OK && (st = fm_tabular_predict(m, test->x, test->rows, logits)) == FM_OK)
        st = fm_metrics_compute(logits, test->y, test->rows, out);
    free(logits);
    return st;
}

static fm_status with_head(fm_personal_data *d, const fm_table *t, double pull, fm_tabular *m)
{
    fm_personal head = { 0 };
    uint32_t *rows = NULL;
    fm_status st = fm_alloc(t->rows, sizeof *rows, (void **)&rows);

    for (size_t i = 0; st == FM_OK && i < t->rows; i++)
        rows[i] = (uint32_t)i;
    if (st == FM_OK && (st = fm_personal_fit(d, rows, t->rows, pull, &head)) == FM_OK)
        st = fm_personal_apply(d, &head, m);
    fm_personal_fini(&head);
    free(rows);
    return st;
}

static fm_status one_hospital(const heart_run *r, size_t h, uint64_t seed, figures *f,
                              fm_metrics out[MODELS])
{
    fm_schema *schema = NULL;
    fm_tabular *m = NULL;
    fm_personal_data *d = NULL;
    fm_personal_report report;
    fm_status st = open_model(&r->config.plan, r->result, &schema, &m);

    if (st == FM_OK && (st = measure(m, &r->test[h], &out[0])) == FM_OK &&
        (st = fm_personal_data_new(m, &r->train[h], &d)) == FM_OK &&
        (st = fm_personal_choose(d, seed, &report)) == FM_OK &&
        (st = with_head(d, &r->train[h], report.scores[report.best].pull, m)) == FM_OK &&
        (st = measure(m, &r->test[h], &out[2])) == FM_OK) {
        out[1] = report.kept ? out[0] : out[2];
        f->chosen[h] += !report.kept;
    }
    fm_personal_data_free(&d);
    fm_tabular_free(&m);
    fm_schema_free(&schema);
    return st;
}

static fm_status one_run(const heart_setting *s, const fm_demo_hospital h[HOSPITALS], figures *f)
{
    fm_rng_seed state;
    heart_run r;
    fm_status st = heart_open(s, h, &r);
    double sums[MODELS][3] = { 0 };

    if (st != FM_OK)
        return st;
    const fm_simulation run = { .plan = &r.config.plan,
                                .initial = r.first,
                                .tables = r.train,
                                .nodes = HOSPITALS,
                                .rng = fm_rng_seeded(&state, s->seed) };

    st = fm_simulate(&run, r.result);
    for (size_t i = 0; st == FM_OK && i < HOSPITALS; i++) {
        fm_metrics m[MODELS];

        if ((st = one_hospital(&r, i, s->seed, f, m)) != FM_OK)
            break;
        for (size_t k = 0; k < MODELS; k++) {
            add(&f->accuracy[k][i], m[k].accuracy);
            add(&f->loss[k][i], m[k].log_loss);
            add(&f->auc[k][i], m[k].auc);
            sums[k][0] += m[k].accuracy / HOSPITALS;
            sums[k][1] += m[k].log_loss / HOSPITALS;
            sums[k][2] += m[k].auc / HOSPITALS;
        }
    }
    for (size_t k = 0; st == FM_OK && k < MODELS; k++) {
        add(&f->accuracy[k][HOSPITALS], sums[k][0]);
        add(&f->loss[k][HOSPITALS], sums[k][1]);
        add(&f->auc[k][HOSPITALS], sums[k][2]);
    }
    heart_close(&r);
    return st;
}

static void show(const char *what, mean m[MODELS][HOSPITALS + 1], size_t h)
{
    printf("  %-9s", what);
    for (size_t k = 0; k < MODELS; k++) {
        const double n = m[k][h].n, a = m[k][h].sum / n;

        printf("   %.4f +- %.4f", a,
               n > 1 ? sqrt(fmax(m[k][h].squares / n - a * a, 0.0) / (n - 1.0)) : 0.0);
    }
    printf("\n");
}

static void report(figures *f, unsigned seeds)
{
    static const char *const names[HOSPITALS + 1] = { "cleveland", "hungarian", "switzerland", "va",
                                                      "mean of four" };

    printf("%-14s %-18s %-18s %s\n", "", "  federation's", "  by the rule", "a head in any case");
    for (size_t h = 0; h <= HOSPITALS; h++) {
        if (h < HOSPITALS)
            printf("%s (chosen in %u of %u)\n", names[h], f->chosen[h], seeds);
        else
            printf("%s\n", names[h]);
        show("accuracy", f->accuracy, h);
        show("log loss", f->loss, h);
        show("AUC", f->auc, h);
    }
}

static size_t records_of(const fm_demo_hospital h[HOSPITALS])
{
    size_t n = 0;

    for (size_t i = 0; i < HOSPITALS; i++)
        n += h[i].train_records;
    return n;
}

static heart_setting setting(double epsilon, uint64_t seed, const char *schema, size_t records)
{
    return (heart_setting){ .epsilon = epsilon,
                            .delta = 1e-4,
                            .quorum = 3,
                            .colluders = 1,
                            .rounds = 161,
                            .seed = seed,
                            .schema = schema,
                            .records = records };
}

static fm_status own_splits(const char *data, double epsilon, uint64_t seeds)
{
    figures f = { 0 };
    fm_status st = FM_OK;

    for (uint64_t seed = 1; st == FM_OK && seed <= seeds; seed++) {
        fm_demo_hospital h[HOSPITALS];
        heart_setting s;

        if ((st = fm_demo_hospitals_load(data, seed, h)) != FM_OK)
            return st;
        s = setting(epsilon, seed, fm_demo_schema_text, records_of(h));
        st = one_run(&s, h, &f);
        fm_demo_hospitals_fini(h);
    }
    if (st != FM_OK)
        return st;
    printf("\nEpsilon %g, %u splits\n", epsilon, (unsigned)seeds);
    report(&f, (unsigned)seeds);
    return FM_OK;
}

static fm_status flamby(const char *data, const char *split, double epsilon)
{
    fm_demo_hospital h[HOSPITALS];
    char *schema = NULL;
    figures f = { 0 };
    fm_status st = heart_flamby_load(data, split, h, &schema);

    for (uint64_t seed = 42; st == FM_OK && seed < 47; seed++) {
        const heart_setting s = setting(epsilon, seed, schema, records_of(h));

        st = one_run(&s, h, &f);
    }
    if (st == FM_OK) {
        printf("\nFLamby's split, epsilon %g, 5 seeds (published, without privacy, accuracy, mean "
               "of four: FedAvg 0.718, then fine-tuned by each 0.735)\n",
               epsilon);
        report(&f, 5);
    }
    fm_demo_hospitals_fini(h);
    free(schema);
    return st;
}

static fm_status run(const char *shared, uint64_t seeds, bool quick)
{
    char data[4096], split[4096];
    struct stat s;
    fm_status st;

    snprintf(data, sizeof data, "%s/data/heart_disease", shared);
    snprintf(split, sizeof split,
             "%s/data/flamby_results/fed_heart_disease_flamby_split_raw_features.csv", shared);
    if (stat(data, &s) != 0) {
        printf("skipped: %s is not there (the UCI heart-disease files)\n", data);
        exit(77);
    }
    if ((st = own_splits(data, 1.0, seeds)) != FM_OK || quick ||
        (st = own_splits(data, NO_PRIVACY, seeds)) != FM_OK || stat(split, &s) != 0 ||
        (st = flamby(data, split, 1.0)) != FM_OK)
        return st;
    return flamby(data, split, NO_PRIVACY);
}

int main(int argc, char **argv)
{
    const char *shared = getenv("FEDMOE_SHARED") ? getenv("FEDMOE_SHARED") : "../shared";
    uint64_t seeds = 10;
    bool quick = false;
    const fm_cli_option options[] = {
        { "shared", FM_CLI_STRING, &shared, "DIR", "where data/ lies (default ../shared)", false, 0,
          0 },
        { "seeds", FM_CLI_U64, &seeds, "N", "splits (default 10)", false, 1, 1000 },
        { "smoke", FM_CLI_FLAG, &quick, NULL, "the first table alone", false, 0, 0 },
    };
    const fm_cli_spec spec = { .program = "bench-personal",
                               .summary = "What a head of its own gains each hospital.",
                               .examples = "./dev bench personal",
                               .options = options,
                               .option_count = sizeof options / sizeof options[0] };
    int first = 0, code;

    if (fm_random_init() != FM_OK)
        return fm_cli_failed(spec.program);
    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    return run(shared, seeds, quick) == FM_OK ? 0 : fm_cli_failed(spec.program);
}
