#include "report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/clock.h"
#include "policy_internal.h"
#include "words.h"

bool fm_report_is_open(const fm_report *r)
{
    return fm_node_policy_is_open(&r->config.policy);
}

/** A round is charged before its release is journalled; so the journal was read first. */
static fm_status compare_books(const fm_report *r)
{
    if (r->journal_released <= r->releases)
        return FM_OK;
    return fm_fail(
        FM_EPROTO,
        "%s holds %llu releases of data set '%s', but state.db in %s knows of %llu "
        "released rounds: the ledger is not the newest one, or the data set was renamed; "
        "put the newest ledger back before anything is reported",
        r->config.ledger, (unsigned long long)r->releases, r->config.data_set, r->config.dir,
        (unsigned long long)r->journal_released);
}

fm_status fm_report_gather(const char *config, int64_t now_s, fm_report *out)
{
    fm_report *r = NULL;
    void *p = NULL;
    fm_status st;

    if (!config || !out)
        return fm_fail(FM_EINVAL, "fm_report_gather: NULL argument");
    if ((st = fm_alloc(1, sizeof *r, &p)) != FM_OK)
        return st;
    r = p;
    r->made_s = now_s;
    if ((st = fm_strdup(config, &r->config_path)) == FM_OK &&
        (st = fm_node_config_load(config, &r->config)) == FM_OK &&
        (st = fm_report_read_journal(r)) == FM_OK && (st = fm_report_read_ledger(r)) == FM_OK &&
        (st = compare_books(r)) == FM_OK && (st = fm_report_read_beside(r)) == FM_OK)
        *out = *r; /* ownership moves to the caller */
    else
        fm_report_fini(r);
    free(r);
    return st;
}

void fm_report_fini(fm_report *r)
{
    if (!r)
        return;
    fm_node_config_fini(&r->config);
    free(r->config_path);
    free(r->kinds);
    free(r->parts);
    fm_decisions_fini(&r->decisions);
    json_decref(r->plan);
    json_decref(r->status);
    for (size_t i = 0; i < r->file_count; i++)
        free(r->files[i].path);
    *r = (fm_report){ 0 };
}

void fm_report_number(double v, char out[32])
{
    (void)snprintf(out, 32, fabs(v) < 1e4 ? "%.4f" : "%.6g", v < 1e4 ? fm_words_up(v) : v);
}

void fm_report_date(int64_t wall_s, char out[32])
{
    fm_clock_format(wall_s, out, 32);
    out[strcspn(out, "T")] = '\0';
}

void fm_report_mechanism(const fm_dp_mechanism *m, char out[160])
{
    char z[32], q[32];

    fm_words_exact(m->noise_multiplier, z);
    fm_words_exact(m->sampling_rate, q);
    if (m->kind == FM_DP_LAPLACE)
        (void)snprintf(out, 160, "laplace:b=%s,q=%s,steps=%llu", z, q,
                       (unsigned long long)m->count);
    else if (m->kind == FM_DP_DISCRETE_GAUSSIAN)
        (void)snprintf(out, 160, "discrete-gaussian:z=%s,q=%s,sensitivity=%u,steps=%llu", z, q,
                       m->sensitivity, (unsigned long long)m->count);
    else
        (void)snprintf(out, 160, "gaussian:z=%s,q=%s,steps=%llu", z, q,
                       (unsigned long long)m->count);
}

void fm_report_shell(fm_html *h, const char *text)
{
    fm_buf quoted = { 0 };
    fm_status st = fm_buf_append(&quoted, "'", 1);

    /* Within single quotes only the quote itself is special: end, an escaped one, begin again. */
    for (const char *p = text; st == FM_OK && *p; p++)
        st = *p == '\'' ? fm_buf_append(&quoted, "'\\''", 4) : fm_buf_append(&quoted, p, 1);
    if (st == FM_OK)
        st = fm_buf_append(&quoted, "'", 1);
    if (st == FM_OK)
        fm_html_text(h, (const char *)quoted.data);
    else if (h->st == FM_OK)
        h->st = st;
    fm_buf_fini(&quoted);
}
