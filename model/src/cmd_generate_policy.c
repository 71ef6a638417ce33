/* generate and the use policy of the model's card: before the first token, and the line of audit
 * after the last. */
#include <stdlib.h>
#include <string.h>

#include "cmd_generate.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/provenance/acknowledge.h"
#include "fedmoe/provenance/derivation.h"
#include "fedmoe/provenance/request_log.h"

#define LOG_NAME "requests.log"

struct fm_cmd_policy {
    fm_use_terms terms;
    fm_request_log *log; /* NULL: the model has no policy */
    fm_request request;
};

void fm_cmd_policy_free(fm_cmd_policy **p)
{
    if (!p || !*p)
        return;
    fm_request_log_close(&(*p)->log);
    fm_use_terms_fini(&(*p)->terms);
    free(*p);
    *p = NULL;
}

/** Beside what was acknowledged, unless another place is given. */
static fm_status open_log(const fm_cmd_generate_request *r, const char *acknowledged,
                          fm_cmd_policy *p)
{
    char *dir = NULL, *path = NULL;
    fm_status st;

    if (r->log)
        return fm_request_log_open(r->log, &p->log);
    if (!(st = fm_path_dir(acknowledged, &dir)) && !(st = fm_dir_make(dir, 0700)) &&
        !(st = fm_path_join(dir, LOG_NAME, &path)))
        st = fm_request_log_open(path, &p->log);
    free(path);
    free(dir);
    return st;
}

static fm_status require(const fm_cmd_generate_request *r, const fm_safetensors *card,
                         fm_cmd_policy *p)
{
    char *acknowledged = NULL;
    fm_status st = fm_acknowledged_path(&acknowledged);

    if (!st &&
        !(st = fm_use_require(r->model, card, r->acknowledge, acknowledged, fm_clock_wall_s(),
                              &p->terms)) &&
        p->terms.wanted && !(st = fm_use_check_purpose(&p->terms, r->purpose)))
        st = open_log(r, acknowledged, p);
    free(acknowledged);
    return st;
}

/* Nobody shall believe that requests are recorded, or that there are terms, where there are none. */
static fm_status check_unused(const fm_cmd_generate_request *r)
{
    const char *given = r->log           ? "--log"
                        : r->acknowledge ? "--acknowledge-policy"
                        : r->purpose     ? "--purpose"
                                         : NULL;

    if (!given)
        return FM_OK;
    return fm_fail(FM_EINVAL,
                   "%s: %s has no card with a use policy, so nothing is asked for and nothing is "
                   "recorded; leave it out, or see 'fedmoe-model inspect'",
                   given, r->model);
}

fm_status fm_cmd_policy_begin(const fm_cmd_generate_request *r, fm_cmd_policy **out)
{
    fm_cmd_policy *p = NULL;
    fm_safetensors *card = NULL;
    fm_status st = fm_alloc(1, sizeof *p, (void **)&p);

    if (st)
        return st;
    if ((st = fm_card_open(r->model, &card)) == FM_ENOTFOUND) {
        fm_error_clear();
        st = FM_OK;
    } else if (!st) {
        st = require(r, card, p);
    }
    if (!st && !p->log)
        st = check_unused(r);
    fm_safetensors_free(&card);
    if (st)
        fm_cmd_policy_free(&p);
    else
        *out = p;
    return st;
}

fm_status fm_cmd_policy_prompt(fm_cmd_policy *p, const fm_cmd_generation *g)
{
    if (!p->log)
        return FM_OK;
    p->request.tokens_in = g->prompt;
    return fm_request_log_prompt(p->log, g->text.ids, g->prompt * sizeof *g->text.ids,
                                 &p->request.prompt);
}

fm_status fm_cmd_policy_end(fm_cmd_policy *p, const fm_cmd_generate_request *r,
                            const fm_cmd_generation *g)
{
    if (!p->log)
        return FM_OK;
    p->request.time_s = fm_clock_wall_s();
    p->request.policy = p->terms.policy;
    p->request.model = p->terms.model;
    p->request.purpose = r->purpose ? r->purpose : "";
    p->request.tokens_out = g->text.count - g->prompt;
    return fm_request_log_append(p->log, &p->request);
}
