/* fedmoe-dp compose: what a ledger's entries add up to. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_internal.h"
#include "fedmoe/base/cli.h"
#include "fedmoe/base/json.h"
#include "fedmoe/dp/ledger.h"

/* One data set while the ledger is read. */
typedef struct set {
    struct set *next;
    char name[64];
    unsigned long long entries;
    fm_dp_account *account;
} set;

typedef struct {
    const char *only; /* this data set, or NULL */
    set *first;
} sets;

static fm_status add_row(void *ctx, const fm_ledger_row *row)
{
    sets *all = ctx;
    set **at = &all->first;
    fm_status st;

    if (all->only && strcmp(all->only, row->data_set) != 0)
        return FM_OK;
    while (*at && strcmp((*at)->name, row->data_set) != 0)
        at = &(*at)->next;
    if (!*at) {
        if (!(*at = calloc(1, sizeof **at)))
            return fm_fail(FM_ENOMEM, "out of memory");
        memcpy((*at)->name, row->data_set, sizeof(*at)->name);
        if ((st = fm_dp_account_new(&(*at)->account)) != FM_OK)
            return st;
    }
    (*at)->entries++;
    st = fm_dp_account_add((*at)->account, &row->mechanism);
    return st == FM_OK ? st
                       : fm_fail_context(st, "entry %llu: ", (unsigned long long)row->sequence);
}

static fm_status print_set(const set *s, double delta, json_t *out)
{
    fm_dp_cost cost;
    json_t *o;
    fm_status st = fm_dp_account_epsilon(s->account, NULL, delta, &cost);

    if (st != FM_OK)
        return fm_fail_context(st, "data set '%s': ", s->name);
    if (!out) {
        printf("data set '%s': %llu entries, ", s->name, s->entries);
        return fm_dp_cmd_print_cost(&cost, false);
    }
    o = json_pack("{s:I, s:f, s:f, s:s}", "entries", (json_int_t)s->entries, "epsilon",
                  cost.epsilon, "delta", cost.delta, "accountant",
                  fm_dp_cmd_accountant_name(cost.accountant));
    return json_object_set_new(out, s->name, o) == 0
               ? FM_OK
               : fm_fail(FM_EPROTO, "data set '%s': not UTF-8, or not finite", s->name);
}

static fm_status compose(const char *path, const char *only, double delta, bool json)
{
    sets all = { .only = only };
    fm_ledger *l = NULL;
    json_t *out = json ? json_object() : NULL;
    fm_status st = fm_ledger_open_readonly(path, &l);

    /* A sum of what was taken out or altered would be too small. */
    if (st == FM_OK && (st = fm_ledger_verify(l, NULL)) == FM_OK)
        st = fm_ledger_walk(l, add_row, &all);
    if (st == FM_OK && only && !all.first)
        st = fm_fail(FM_ENOTFOUND, "%s: there is no entry of data set '%s'", path, only);
    for (set *s = all.first; st == FM_OK && s; s = s->next)
        st = print_set(s, delta, out);
    if (st == FM_OK && json)
        st = fm_json_print(out);
    while (all.first) {
        set *next = all.first->next;

        fm_dp_account_free(&all.first->account);
        free(all.first);
        all.first = next;
    }
    json_decref(out);
    fm_ledger_close(&l);
    return st;
}

int fm_dp_cmd_compose(int argc, char **argv)
{
    const char *only = NULL;
    double delta = 1e-5;
    bool json = false;
    const fm_cli_option options[] = {
        { .name = "data-set",
          .kind = FM_CLI_STRING,
          .out = &only,
          .value = "NAME",
          .help = "add up this data set only" },
        { .name = "delta",
          .kind = FM_CLI_DOUBLE,
          .out = &delta,
          .value = "D",
          .help = "delta of the guarantee (default 1e-5)",
          .lo = DELTA_LO,
          .hi = DELTA_HI },
        { .name = "json", .kind = FM_CLI_FLAG, .out = &json, .help = "print JSON" },
    };
    const fm_cli_spec spec = {
        .program = "fedmoe-dp compose",
        .summary = "Adds up what each data set of a ledger has spent.",
        .examples = "fedmoe-dp compose ledger.db --data-set cleveland --delta 1e-6 --json",
        .options = options,
        .option_count = sizeof options / sizeof *options,
        .operands = "LEDGER",
        .operands_min = 1,
        .operands_max = 1,
    };
    int operands = 0, code;

    if (!fm_cli_begin(&spec, argc, argv, &operands, &code))
        return code;
    return fm_dp_cmd_finish(spec.program, compose(argv[operands], only, delta, json));
}
