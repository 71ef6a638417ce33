#include "cmd_promise.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "fedmoe/base/text.h"

#define DELTA_LARGE 0.01 /* from here on a warning */
#define DELTA_NEVER 0.1

size_t fm_cmd_promise_options(fm_cmd_promise *p, fm_cli_option *to)
{
    const fm_cli_option options[] = {
        { "epsilon", FM_CLI_DOUBLE, &p->epsilon, "E",
          "the privacy that each unit is promised, for the whole training", false, 1e-3, 100 },
        { "delta", FM_CLI_DOUBLE, &p->delta, "D",
          "default n^-1.1, n the number of units, at most 0.01", false, 1e-12, 1 },
        { "expected-units", FM_CLI_DOUBLE, &p->units, "N",
          "a public round figure of how many units there are (default: their number, which is then "
          "treated as public)",
          false, 1, FM_CMD_MAX_UNITS },
        { "no-privacy", FM_CLI_FLAG, &p->no_privacy, NULL,
          "no noise: the model may tell its records, and only its owner can read the output. For "
          "comparison only",
          false, 0, 0 },
    };

    memcpy(to, options, sizeof options);
    return FM_CMD_COUNT(options);
}

fm_status fm_cmd_promise_check(const fm_cmd_promise *p)
{
    if (p->no_privacy == (p->epsilon > 0.0))
        return fm_fail(FM_EINVAL, "give --epsilon, or --no-privacy for a model that tells all of "
                                  "its records; not both");
    if (p->no_privacy && p->delta > 0.0)
        return fm_fail(FM_EINVAL, "--delta has no meaning with --no-privacy");
    if (p->delta >= DELTA_NEVER)
        return fm_fail(FM_EINVAL,
                       "--delta must be below %g, and should be well below 1/n of n privacy units: "
                       "with this probability the promise may fail altogether",
                       DELTA_NEVER);
    return FM_OK;
}

/* How many units there are is public: said by the user, or taken from the file, which is said. */
static fm_status count_units(fm_cmd_promise *p, const char *data)
{
    if (p->count == 0)
        return fm_fail(FM_EINVAL, "%s: there are no records to train on", data);
    if (p->count > FM_CMD_MAX_UNITS)
        return fm_fail(FM_EINVAL, "%s: %zu privacy units; at most %u are possible", data, p->count,
                       FM_CMD_MAX_UNITS);
    if (p->units == 0.0) {
        p->units = (double)p->count;
        p->max_units = (uint32_t)p->count;
        if (!p->no_privacy)
            fprintf(stderr,
                    "%s: the number of privacy units, %zu, is treated as public; --expected-units "
                    "with a round figure keeps it to the file\n",
                    p->program, p->count);
        return FM_OK;
    }
    p->max_units = (uint32_t)fmin(ceil(2.0 * p->units), FM_CMD_MAX_UNITS);
    if (p->count > p->max_units)
        return fm_fail(FM_EINVAL,
                       "%s: more than twice as many privacy units as --expected-units "
                       "says; give a figure that is nearer to the truth",
                       data);
    return FM_OK;
}

fm_status fm_cmd_promise_settle(fm_cmd_promise *p, const char *data)
{
    fm_status st = count_units(p, data);

    if (st)
        return st;
    if (p->no_privacy) {
        p->epsilon = FM_TRAINING_NO_PRIVACY;
        p->delta = pow(p->units + 1.0, -1.1);
        return FM_OK;
    }
    if (p->delta == 0.0)
        p->delta = fmin(pow(p->units, -1.1), DELTA_LARGE);
    if (p->delta * p->units > 1.0)
        return fm_fail(FM_EINVAL,
                       "with delta %g and %g units a training that tells more than one record "
                       "altogether would count as private; give a --delta well below %g",
                       p->delta, p->units, 1.0 / p->units);
    if (p->delta >= DELTA_LARGE)
        fprintf(stderr,
                "%s: delta %g is large: with this probability the promise may fail altogether, "
                "for as many as one unit in %.0f; 0.001 or less is usual\n",
                p->program, p->delta, 1.0 / p->delta);
    return FM_OK;
}

void fm_cmd_promise_warn(const fm_cmd_promise *p)
{
    if (p->no_privacy)
        fprintf(stderr,
                "%s: NOTHING IS PRIVATE: the model is trained without noise and may tell "
                "its records\n",
                p->program);
}

void fm_cmd_promise_write(const fm_cmd_promise *p, const fm_training *t, fm_cmd_promise_meta *out)
{
    fm_text_up(p->spent, out->epsilon);
    fm_text_up(p->delta, out->delta);
    (void)snprintf(out->mechanism, sizeof out->mechanism,
                   "discrete Gaussian, noise multiplier %.9g, Poisson sampling rate %.9g, %llu "
                   "rounds, clip norm %.9g; add or remove one unit",
                   p->noise, t->sampling_rate, (unsigned long long)t->rounds, t->clip_norm);
    if (p->no_privacy) {
        (void)snprintf(out->epsilon, sizeof out->epsilon, "none");
        (void)snprintf(out->delta, sizeof out->delta, "none");
        (void)snprintf(out->mechanism, sizeof out->mechanism, "none: trained without privacy");
    }
    out->meta[0] = (fm_safetensors_meta){ "fedmoe.epsilon", out->epsilon };
    out->meta[1] = (fm_safetensors_meta){ "fedmoe.delta", out->delta };
    out->meta[2] = (fm_safetensors_meta){ "fedmoe.privacy_unit", p->unit };
    out->meta[3] = (fm_safetensors_meta){ "fedmoe.mechanism", out->mechanism };
}

static const char *const rules[] = { [FM_OPTIM_SGD] = "sgd", [FM_OPTIM_ADAM] = "adam" };
static const char *const schedules[] = {
    [FM_OPTIM_CONSTANT] = "constant", [FM_OPTIM_LINEAR] = "linear", [FM_OPTIM_COSINE] = "cosine"
};

void fm_cmd_promise_print(const fm_cmd_promise *p, const fm_training *t)
{
    if (p->no_privacy)
        printf("epsilon           none: NOTHING IS PRIVATE, this model may tell its records\n");
    else
        printf("epsilon           %.4f at delta %.3g, for each %s\n", ceil(p->spent * 1e4) * 1e-4,
               p->delta, p->unit);
    printf("privacy units     %.9g expected\n", p->units);
    printf("sampling rate     %.4g\n", t->sampling_rate);
    printf("rounds            %llu%s\n", (unsigned long long)t->rounds,
           t->start ? ", the first for the features' means and the share of positives" : "");
    printf("noise multiplier  %.6g\n", p->noise);
    printf("clip norm         %.4g%s\n", t->clip_norm,
           t->clip_quantile > 0.0 ? " at first, adapted by noised votes" : "");
    printf("optimizer         %s, learning rate %.4g, %s\n", rules[t->rule], t->learning_rate,
           schedules[t->schedule]);
    if (t->averaging > 0.0)
        printf("averaging         last %.0f %% of the rounds\n", 100.0 * t->averaging);
}

json_t *fm_cmd_promise_json(const fm_cmd_promise *p, const fm_training *t)
{
    return json_pack(
        "{s:b, s:o, s:o, s:s, s:f, s:f, s:f, s:I, s:f, s:s, s:f, s:s, s:f, s:f, s:f}", "private",
        !p->no_privacy, "epsilon", p->no_privacy ? json_null() : json_real(p->spent), "delta",
        p->no_privacy ? json_null() : json_real(p->delta), "privacy_unit", p->unit,
        "expected_units", p->units, "noise_multiplier", p->noise, "sampling_rate", t->sampling_rate,
        "rounds", (json_int_t)t->rounds, "clip_norm", t->clip_norm, "optimizer", rules[t->rule],
        "learning_rate", t->learning_rate, "schedule", schedules[t->schedule], "warmup", t->warmup,
        "final_rate", t->final_rate, "averaging", t->averaging);
}
