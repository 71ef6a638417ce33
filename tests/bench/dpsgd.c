/*
 * The price of privacy in a training step, on one thread: our private step against our own without
 * privacy, and both against PyTorch's (dpsgd_peer.py), in one run and in turns, with OpenBLAS at its
 * best core type. docs/speed.md says what is measured, and has the figures.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "blas_core.h"
#include "dpsgd_peer.h"
#include "dpsgd_round.h"
#include "dpsgd_step.h"
#include "fedmoe/base/cli.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/base/log.h"
#include "fedmoe/base/memory.h"
#include "fedmoe/model/compute.h"

#define MOST_STEPS ((size_t)1 << 16)
#define FEW_EXPERTS 8u
#define MANY_EXPERTS 64u
#define WARM_UP 3

typedef struct {
    const char *python;
    uint64_t repetitions, chunk_ms;
    bool no_peer;
} bench_options;

/* Of one kind of step over all its turns. */
typedef struct {
    float *all; /* [MOST_STEPS] seconds */
    size_t count;
    double best_s, best_parts_s[DPSGD_PARTS];
} steps;

/* One model's. */
typedef struct {
    const char *name;
    dpsgd_kind kind;
    size_t experts;
    dpsgd_learner *learner;
    steps own[2]; /* without and with privacy */
    dpsgd_peer_time peer[2];
    bool has_peer;
    dpsgd_product products[DPSGD_PRODUCTS];
    double rate[DPSGD_PRODUCTS]; /* GFLOP/s of OpenBLAS */
    size_t product_count;
    double clipped;
    long memory_kib[2];
} contest;

enum { MLP, MOE, MOE_MANY, CONTESTS };

/* ---- measuring ---- */

static fm_status take_turn(contest *c, bool private_step, double seconds)
{
    steps *s = &c->own[private_step];
    const size_t before = s->count;
    double parts[DPSGD_PARTS];
    fm_status st = FM_OK;
    uint64_t end;

    for (int i = 0; i < WARM_UP && st == FM_OK; i++)
        st = dpsgd_step(c->learner, private_step, parts);
    end = fm_clock_now_ns() + (uint64_t)(seconds * 1e9);
    while (st == FM_OK && s->count < MOST_STEPS &&
           (fm_clock_now_ns() < end || s->count == before)) {
        double total = 0.0;

        st = dpsgd_step(c->learner, private_step, parts);
        for (size_t i = 0; i < DPSGD_PARTS; i++) {
            total += parts[i];
            if (s->count == 0 || parts[i] < s->best_parts_s[i])
                s->best_parts_s[i] = parts[i];
        }
        s->best_s = s->count == 0 || total < s->best_s ? total : s->best_s;
        s->all[s->count++] = (float)total;
    }
    return st;
}

static void measure_products(contest *c, double seconds)
{
    for (size_t i = 0; i < c->product_count; i++) {
        const dpsgd_product *p = &c->products[i];
        const double rate =
            bench_blas_rate(p->m, p->n, p->k, p->transpose_a, p->transpose_b, seconds);

        c->rate[i] = rate > c->rate[i] ? rate : c->rate[i];
    }
}

static bool ask_peer(contest *c, dpsgd_peer *p, double seconds)
{
    static const char *const names[] = { "plain", "private" };
    const bool first = !c->has_peer;

    for (int k = 0; k < 2; k++) {
        dpsgd_peer_time t, *best = &c->peer[k];

        if (!dpsgd_peer_measure(p, c->name, names[k], seconds, &t))
            return false;
        if (!first) {
            t.plainest_s = best->plainest_s < t.plainest_s ? best->plainest_s : t.plainest_s;
            t.median_s = best->best_s < t.best_s ? best->median_s : t.median_s;
            t.best_s = best->best_s < t.best_s ? best->best_s : t.best_s;
        }
        if (t.plainest_s < t.best_s) { /* between ways that are about as fast */
            t.best_s = t.plainest_s;
            (void)snprintf(t.way, sizeof t.way, "as most would write it");
        }
        *best = t;
    }
    c->has_peer = true;
    return true;
}

static fm_status take_turns(const bench_options *o, contest all[CONTESTS],
                            dpsgd_training trainings[DPSGD_TRAININGS], dpsgd_peer *peer,
                            fm_compute_report *compute)
{
    const double seconds = (double)o->chunk_ms * 1e-3;
    fm_status st = FM_OK;

    for (uint64_t r = 0; st == FM_OK && r < o->repetitions; r++) {
        fm_compute_report now;

        if ((st = fm_compute_measure(&now)) != FM_OK)
            break;
        if (r == 0 || now.peak_gflops > compute->peak_gflops)
            *compute = now;
        for (int c = 0; st == FM_OK && c < CONTESTS; c++) {
            if ((st = take_turn(&all[c], false, seconds)) == FM_OK)
                st = take_turn(&all[c], true, seconds);
            all[c].clipped = dpsgd_clipped(all[c].learner);
            measure_products(&all[c], seconds / 10.0);
            if (peer && c != MOE_MANY && !ask_peer(&all[c], peer, seconds))
                return fm_fail(FM_EIO, "the peer gave no answer");
        }
        for (int i = 0; st == FM_OK && i < DPSGD_TRAININGS; i++)
            st = dpsgd_training_measure(all[MOE].learner, seconds, &trainings[i]);
    }
    return st;
}

/* ---- memory ---- */

static fm_status some_steps(const contest *c, bool private_step)
{
    double parts[DPSGD_PARTS];
    dpsgd_learner *l = NULL;
    fm_status st = dpsgd_new(c->kind, c->experts, &l);

    for (int i = 0; st == FM_OK && i < WARM_UP; i++)
        st = dpsgd_step(l, private_step, parts);
    dpsgd_free(&l);
    return st;
}

static long peak_kib(void)
{
    struct rusage u;

    return getrusage(RUSAGE_SELF, &u) == 0 ? u.ru_maxrss : 0;
}

/* What model, buffers and steps add to a process that does nothing else; less the records. */
static long memory_of_steps(const contest *c, bool private_step)
{
    const size_t features = c->kind == DPSGD_MLP ? 784 : 64;
    long kib = 0;
    int ends[2];
    pid_t child;

    if (pipe(ends))
        return 0;
    (void)fflush(NULL);
    if ((child = fork()) == 0) {
        const long before = peak_kib();

        if (some_steps(c, private_step) == FM_OK)
            kib =
                peak_kib() - before - (long)(DPSGD_RECORDS * (features + 1) * sizeof(float) / 1024);
        _exit(write(ends[1], &kib, sizeof kib) == sizeof kib ? 0 : 1);
    }
    (void)close(ends[1]);
    if (child < 0 || read(ends[0], &kib, sizeof kib) != sizeof kib)
        kib = 0;
    (void)close(ends[0]);
    if (child > 0)
        (void)waitpid(child, NULL, 0);
    return kib;
}

/* ---- the tables ---- */

static int by_size(const void *a, const void *b)
{
    const float u = *(const float *)a, v = *(const float *)b;

    return (u > v) - (u < v);
}

static double median_s(steps *s)
{
    qsort(s->all, s->count, sizeof *s->all, by_size);
    return s->count ? (double)s->all[s->count / 2] : 0.0;
}

/* Thousand samples a second. */
static double rate(double seconds)
{
    return seconds > 0.0 ? DPSGD_BATCH / seconds * 1e-3 : 0.0;
}

static double flops(const contest *c)
{
    double n = 0.0;

    for (size_t i = 0; i < c->product_count; i++)
        n += 2.0 * (double)(c->products[i].m * c->products[i].n * c->products[i].k) *
             (double)c->products[i].times;
    return n;
}

/* Seconds that OpenBLAS would need for the products of a step. */
static double products_s(const contest *c)
{
    double s = 0.0;

    for (size_t i = 0; i < c->product_count; i++)
        s += 2e-9 * (double)(c->products[i].m * c->products[i].n * c->products[i].k) *
             (double)c->products[i].times / c->rate[i];
    return s;
}

static void print_rates(contest all[CONTESTS], const fm_compute_report *compute)
{
    static const char *const lines[] = { "fedmoe, no privacy", "fedmoe, private" };
    static const char *const peers[] = { "PyTorch, no privacy", "PyTorch, ghost clipping" };

    printf("\nThousand samples a second on one thread, best (median)\n%-44s %-16s %-16s %-16s\n",
           "", "MLP", "MoE, 8 experts", "MoE, 64 experts");
    for (int k = 0; k < 2 && all[MLP].has_peer; k++) {
        printf("%-44s", peers[k]);
        for (int c = MLP; c <= MOE; c++)
            printf(" %5.1f (%5.1f)   ", rate(all[c].peer[k].best_s), rate(all[c].peer[k].median_s));
        printf("\n%-44s %5.1f            %5.1f\n", "  as most would write it",
               rate(all[MLP].peer[k].plainest_s), rate(all[MOE].peer[k].plainest_s));
    }
    for (int k = 0; k < 2; k++) {
        printf("%-44s", lines[k]);
        for (int c = 0; c < CONTESTS; c++)
            printf(" %5.1f (%5.1f)   ", rate(all[c].own[k].best_s), rate(median_s(&all[c].own[k])));
        printf("\n");
    }
    for (int k = 0; k < 2; k++) {
        printf("%-44s", k ? "  limit: the same at the peak of the core"
                          : "  limit: products by "
                            "OpenBLAS, noise and "
                            "update");
        for (int c = 0; c < CONTESTS; c++)
            printf(" %5.1f           ",
                   rate((k ? flops(&all[c]) * 1e-9 / compute->peak_gflops : products_s(&all[c])) +
                        all[c].own[1].best_parts_s[DPSGD_UPDATE]));
        printf("\n");
    }
}

/* A step of which every part was undisturbed: on a busy machine below the best whole one. */
static double parts_s(const steps *s)
{
    double sum = 0.0;

    for (size_t i = 0; i < DPSGD_PARTS; i++)
        sum += s->best_parts_s[i];
    return sum;
}

static void print_parts(const contest all[CONTESTS])
{
    static const char *const names[] = { "gather, forward, backward", "norms", "sums over records",
                                         "noise, decoding, step", "weights into the layers" };

    printf("\nParts of a step in ms, the best of each: without, with privacy\n");
    for (size_t p = 0; p < DPSGD_PARTS; p++) {
        printf("  %-42s", names[p]);
        for (int c = 0; c < CONTESTS; c++)
            printf(" %5.2f %5.2f     ", 1e3 * all[c].own[0].best_parts_s[p],
                   1e3 * all[c].own[1].best_parts_s[p]);
        printf("\n");
    }
    printf("  %-42s", "together");
    for (int c = 0; c < CONTESTS; c++)
        printf(" %5.2f %5.2f     ", 1e3 * parts_s(&all[c].own[0]), 1e3 * parts_s(&all[c].own[1]));
    printf("\n  %-42s", "products by OpenBLAS (GFLOP/s of them all)");
    for (int c = 0; c < CONTESTS; c++)
        printf(" %5.2f (%5.1f)   ", 1e3 * products_s(&all[c]),
               flops(&all[c]) * 1e-9 / products_s(&all[c]));
    printf("\n  %-42s", "clipped records");
    for (int c = 0; c < CONTESTS; c++)
        printf(" %3.0f %%           ", 100.0 * all[c].clipped);
    printf("\n");
}

static void print_line(const char *what, double figure, double median, const char *least,
                       const char *aim)
{
    char text[32] = "";

    if (median > 0.0)
        (void)snprintf(text, sizeof text, "(%.2f)", median);
    printf("  %-62s %6.2f %-8s %-9s %s\n", what, figure, text, least, aim);
}

static double cost(const contest *c)
{
    return c->own[1].best_s / c->own[0].best_s;
}

static double cost_by_median(contest *c)
{
    return median_s(&c->own[1]) / median_s(&c->own[0]);
}

/* What is done once for each parameter, whoever used it. */
static double dense_s(const steps *s)
{
    return s->best_parts_s[DPSGD_UPDATE] + s->best_parts_s[DPSGD_WEIGHTS];
}

static void print_against_peer(const contest all[CONTESTS])
{
    static const char *const least[][2] = { { "1.0", "1.6" }, { "1.6", "2.4" } };
    static const char *const aim[][2] = { { "1.25", "2.1" }, { "2", "3.2" } };
    static const char *const names[][2] = { { "private step to PyTorch without privacy: MLP",
                                              "private step to PyTorch without privacy: MoE" },
                                            { "private step to PyTorch's private one: MLP",
                                              "private step to PyTorch's private one: MoE" } };

    for (int k = 0; k < 2; k++)
        for (int c = MLP; c <= MOE; c++) {
            print_line(names[k][c], all[c].peer[k].best_s / all[c].own[1].best_s, 0.0, least[k][c],
                       aim[k][c]);
            print_line("    as most would write it there",
                       all[c].peer[k].plainest_s / all[c].own[1].best_s, 0.0, "", "");
        }
}

static void print_measures(contest all[CONTESTS])
{
    const steps *few = &all[MOE].own[1], *many = &all[MOE_MANY].own[1];

    printf("\n  %-62s %-15s %-9s %s\n", "measure: best (of the medians)", "reached", "at least",
           "aim");
    print_line("private step to own step without privacy: MLP, times", cost(&all[MLP]),
               cost_by_median(&all[MLP]), "1.15", "1.05");
    print_line("    by the best of each part",
               parts_s(&all[MLP].own[1]) / parts_s(&all[MLP].own[0]), 0.0, "", "");
    print_line("private step to own step without privacy: MoE, times", cost(&all[MOE]),
               cost_by_median(&all[MOE]), "1.15", "1.05");
    print_line("    by the best of each part",
               parts_s(&all[MOE].own[1]) / parts_s(&all[MOE].own[0]), 0.0, "", "");
    if (all[MLP].has_peer)
        print_against_peer(all);
    for (int c = MLP; c <= MOE; c++)
        print_line(c == MLP ? "OpenBLAS's time for the products in the private step: MLP"
                            : "OpenBLAS's time for the products in the private step: MoE",
                   products_s(&all[c]) / all[c].own[1].best_s, 0.0, "0.50", "0.75");
    print_line("64 experts to 8, private, times", many->best_s / few->best_s,
               median_s(&all[MOE_MANY].own[1]) / median_s(&all[MOE].own[1]), "1.3", "1.1");
    print_line("    without noise and step, which are for each parameter",
               (parts_s(many) - dense_s(many)) / (parts_s(few) - dense_s(few)), 0.0, "", "");
    print_line("    forward and backward alone",
               many->best_parts_s[DPSGD_BACKWARD] / few->best_parts_s[DPSGD_BACKWARD], 0.0, "", "");
    print_line("    without privacy", all[MOE_MANY].own[0].best_s / all[MOE].own[0].best_s, 0.0, "",
               "");
    for (int c = MLP; c <= MOE; c++)
        print_line(c == MLP ? "peak memory of private steps to those without: MLP, times"
                            : "peak memory of private steps to those without: MoE, times",
                   (double)all[c].memory_kib[1] / (double)all[c].memory_kib[0], 0.0, "1.1", "1.02");
    printf("  Memory: peak of a process that takes some steps, less the program and the records: "
           "%ld and %ld KiB, %ld and %ld KiB.\n",
           all[MLP].memory_kib[0], all[MLP].memory_kib[1], all[MOE].memory_kib[0],
           all[MOE].memory_kib[1]);
}

/* ---- running ---- */

static void print_head(const bench_blas *blas, const fm_compute_report *compute,
                       const contest all[CONTESTS], const dpsgd_peer *peer)
{
    char line[256];

    fm_compute_format(compute, line, sizeof line);
    printf("%s\n", line);
    bench_blas_print(blas, stdout);
    if (!all[MLP].has_peer)
        return;
    printf("%s; fastest ways there:\n", peer->about);
    for (int c = MLP; c <= MOE; c++)
        printf("  %s: %s; private: %s\n", all[c].name, all[c].peer[0].way, all[c].peer[1].way);
    printf("Opacus is not in Debian: not measured.\n");
}

static fm_status open_contest(contest *c)
{
    fm_status st = dpsgd_new(c->kind, c->experts, &c->learner);

    c->product_count = dpsgd_products(c->kind, c->experts, c->products);
    for (int k = 0; st == FM_OK && k < 2; k++)
        st = fm_alloc(MOST_STEPS, sizeof(float), (void **)&c->own[k].all);
    return st;
}

static fm_status run(const bench_options *o, const bench_blas *blas)
{
    contest all[CONTESTS] = {
        [MLP] = { .name = "mlp", .kind = DPSGD_MLP, .experts = FEW_EXPERTS },
        [MOE] = { .name = "moe", .kind = DPSGD_MOE, .experts = FEW_EXPERTS },
        [MOE_MANY] = { .name = "moe", .kind = DPSGD_MOE, .experts = MANY_EXPERTS },
    };
    dpsgd_training trainings[DPSGD_TRAININGS];
    fm_compute_report compute;
    dpsgd_peer peer;
    bool with_peer;
    fm_status st = FM_OK;

    memcpy(trainings, dpsgd_trainings, sizeof trainings);
    for (int c = MLP; c <= MOE; c++) /* before this process has grown */
        for (int k = 0; k < 2; k++)
            all[c].memory_kib[k] = memory_of_steps(&all[c], k);
    for (int c = 0; st == FM_OK && c < CONTESTS; c++)
        st = open_contest(&all[c]);
    with_peer = st == FM_OK && !o->no_peer && dpsgd_peer_start(&peer, o->python, FEW_EXPERTS);
    if (st == FM_OK)
        st = take_turns(o, all, trainings, with_peer ? &peer : NULL, &compute);
    if (st == FM_OK) {
        print_head(blas, &compute, all, &peer);
        print_rates(all, &compute);
        dpsgd_trainings_print(trainings);
        print_parts(all);
        print_measures(all);
    }
    if (with_peer)
        dpsgd_peer_stop(&peer);
    for (int c = 0; c < CONTESTS; c++) {
        dpsgd_free(&all[c].learner);
        for (int k = 0; k < 2; k++)
            free(all[c].own[k].all);
    }
    return st;
}

int main(int argc, char **argv)
{
    bench_options o = { .python = "/usr/bin/python3", .repetitions = 10, .chunk_ms = 200 };
    const fm_cli_option options[] = {
        { "repetitions", FM_CLI_U64, &o.repetitions, "N", "turns of each step (default 10)", false,
          1, 10000 },
        { "chunk", FM_CLI_U64, &o.chunk_ms, "MS", "length of a turn (default 200)", false, 1,
          10000 },
        { "python", FM_CLI_STRING, &o.python, "PATH",
          "Python with PyTorch (default /usr/bin/python3: package python3-torch)", false, 0, 0 },
        { "no-peer", FM_CLI_FLAG, &o.no_peer, NULL, "without PyTorch", false, 0, 0 },
    };
    const fm_cli_spec spec = { .program = "bench-dpsgd",
                               .summary = "What privacy costs in a training step.",
                               .examples = "./dev bench dpsgd\n./dev bench dpsgd --no-peer",
                               .options = options,
                               .option_count = sizeof options / sizeof options[0] };
    bench_blas blas;
    int first = 0, code;

    bench_blas_core(argv, &blas);
    fm_log_set_level(FM_LOG_ERROR); /* the noise is seeded: that is no secret here */
    if (fm_random_init() != FM_OK)
        return fm_cli_failed(spec.program);
    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    return run(&o, &blas) == FM_OK ? 0 : fm_cli_failed(spec.program);
}
