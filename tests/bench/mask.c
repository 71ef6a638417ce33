/*
 * What masks cost: one mask by every way that this machine has, beside the key streams of OpenSSL
 * and libsodium and what memory allows; the whole masking step of a node; the aggregator's part.
 * All in one run, on one core.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "fedmoe/base/cli.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/base/memory.h"
#include "mask_bench.h"
#include "mask_internal.h"

static const uint8_t g_seed[FM_DP_KEY_BYTES] = { 1 };

double bench_mask_ms(bench_mask_work *work, void *ctx, int tries, fm_status *st)
{
    double best = HUGE_VAL;

    for (int i = 0; i < tries && *st == FM_OK; i++) {
        uint64_t start = fm_clock_now_ns();

        *st = work(ctx);
        best = fmin(best, (double)(fm_clock_now_ns() - start) / 1e6);
    }
    return best;
}

/* ---- one mask ---- */

typedef struct {
    const fm_dp_mask_path *path;
    unsigned word_bits;
    uint32_t *sum; /* [n], also as so many words of 16 bits */
    size_t n;
    size_t near; /* words that are masked again and again; n: all one after the other */
    int sign;
} one_mask;

static fm_status mask_once(void *ctx)
{
    one_mask *m = ctx;
    fm_dp_mask_stream s;
    fm_status st = fm_dp_mask_begin(&s, m->path, m->word_bits, g_seed);

    for (size_t at = 0; st == FM_OK && at < m->n; at += m->near)
        st = fm_dp_mask_next(&s, m->sum, m->n - at < m->near ? m->n - at : m->near, m->sign);
    fm_dp_mask_end(&s);
    return st;
}

/* Read, add, write. */
static fm_status pass(void *ctx)
{
    const one_mask *m = ctx;

    for (size_t i = 0; i < m->n; i++)
        m->sum[i] += 1;
    return FM_OK;
}

static fm_status time_paths(one_mask *m, unsigned word_bits, int tries, double *best)
{
    const double gigabytes = 1e-6 * (double)(m->n * fm_dp_sum_word_bytes(word_bits));
    fm_status st = FM_OK;

    m->word_bits = word_bits;
    printf("  %2u bits %-20s %8s %8s %8s\n", word_bits, "", "add", "subtract", "GB/s");
    for (size_t p = 0; p < fm_dp_mask_path_count && st == FM_OK; p++) {
        double add, subtract;

        m->path = &fm_dp_mask_paths[p];
        if (!m->path->available())
            continue;
        m->sign = 1;
        add = bench_mask_ms(mask_once, m, tries, &st);
        m->sign = -1;
        subtract = bench_mask_ms(mask_once, m, tries, &st);
        printf("  %-28s %8.2f %8.2f %8.1f%s\n", m->path->name, add, subtract, gigabytes / add,
               m->path == fm_dp_mask_best_path() ? "   chosen" : "");
        *best = fmax(add, subtract); /* in the end the chosen one's */
    }
    return st;
}

static fm_status time_one(one_mask *m, int tries)
{
    double ours = HUGE_VAL, narrow = HUGE_VAL, memory, near, peers[BENCH_MASK_PEERS];
    fm_status st;

    printf("one mask on %zu words, milliseconds, best of %d\n", m->n, tries);
    m->near = m->n;
    if ((st = time_paths(m, 16, tries, &narrow)) != FM_OK ||
        (st = time_paths(m, 32, tries, &ours)) != FM_OK)
        return st;
    memory = bench_mask_ms(pass, m, tries, &st);
    m->near = 16 * FM_DP_MASK_GROUP < m->n ? 16 * FM_DP_MASK_GROUP : m->n;
    near = bench_mask_ms(mask_once, m, tries, &st);
    printf(
        "  limits: memory (read, add, write) %.2f; the chosen kernel within the first-level cache "
        "%.2f\n",
        memory, near);
    if (st == FM_OK)
        st = bench_mask_peers(m->n, tries, peers);
    for (size_t i = 0; st == FM_OK && i < BENCH_MASK_PEERS; i++)
        printf("  %-28s %8.2f          %8.1f   key stream alone: %.2f times ours\n",
               bench_mask_peer_names[i], peers[i], 4e-6 * (double)m->n / peers[i], peers[i] / ours);
    if (st == FM_OK)
        printf("  ours: %.2f (aim 3), %.2f times as fast as OpenSSL's AES-256-CTR (at least 1.1); "
               "on words of 16 bits %.2f\n",
               ours, peers[0] / ours, narrow);
    return st;
}

int main(int argc, char **argv)
{
    uint64_t words = 10000000, neighbours = 10, nodes = 200, updates = 100, tries = 25;
    const fm_cli_option options[] = {
        { "words", FM_CLI_U64, &words, "N", "of an update; default 10000000", false, 1, 1 << 28 },
        { "neighbours", FM_CLI_U64, &neighbours, "N", "of a node; default 10", false, 1,
          BENCH_MASK_NEIGHBOURS_MAX },
        { "nodes", FM_CLI_U64, &nodes, "N",
          "of a large federation, for updates of a tenth of the words; default 200", false, 33,
          1024 },
        { "updates", FM_CLI_U64, &updates, "N", "that the aggregator adds; default 100", false, 1,
          10000 },
        { "tries", FM_CLI_U64, &tries, "N", "the best of so many counts; default 25", false, 1,
          1000 },
    };
    const fm_cli_spec spec = { .program = "bench-mask",
                               .summary = "What masks cost, beside OpenSSL's and libsodium's key "
                                          "streams and the limits of memory.",
                               .examples = "./dev bench mask\n./dev bench mask --words 100000000",
                               .options = options,
                               .option_count = sizeof options / sizeof options[0] };
    one_mask m = { .n = 0 };
    void *mem = NULL;
    int first = 0, code;
    fm_status st;

    if (fm_random_init() != FM_OK)
        return fm_cli_failed(spec.program);
    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    if ((st = fm_alloc((size_t)words, sizeof *m.sum, &mem)) == FM_OK) {
        m = (one_mask){ .sum = mem, .n = (size_t)words };
        st = time_one(&m, (int)tries);
    }
    if (st == FM_OK)
        st = bench_mask_node(m.n, (uint32_t)neighbours, (int)tries);
    if (st == FM_OK)
        st = bench_mask_graph(m.n / 10 + 1, (uint32_t)nodes, (int)tries);
    if (st == FM_OK)
        st = bench_mask_aggregator(m.sum, m.n, (uint32_t)updates);
    free(mem);
    return st == FM_OK ? 0 : fm_cli_failed(spec.program);
}
