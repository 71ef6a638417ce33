#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "demo_internal.h"

static json_t *figure(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static fm_status write_json(const demo *d)
{
    json_t *list = json_array(), *all;
    fm_status st;

    for (size_t i = 0; i < FM_DEMO_HOSPITALS; i++) {
        const hospital_result *r = &d->results[i];

        json_array_append_new(
            list, json_pack("{s:s, s:I, s:I, s:o, s:o, s:f, s:I}", "name", d->parties[i].name,
                            "train_records", (json_int_t)r->train_records, "test_records",
                            (json_int_t)r->test_records, "auc_alone", figure(r->auc_alone),
                            "auc_federated", figure(r->auc_federated), "epsilon_spent",
                            r->epsilon_spent, "bytes_sent", (json_int_t)r->bytes_sent));
    }
    all = json_pack("{s:f, s:f, s:f, s:o}", "auc", d->auc, "accuracy", d->accuracy, "seconds",
                    d->seconds, "hospitals", list);
    st = all ? fm_json_write(d->o.json, all, 0644) : fm_fail(FM_ENOMEM, "no memory for the report");
    json_decref(all);
    return st;
}

/* An AUC needs both classes among the test records. */
static void print_auc(double v)
{
    if (isfinite(v))
        printf(" %10.3f", v);
    else
        printf(" %10s", "one class");
}

static void print_table(const demo *d)
{
    printf("\n%-12s %7s %6s %10s %10s %14s %11s\n", "hospital", "train", "test", "AUC alone",
           "federated", "epsilon spent", "bytes sent");
    for (size_t i = 0; i < FM_DEMO_HOSPITALS; i++) {
        const hospital_result *r = &d->results[i];

        printf("%-12s %7zu %6zu", d->parties[i].name, r->train_records, r->test_records);
        print_auc(r->auc_alone);
        print_auc(r->auc_federated);
        printf(" %14.4f %11llu\n", r->epsilon_spent, (unsigned long long)r->bytes_sent);
    }
    printf("\nAll hospitals' test records together: AUC %.3f, accuracy %.3f; %.1f s for %llu "
           "round%s.\n",
           d->auc, d->accuracy, d->seconds, (unsigned long long)d->o.rounds,
           d->o.rounds == 1 ? "" : "s");
    printf(
        "Every figure is at epsilon %g, delta %g per record, counting on %llu colluding "
        "node%s. The column \"AUC alone\" is a\ncomparison that this demonstration computes; its "
        "spend is in no ledger.\n",
        d->o.epsilon, d->o.delta, (unsigned long long)d->o.colluders,
        d->o.colluders == 1 ? "" : "s");
}

static void print_next(const demo *d)
{
    const char *name = d->parties[0].name;

    printf("\nEverything lies in %s: a directory per party with its identity, policy, log and, "
           "for a hospital,\nrecords, ledger and the finished model. Try next:\n\n"
           "  %s/fedmoe-node ledger --config %s/%s/node.yaml\n"
           "  %s/fedmoe-model inspect %s/%s/model.safetensors\n"
           "  %s/fedmoe-certs show %s/%s/identity/identity.crt\n",
           d->root, d->bin, d->root, name, d->bin, d->root, name, d->bin, d->root, name);
}

fm_status demo_check_json(const demo *d)
{
    const char *file = d->o.json;
    struct stat info;
    char *temp = NULL;
    int fd;

    if (!file)
        return FM_OK;
    if (!*file || file[strlen(file) - 1] == '/' ||
        (stat(file, &info) == 0 && !S_ISREG(info.st_mode)))
        return fm_fail(FM_EIO, "--json %s: not a regular file; nothing was trained", file);
    if (asprintf(&temp, "%s.XXXXXX", file) < 0)
        return fm_fail(FM_ENOMEM, "no memory for a file name");
    if ((fd = mkostemp(temp, O_CLOEXEC)) < 0) {
        fm_status st =
            fm_fail(FM_EIO, "--json %s: no file can be made there: %s; nothing was trained", file,
                    strerror(errno));

        free(temp);
        return st;
    }
    close(fd);
    (void)unlink(temp);
    free(temp);
    return FM_OK;
}

fm_status demo_report(demo *d)
{
    fm_status st = FM_OK;

    print_table(d);
    if (d->o.json)
        st = write_json(d);
    print_next(d);
    fflush(stdout);
    return st;
}

void demo_print_start(const demo *d)
{
    printf("%s/fedmoe-aggregator start --directory %s\n", d->bin, d->parties[PARTY_AGGREGATOR].dir);
    for (size_t i = 0; i < FM_DEMO_HOSPITALS; i++)
        printf("%s/fedmoe-node start --config %s/node.yaml\n", d->bin, d->parties[i].dir);
}
