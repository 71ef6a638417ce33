/* fedmoe-dp audit: a lower bound on epsilon from what a run showed, held against the claim. */
#include <math.h>
#include <stdio.h>

#include "cmd_internal.h"
#include "fedmoe/base/cli.h"
#include "fedmoe/base/json.h"
#include "fedmoe/dp/audit.h"

static const char COMMAND[] = "fedmoe-dp audit";

typedef struct {
    double z, q, delta, confidence; /* z and delta 0: not given */
    uint64_t steps, canaries;
    bool json;
} request;

static void show_progress(void *ctx, uint64_t done)
{
    fm_progress_set(ctx, done);
}

static fm_status look(const request *r, fm_rng *rng, fm_dp_observations *out)
{
    const fm_dp_mechanism claimed = { r->z, r->q, r->steps, FM_DP_GAUSSIAN, 0 };
    fm_progress bar;
    fm_status st;

    fm_progress_start(&bar, "audit", r->steps);
    st = fm_dp_audit_run_alone((uint32_t)r->canaries, &claimed, r->delta, rng, show_progress, &bar,
                               out);
    fm_progress_end(&bar);
    return st;
}

static fm_status print_json(const fm_dp_observations *o, const request *r,
                            const fm_dp_audit_verdict *v)
{
    json_t *j = json_pack("{s:f s:f s:f s:f s:I s:I s:I s:f s:f s:b}", "epsilon_claimed",
                          v->claimed, "epsilon_lower_bound", v->bound.epsilon, "delta", r->delta,
                          "confidence", r->confidence, "canaries", (json_int_t)o->canaries,
                          "guesses", (json_int_t)v->bound.guesses, "correct",
                          (json_int_t)v->bound.correct, "epsilon_honest", v->honest,
                          "epsilon_ceiling", v->ceiling, "consistent", !v->violated);
    fm_status st = j ? fm_json_print(j) : fm_fail(FM_ENOMEM, "out of memory");

    json_decref(j);
    return st;
}

static void print_text(const fm_dp_observations *o, const request *r, const fm_dp_audit_verdict *v)
{
    const fm_dp_mechanism *m = &o->mechanism;

    printf("%u canaries, %llu rounds at noise multiplier %g and sampling rate %g\n", o->canaries,
           (unsigned long long)m->count, m->noise_multiplier, m->sampling_rate);
    printf("  claimed      epsilon %.4f at delta %g\n", ceil(v->claimed * 1e4) * 1e-4, r->delta);
    printf("  lower bound  epsilon %.4f (%g %% confidence; %u of %u guesses right)\n",
           floor(v->bound.epsilon * 1e4) * 1e-4, 100.0 * r->confidence, v->bound.correct,
           v->bound.guesses);
    printf("  expected     about %.2f of a build that does as it says; at most %.2f can be shown\n",
           v->honest, v->ceiling);
    if (v->ceiling <= v->claimed)
        printf("  so many canaries cannot show more than the claim: this audit shows nothing; use "
               "more, or a smaller epsilon or delta\n");
}

/** The file, or a run of our own; then the verdict. */
static fm_status audit(const char *path, request *r)
{
    fm_rng rng = fm_rng_system();
    fm_dp_observations o = { 0 };
    fm_dp_audit_verdict v;
    fm_status st;

    if ((st = path ? fm_dp_observations_read(path, &o) : look(r, &rng, &o)) != FM_OK)
        return st;
    if (r->delta == 0.0)
        r->delta = o.delta;
    if ((st = fm_dp_audit_judge(&o, r->delta, r->confidence, &rng, &v)) == FM_OK) {
        if (r->json)
            st = print_json(&o, r, &v);
        else
            print_text(&o, r, &v);
        if (st == FM_OK && v.violated)
            st = fm_fail(FM_EPERM,
                         "VIOLATED: epsilon is at least %.4f, and %.4f is claimed; noise, clipping "
                         "or sampling is not what it says: use this build for nothing",
                         v.bound.epsilon, v.claimed);
        else if (st == FM_OK && !r->json)
            printf("consistent: the lower bound is not above the claim\n");
    }
    fm_dp_observations_fini(&o);
    return st;
}

static bool fits(const char *path, const request *r)
{
    if (path && r->z > 0.0)
        (void)fm_fail(FM_EPARSE, "give a FILE, or --noise-multiplier, not both");
    else if (!path && !(r->z > 0.0 && r->delta > 0.0))
        (void)fm_fail(FM_EPARSE, "give a FILE, or --noise-multiplier and --delta");
    else
        return true;
    return false;
}

int fm_dp_cmd_audit(int argc, char **argv)
{
    request r = { .q = 1.0, .steps = 1, .canaries = 1000, .confidence = 0.95 };
    const fm_cli_option options[] = {
        { "noise-multiplier", FM_CLI_DOUBLE, &r.z, "Z",
          "without FILE: audit this program with this noise", false, 1e-3, 1e4 },
        { "sampling-rate", FM_CLI_DOUBLE, &r.q, "Q", "of that run (default 1)", false, 1e-6, 1.0 },
        { "steps", FM_CLI_U64, &r.steps, "N", "rounds of that run (default 1)", false, 1.0, 1e5 },
        { "canaries", FM_CLI_U64, &r.canaries, "M", "of that run (default 1000)", false,
          FM_DP_AUDIT_MIN_CANARIES, FM_DP_AUDIT_MAX_CANARIES },
        { "delta", FM_CLI_DOUBLE, &r.delta, "D", "where epsilon is compared (default: the file's)",
          false, 1e-300, 0.999999 },
        { "confidence", FM_CLI_DOUBLE, &r.confidence, "P",
          "of the lower bound (default 0.95); 1 - P is how often a good build is called bad, at "
          "most",
          false, 0.5, 1.0 - 1e-12 },
        { "json", FM_CLI_FLAG, &r.json, NULL, "print JSON", false, 0, 0 },
    };
    const fm_cli_spec spec = {
        .program = COMMAND,
        .summary = "A lower bound on epsilon from an audit's file (fedmoe-node audit), or from a "
                   "run of canaries through this program's own sampling, clipping and noise.",
        .examples = "fedmoe-dp audit audit.json\n"
                    "fedmoe-dp audit --noise-multiplier 4 --sampling-rate 0.5 --steps 40 "
                    "--delta 1e-5",
        .options = options,
        .option_count = sizeof options / sizeof *options,
        .operands = "[FILE]",
        .operands_max = 1,
    };
    int operands = 0, code;
    const char *path;

    if (!fm_cli_begin(&spec, argc, argv, &operands, &code))
        return code;
    path = operands < argc ? argv[operands] : NULL;
    if (!fits(path, &r)) {
        (void)fm_cli_failed(COMMAND);
        return 2;
    }
    return audit(path, &r) == FM_OK ? 0 : fm_cli_failed(COMMAND);
}
