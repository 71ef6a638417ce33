/* fedmoe-dp ledger: rows, sum per data set, and whether the hash chain holds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_internal.h"
#include "fedmoe/base/cli.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/base/json.h"
#include "fedmoe/dp/ledger_text.h"

/* Everything to show is gathered as JSON first; the plain form is printed from it. */
typedef struct {
    const char *only;  /* this data set, or NULL */
    json_t *entries;   /* array */
    json_t *data_sets; /* name -> {releases, epsilon, delta} */
    char head[2 * FM_HASH_BYTES + 1];
} gathered;

static json_t *text(const char *s)
{
    json_t *j = json_string(s);

    return j ? j : json_string("(not UTF-8)");
}

static json_t *number(uint64_t v)
{
    char digits[24];

    if (v <= INT64_MAX)
        return json_integer((json_int_t)v);
    snprintf(digits, sizeof digits, "%llu", (unsigned long long)v);
    return json_string(digits);
}

static fm_status add_to_data_set(gathered *g, const fm_ledger_row *row)
{
    json_t *set = json_object_get(g->data_sets, row->data_set);
    json_int_t releases = json_integer_value(json_object_get(set, "releases"));

    if (!set) {
        set = json_object();
        if (json_object_set_new(g->data_sets, row->data_set, set) != 0)
            return fm_fail(FM_EPROTO, "entry %llu: the name of the data set is not UTF-8",
                           (unsigned long long)row->sequence);
    }
    releases += (json_int_t)row->mechanism.count;
    if (json_object_set_new(set, "releases", json_integer(releases)) != 0)
        return fm_fail(FM_ENOMEM, "out of memory");
    return FM_OK;
}

static fm_status gather_row(void *ctx, const fm_ledger_row *row)
{
    gathered *g = ctx;
    char when[32], plan[2 * FM_HASH_BYTES + 1];
    json_t *o;

    fm_hash_hex(&row->hash, g->head);
    if (g->only && strcmp(g->only, row->data_set) != 0)
        return FM_OK;
    fm_clock_format(row->wall_s, when, sizeof when);
    fm_hash_hex(&row->plan, plan);
    o = json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:s, s:o, s:s, s:f, s:f, s:o, s:o, s:s}",
                  "sequence", number(row->sequence), "time", when, "data_set", text(row->data_set),
                  "federation", text(row->federation), "purpose", text(row->purpose), "unit",
                  text(row->unit), "plan", plan, "round", number(row->round), "kind",
                  fm_ledger_kind_name(row->mechanism.kind), "noise_multiplier",
                  row->mechanism.noise_multiplier, "sampling_rate", row->mechanism.sampling_rate,
                  "count", number(row->mechanism.count), "sensitivity",
                  number(row->mechanism.sensitivity), "hash", g->head);
    if (!o || json_array_append_new(g->entries, o) != 0)
        return fm_fail(FM_EPROTO, "entry %llu: a number is not finite",
                       (unsigned long long)row->sequence);
    return add_to_data_set(g, row);
}

static fm_status sum_data_sets(fm_ledger *l, gathered *g, double delta)
{
    const char *name;
    json_t *set;

    json_object_foreach(g->data_sets, name, set)
    {
        double epsilon = 0.0;
        fm_status st = fm_ledger_epsilon(l, name, NULL, delta, &epsilon);

        if (st != FM_OK)
            return st;
        if (json_object_set_new(set, "epsilon", json_real(epsilon)) != 0 ||
            json_object_set_new(set, "delta", json_real(delta)) != 0)
            return fm_fail(FM_EPROTO, "data set '%s': epsilon is not finite", name);
    }
    return FM_OK;
}

static const char *word(const json_t *entry, const char *key)
{
    const char *s = json_string_value(json_object_get(entry, key));

    return s ? s : "?";
}

static void print_plain(const gathered *g)
{
    const char *name;
    json_t *e;
    size_t i;

    if (json_array_size(g->entries) > 0)
        printf("%8s  %-20s  %-16s  %-16s  %8s  %-17s  %9s  %10s  %6s  %-12s  %s\n", "entry", "time",
               "data set", "federation", "round", "kind", "noise", "rate", "count", "unit",
               "purpose");
    json_array_foreach(g->entries, i, e)
    {
        printf("%8lld  %-20s  %-16s  %-16s  %8lld  %-17s  %9.5g  %10.6g  %6lld  %-12s  %s\n",
               (long long)json_integer_value(json_object_get(e, "sequence")), word(e, "time"),
               word(e, "data_set"), word(e, "federation"),
               (long long)json_integer_value(json_object_get(e, "round")), word(e, "kind"),
               json_real_value(json_object_get(e, "noise_multiplier")),
               json_real_value(json_object_get(e, "sampling_rate")),
               (long long)json_integer_value(json_object_get(e, "count")), word(e, "unit"),
               word(e, "purpose"));
    }
    json_object_foreach(g->data_sets, name, e)
    {
        printf("data set '%s': %lld releases, epsilon %.6g at delta %.6g\n", name,
               (long long)json_integer_value(json_object_get(e, "releases")),
               json_real_value(json_object_get(e, "epsilon")),
               json_real_value(json_object_get(e, "delta")));
    }
}

static fm_status print_all(const gathered *g, fm_status verdict, uint64_t entries, bool json)
{
    json_t *o;
    fm_status st;

    if (!json) {
        print_plain(g);
        if (verdict == FM_OK)
            printf("%llu entries, hash chain verified%s%s\n", (unsigned long long)entries,
                   entries ? ", head " : "", g->head);
        return FM_OK;
    }
    o = json_pack("{s:O, s:O, s:b, s:o}", "entries", g->entries, "data_sets", g->data_sets,
                  "verified", verdict == FM_OK, "head", text(g->head));
    if (o && verdict != FM_OK)
        (void)json_object_set_new(o, "problem", text(fm_error_text()));
    if (!o)
        return fm_fail(FM_ENOMEM, "out of memory");
    st = fm_json_print(o);
    json_decref(o);
    return st;
}

static fm_status show(const char *path, const char *only, double delta, bool json)
{
    gathered g = { .only = only, .entries = json_array(), .data_sets = json_object() };
    fm_ledger *l = NULL;
    uint64_t entries = 0;
    fm_status st = g.entries && g.data_sets ? fm_ledger_open_readonly(path, &l)
                                            : fm_fail(FM_ENOMEM, "out of memory");

    if (st != FM_OK)
        goto done;
    st = fm_ledger_walk(l, gather_row, &g);
    if (st == FM_OK)
        st = sum_data_sets(l, &g, delta);
    if (st == FM_OK && only && json_object_size(g.data_sets) == 0)
        st = fm_fail(FM_ENOTFOUND, "%s: there is no entry of data set '%s'", path, only);
    if (st == FM_OK || st == FM_EPROTO) { /* what was altered is shown, then said */
        fm_status verdict = st == FM_OK ? fm_ledger_verify(l, &entries) : st;

        st = print_all(&g, verdict, entries, json);
        if (st == FM_OK)
            st = verdict;
    }
done:
    fm_ledger_close(&l);
    json_decref(g.entries);
    json_decref(g.data_sets);
    return st;
}

int fm_dp_cmd_ledger(int argc, char **argv)
{
    const char *only = NULL;
    double delta = 1e-5;
    bool json = false;
    const fm_cli_option options[] = {
        { .name = "data-set",
          .kind = FM_CLI_STRING,
          .out = &only,
          .value = "NAME",
          .help = "show entries of this data set only" },
        { .name = "delta",
          .kind = FM_CLI_DOUBLE,
          .out = &delta,
          .value = "D",
          .help = "delta at which the sum is reckoned (default 1e-5)",
          .lo = 1e-300,
          .hi = 0.999999 },
        { .name = "json", .kind = FM_CLI_FLAG, .out = &json, .help = "print JSON" },
    };
    const fm_cli_spec spec = {
        .program = "fedmoe-dp ledger",
        .summary =
            "Shows a node's ledger, what each data set has spent, and checks the hash chain.",
        .examples = "fedmoe-dp ledger /var/lib/fedmoe/ledger.db\n"
                    "fedmoe-dp ledger ledger.db --data-set cleveland --delta 1e-6 --json",
        .options = options,
        .option_count = sizeof options / sizeof *options,
        .operands = "FILE",
        .operands_min = 1,
        .operands_max = 1,
    };
    int operands = 0, code;

    if (!fm_cli_begin(&spec, argc, argv, &operands, &code))
        return code;
    return show(argv[operands], only, delta, json) == FM_OK ? 0 : fm_cli_failed(spec.program);
}
