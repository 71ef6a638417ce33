/* How fedmoe-dp reads mechanisms and prints answers. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cmd_internal.h"
#include "fedmoe/base/cli.h"
#include "fedmoe/base/json.h"
#include "fedmoe/base/text.h"

static const char *const KINDS[] = { "gaussian", "laplace", "discrete-gaussian" };
static const char *const ACCOUNTANTS[] = { "pld", "rdp" };

const char *fm_dp_cmd_kind_name(fm_dp_mechanism_kind k)
{
    return (unsigned)k < sizeof KINDS / sizeof *KINDS ? KINDS[k] : NULL;
}

fm_status fm_dp_cmd_kind(const char *text, fm_dp_mechanism_kind *out)
{
    for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++)
        if (strcmp(text, KINDS[i]) == 0) {
            *out = (fm_dp_mechanism_kind)i;
            return FM_OK;
        }
    return fm_fail(FM_EPARSE,
                   "'%.80s' is not known; there are: gaussian, laplace, "
                   "discrete-gaussian",
                   text);
}

const char *fm_dp_cmd_accountant_name(fm_dp_accountant_kind k)
{
    return ACCOUNTANTS[k];
}

fm_status fm_dp_cmd_accountant(const char *text, fm_dp_accountant_kind *out)
{
    for (size_t i = 0; i < sizeof ACCOUNTANTS / sizeof *ACCOUNTANTS; i++)
        if (strcmp(text, ACCOUNTANTS[i]) == 0) {
            *out = (fm_dp_accountant_kind)i;
            return FM_OK;
        }
    return fm_fail(FM_EPARSE, "--accountant '%.80s' is not known; there are: pld, rdp", text);
}

/* One "key=number" of a mechanism. */
static bool read_pair(const char *text, size_t len, fm_dp_mechanism *m)
{
    char buf[64], *value;
    uint64_t steps;

    if (len >= sizeof buf)
        return false;
    memcpy(buf, text, len);
    buf[len] = '\0';
    if (!(value = strchr(buf, '=')))
        return false;
    *value++ = '\0';
    if (strcmp(buf, m->kind == FM_DP_LAPLACE ? "b" : "z") == 0)
        return fm_text_double(value, &m->noise_multiplier);
    if (strcmp(buf, "q") == 0)
        return fm_text_double(value, &m->sampling_rate);
    if (strcmp(buf, "sensitivity") == 0 && m->kind == FM_DP_DISCRETE_GAUSSIAN) {
        if (!fm_text_u64(value, &steps) || steps > UINT32_MAX)
            return false;
        m->sensitivity = (uint32_t)steps;
        return true;
    }
    return strcmp(buf, "steps") == 0 && fm_text_u64(value, &m->count);
}

static bool read_mechanism(const char *text, fm_dp_mechanism *m)
{
    size_t len = strcspn(text, ":");
    bool known = false;

    for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS && !known; i++)
        if (strlen(KINDS[i]) == len && strncmp(text, KINDS[i], len) == 0) {
            m->kind = (fm_dp_mechanism_kind)i;
            known = true;
        }
    if (!known || text[len] != ':')
        return false;
    m->sensitivity = m->kind == FM_DP_DISCRETE_GAUSSIAN;
    for (const char *p = text + len + 1; *p;) {
        len = strcspn(p, ",");
        if (!read_pair(p, len, m))
            return false;
        p += len;
        if (*p == ',' && *++p == '\0')
            return false;
    }
    return m->noise_multiplier >= Z_LO && m->noise_multiplier <= Z_HI && m->sampling_rate >= Q_LO &&
           m->sampling_rate <= 1.0 && m->count >= (uint64_t)STEPS_LO &&
           m->count <= (uint64_t)STEPS_HI;
}

fm_status fm_dp_cmd_mechanism(const char *text, fm_dp_mechanism *out)
{
    fm_dp_mechanism m = { .sampling_rate = 1.0, .count = 1 };

    if (!read_mechanism(text, &m))
        return fm_fail(FM_EPARSE,
                       "--mechanism '%.80s' is not like gaussian:z=1.1,q=0.01,steps=1000, "
                       "laplace:b=10,steps=5 or discrete-gaussian:z=1,sensitivity=8 (z and b %g to "
                       "%g, q %g to 1)",
                       text, Z_LO, Z_HI, Q_LO);
    *out = m;
    return FM_OK;
}

double fm_dp_cmd_shown(double v)
{
    double unit = v > 0.0 ? pow(10.0, floor(log10(v)) - 5.0) : 0.0;

    return unit > 0.0 && isfinite(v) ? ceil(v / unit * (1.0 - 1e-13)) * unit : v;
}

fm_status fm_dp_cmd_print_cost(const fm_dp_cost *cost, bool json)
{
    json_t *o;
    fm_status st;

    if (!json) {
        printf("epsilon %.6g at delta %.6g (%s)\n", fm_dp_cmd_shown(cost->epsilon),
               fm_dp_cmd_shown(cost->delta),
               cost->accountant == FM_DP_PLD ? "PLD accountant" : "RDP accountant, an upper bound");
        return FM_OK;
    }
    if (!(o = json_pack("{s:f, s:f, s:s}", "epsilon", cost->epsilon, "delta", cost->delta,
                        "accountant", fm_dp_cmd_accountant_name(cost->accountant))))
        return fm_fail(FM_ENOMEM, "out of memory");
    st = fm_json_print(o);
    json_decref(o);
    return st;
}

int fm_dp_cmd_finish(const char *command, fm_status st)
{
    if (st == FM_OK)
        return 0;
    (void)fm_cli_failed(command);
    return st == FM_EPARSE ? 2 : 1;
}
