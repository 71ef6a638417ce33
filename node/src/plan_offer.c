/* plan.json, read so that what is shown is what the hash is of. */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "commands.h"
#include "plan_words.h"
#include "run_internal.h"

void fm_plan_offer_fini(fm_plan_offer *o)
{
    json_decref(o->json);
    if (o->whole)
        fm_plan_fini(&o->plan);
    *o = (fm_plan_offer){ 0 };
}

static fm_status decode(const char *base64, fm_plan_offer *o)
{
    const size_t room = strlen(base64);
    size_t len = 0;
    void *bytes = NULL;
    fm_status st;

    if ((st = fm_alloc(room + 1, 1, &bytes)) != FM_OK)
        return st;
    if (sodium_base642bin(bytes, room, base64, room, NULL, &len, NULL,
                          sodium_base64_VARIANT_ORIGINAL) != 0 ||
        fm_plan_decode(bytes, len, &o->plan) != FM_OK) {
        st = fm_fail(FM_EPARSE, "plan.json: its plan is damaged; delete the file, it comes again "
                                "with the next plan offered");
    } else {
        o->hash = fm_plan_hash(bytes, len);
        o->whole = true;
    }
    free(bytes);
    return st;
}

fm_status fm_plan_offer_read(const char *config, fm_plan_offer *out)
{
    fm_plan_offer o = { 0 };
    json_t *own = NULL;
    fm_status st = fm_cmd_read_json(config, "plan.json", &o.json);

    if (st == FM_ENOTFOUND)
        return fm_fail(st, "there is no plan.json beside %s; no plan was offered yet", config);
    if (st == FM_OK && *fm_cmd_text(o.json, "bytes")) {
        if ((st = decode(fm_cmd_text(o.json, "bytes"), &o)) == FM_OK &&
            (!(own = fm_node_plan_json(&o.plan, &o.hash)) || json_object_update(o.json, own) != 0))
            st = fm_fail(FM_ENOMEM, "no memory for the plan");
        json_decref(own);
    }
    if (st == FM_OK)
        *out = o;
    else
        fm_plan_offer_fini(&o);
    return st;
}
