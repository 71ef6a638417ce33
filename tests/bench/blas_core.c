#include "blas_core.h"

#include <cblas.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fedmoe/base/clock.h"

#define CORE "OPENBLAS_CORETYPE"
#define STATE "FEDMOE_BENCH_CORE" /* "measure", or what was measured: "name=rate name=rate ..." */
#define MEASURE_S 0.05
#define SELF "/proc/self/exe"

static double now_s(void)
{
    return (double)fm_clock_now_ns() * 1e-9;
}

double bench_blas_rate(size_t m, size_t n, size_t k, int transpose_a, int transpose_b,
                       double seconds)
{
    float *a = calloc(m * k, sizeof *a), *b = calloc(k * n, sizeof *b),
          *c = calloc(m * n, sizeof *c);
    const double flops = 2.0 * (double)m * (double)n * (double)k;
    const int times = flops < 1e7 ? 8 : 1; /* in one reading of the clock; short, so that others on
                                              the machine seldom fall within */
    double best = 1e9, end = now_s() + seconds;

    for (size_t i = 0; a && i < m * k; i++)
        a[i] = (float)(i % 7) - 3.0f;
    for (size_t i = 0; b && i < k * n; i++)
        b[i] = (float)(i % 5) - 2.0f;
    while (a && b && c && (now_s() < end || best > 1e8)) {
        const double start = now_s();

        for (int i = 0; i < times; i++)
            cblas_sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans,
                        transpose_b ? CblasTrans : CblasNoTrans, (int)m, (int)n, (int)k, 1.0f, a,
                        transpose_a ? (int)m : (int)k, b, transpose_b ? (int)k : (int)n, 0.0f, c,
                        (int)n);
        best = now_s() - start < best ? now_s() - start : best;
    }
    free(a);
    free(b);
    free(c);
    return times * flops / best * 1e-9;
}

/* By features, never by name; what the library does not have it answers with another name. */
static size_t candidates(const char *names[BENCH_CORES])
{
    size_t n = 0;

    names[n++] = ""; /* whatever it takes by itself */
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
        if (__builtin_cpu_supports("avx512bf16")) {
            names[n++] = "Sapphirerapids";
            names[n++] = "Cooperlake";
        }
        names[n++] = "SkylakeX";
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        names[n++] = "Haswell";
        names[n++] = "Zen";
    } else if (__builtin_cpu_supports("avx")) {
        names[n++] = "Sandybridge";
    }
#endif
    return n;
}

static _Noreturn void measure_and_exit(void)
{
    openblas_set_num_threads(1);
    /* A layer of a network and an expert's. */
    printf("%s %.1f\n", openblas_get_corename(),
           sqrt(bench_blas_rate(256, 256, 784, 0, 1, MEASURE_S) *
                bench_blas_rate(64, 256, 128, 0, 1, MEASURE_S)));
    (void)fflush(stdout);
    _exit(0);
}

static _Noreturn void start_again(char **argv)
{
    (void)fflush(NULL);
    execv(SELF, argv);
    perror("bench: cannot start itself again");
    _exit(1);
}

/* In a process of its own: a core type may run instructions that are not there after all. */
static bool measure(char **argv, const char *name, bench_core *out)
{
    int ends[2], status = -1;
    bool good = false;
    pid_t child;
    FILE *f;

    if (pipe(ends))
        return false;
    (void)fflush(NULL);
    if ((child = fork()) == 0) {
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)close(ends[0]);
        (void)close(ends[1]);
        if (*name)
            (void)setenv(CORE, name, 1);
        (void)setenv(STATE, "measure", 1);
        start_again(argv);
    }
    (void)close(ends[1]);
    if ((f = fdopen(ends[0], "r"))) {
        good = fscanf(f, "%31s %lf", out->name, &out->gflops) == 2;
        (void)fclose(f);
    }
    return child > 0 && waitpid(child, &status, 0) == child && status == 0 && good &&
           (!*name || strcasecmp(name, out->name) == 0);
}

static void measure_all(char **argv, bench_blas *b)
{
    const char *names[BENCH_CORES];
    const size_t n = candidates(names);

    for (size_t i = 0; i < n; i++) {
        bench_core c = { "", 0.0 }, again = { "", 0.0 };

        if (!measure(argv, names[i], &c))
            continue;
        if (measure(argv, names[i], &again) && again.gflops > c.gflops)
            c = again;
        b->tried[b->count++] = c;
    }
}

static void choose_and_start_again(char **argv)
{
    bench_blas b = { .count = 0 };
    char text[BENCH_CORES * (BENCH_CORE_NAME + 16)];
    size_t at = 0, best = 0;

    measure_all(argv, &b);
    text[0] = '\0';
    for (size_t i = 0; i < b.count; i++) {
        at += (size_t)snprintf(text + at, sizeof text - at, "%s %.1f ", b.tried[i].name,
                               b.tried[i].gflops);
        best = b.tried[i].gflops > b.tried[best].gflops ? i : best;
    }
    if (b.count > 0)
        (void)setenv(CORE, b.tried[best].name, 1);
    (void)setenv(STATE, text, 1);
    (void)setenv("OPENBLAS_NUM_THREADS", "1", 1);
    start_again(argv);
}

void bench_blas_core(char **argv, bench_blas *out)
{
    const char *state = getenv(STATE);
    int read = 0;

    memset(out, 0, sizeof *out);
    if (state && strcmp(state, "measure") == 0)
        measure_and_exit();
    openblas_set_num_threads(1);
    if (!state && !getenv(CORE))
        choose_and_start_again(argv);
    for (const char *at = state ? state : ""; out->count < BENCH_CORES; at += read) {
        bench_core *c = &out->tried[out->count];

        if (sscanf(at, "%31s %lf %n", c->name, &c->gflops, &read) != 2)
            break;
        out->count++;
    }
    (void)snprintf(out->chosen, sizeof out->chosen, "%s", openblas_get_corename());
}

void bench_blas_print(const bench_blas *b, FILE *f)
{
    (void)fprintf(f, "OpenBLAS core type %s", b->chosen);
    for (size_t i = 0; i < b->count; i++)
        (void)fprintf(f, "%s%s%s %.0f GFLOP/s", i ? ", " : " (measured: ", b->tried[i].name,
                      i ? "" : " by itself", b->tried[i].gflops);
    (void)fprintf(f, "%s\n", b->count ? ")" : ", set by the caller or not measured");
}
