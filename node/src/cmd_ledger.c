#include <stdio.h>

#include "commands.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/base/json.h"
#include "fedmoe/dp/ledger_text.h"
#include "fedmoe/node/config.h"
#include "run_internal.h"
#include "words.h"

typedef struct {
    const fm_node_config *config;
    uint64_t entries; /* verified */
    double spent;
    json_t *rows; /* NULL: print as text */
} book;

static json_t *row_json(const fm_ledger_row *r)
{
    char when[32], plan[2 * FM_HASH_BYTES + 1], hash[2 * FM_HASH_BYTES + 1];

    fm_clock_format(r->wall_s, when, sizeof when);
    fm_hash_hex(&r->plan, plan);
    fm_hash_hex(&r->hash, hash);
    return json_pack("{s:I s:s s:s s:s s:s s:s s:s s:I s:s s:f s:f s:I s:I s:s}", "sequence",
                     (json_int_t)r->sequence, "time", when, "data_set", r->data_set, "federation",
                     r->federation, "purpose", r->purpose, "unit", r->unit, "plan", plan, "round",
                     (json_int_t)r->round, "kind", fm_ledger_kind_name(r->mechanism.kind),
                     "noise_multiplier", r->mechanism.noise_multiplier, "sampling_rate",
                     r->mechanism.sampling_rate, "count", (json_int_t)r->mechanism.count,
                     "sensitivity", (json_int_t)r->mechanism.sensitivity, "hash", hash);
}

static fm_status each_row(void *ctx, const fm_ledger_row *r)
{
    book *b = ctx;
    char when[32];

    if (b->rows)
        return json_array_append_new(b->rows, row_json(r)) == 0
                   ? FM_OK
                   : fm_fail(FM_ENOMEM, "no memory for the ledger's rows");
    fm_clock_format(r->wall_s, when, sizeof when);
    printf("%6llu  %s  %-20s  %-16s  %6llu  %-17s  %8.4f  %8.6f  %5llu  %-12s  %s\n",
           (unsigned long long)r->sequence, when, r->data_set, r->federation,
           (unsigned long long)r->round, fm_ledger_kind_name(r->mechanism.kind),
           r->mechanism.noise_multiplier, r->mechanism.sampling_rate,
           (unsigned long long)r->mechanism.count, r->unit, r->purpose);
    return FM_OK;
}

static fm_status show_text(fm_ledger *l, book *b)
{
    const fm_node_policy *p = &b->config->policy;
    double left = p->epsilon > b->spent ? p->epsilon - b->spent : 0.0;
    fm_status st;

    printf("%6s  %-20s  %-20s  %-16s  %6s  %-17s  %8s  %8s  %5s  %-12s  %s\n", "entry", "time",
           "data set", "federation", "round", "kind", "noise", "sampling", "count", "unit",
           "purpose");
    if ((st = fm_ledger_walk(l, each_row, b)) != FM_OK)
        return st;
    printf("\n%llu entries; the chain of hashes is whole.\n", (unsigned long long)b->entries);
    printf("Data set %s: epsilon %.4f of %.4f is spent, %.4f is left, at delta %g.\n",
           b->config->data_set, fm_words_up(b->spent), p->epsilon, fm_words_down(left), p->delta);
    return FM_OK;
}

static fm_status show_json(fm_ledger *l, book *b)
{
    const fm_node_policy *p = &b->config->policy;
    json_t *j;
    fm_status st;

    if (!(b->rows = json_array()))
        return fm_fail(FM_ENOMEM, "no memory for the ledger's rows");
    if ((st = fm_ledger_walk(l, each_row, b)) != FM_OK) {
        json_decref(b->rows);
        return st;
    }
    j = json_pack("{s:s s:I s:b s:f s:f s:f s:f s:o}", "data_set", b->config->data_set, "entries",
                  (json_int_t)b->entries, "chain_verified", 1, "epsilon_spent", b->spent,
                  "epsilon_budget", p->epsilon, "epsilon_left",
                  p->epsilon > b->spent ? p->epsilon - b->spent : 0.0, "delta", p->delta, "rows",
                  b->rows);
    st = j ? fm_json_print(j) : fm_fail(FM_ENOMEM, "no memory for the ledger");
    json_decref(j);
    return st;
}

static fm_status show(const fm_node_config *c, bool json)
{
    fm_ledger *l = NULL;
    book b = { .config = c };
    fm_status st;

    if ((st = fm_ledger_open_readonly(c->ledger, &l)) == FM_ENOTFOUND)
        return fm_node_books_missing(c);
    if (st == FM_OK && (st = fm_ledger_verify(l, &b.entries)) == FM_OK &&
        (st = fm_ledger_epsilon(l, c->data_set, NULL, c->policy.delta, &b.spent)) == FM_OK)
        st = json ? show_json(l, &b) : show_text(l, &b);
    fm_ledger_close(&l);
    return st;
}

int fm_cmd_ledger_show(int argc, char **argv)
{
    const char *config = "node.yaml";
    bool json = false;
    const fm_cli_option options[] = { FM_CMD_CONFIG_OPTION(config), FM_CMD_JSON_OPTION(json) };
    const fm_cli_spec spec = {
        .program = "fedmoe-node ledger show",
        .summary = "Show every release that was made of the data set, check that none was taken "
                   "out or changed, and add up what is spent.",
        .examples = "fedmoe-node ledger show\nfedmoe-node ledger show --config node.yaml --json",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    fm_node_config c = { 0 };
    int first = 0, code = 0;
    fm_status st;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    if ((st = fm_node_config_load(config, &c)) == FM_OK)
        st = show(&c, json);
    fm_node_config_fini(&c);
    return st == FM_OK ? 0 : fm_cli_failed(spec.program);
}
