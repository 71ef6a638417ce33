/* The hostile aggregator's program: a list of steps, each honest or a lie by name. */
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/cli.h"
#include "fedmoe/base/random.h"
#include "hostile.h"

typedef struct {
    const char *directory, *record, *updates;
    fm_cli_list nodes, colluders, offers;
    bool finish;
} options;

static party *add(hostile *h, const char *name)
{
    party *p = &h->parties[h->count];

    need(h->count < MOST && strlen(name) <= FM_NAME_MAX, "room for another party");
    h->count++;
    memcpy(p->name, name, strlen(name));
    return p;
}

static void add_colluder(hostile *h, const char *dir)
{
    party *p = add(h, "colluder");

    need(fm_identity_load(dir, &p->colluder) == FM_OK, dir);
    p->borrowed = p->colluder;
    make_credential(p->borrowed, &p->credential);
}

static void set_plan(hostile *h, party *p, const char *offer)
{
    fm_plan plan = h->run.config.plan;

    lie_plan(&plan, offer);
    p->plan.limit = FM_MAX_PLAN_BYTES;
    need(fm_plan_encode(&plan, &p->plan) == FM_OK, "a plan");
    p->plan_hash = fm_plan_hash(p->plan.data, p->plan.len);
}

static void cast(hostile *h, const options *o)
{
    party *own;

    for (size_t i = 0; i < o->nodes.count; i++)
        set_plan(h, add(h, o->nodes.items[i]), i < o->offers.count ? o->offers.items[i] : "same");
    h->honest = h->count;
    need(h->honest == 4 || h->honest == 9, "four or nine nodes, which the lies are made for");
    for (size_t i = 0; i < o->colluders.count; i++)
        add_colluder(h, o->colluders.items[i]);
    own = add(h, "aggregator");
    own->borrowed = h->run.identity;
    make_credential(own->borrowed, &own->credential);
}

static void open_house(hostile *h, const options *o)
{
    static fm_aggregator_run_options run;
    const fm_optimizer *first;

    run.dir = o->directory;
    h->run = (fm_run){ .options = &run, .lock = -1 };
    need(fm_run_open(&h->run) == FM_OK, o->directory);
    first = h->run.optimizer;
    need(fm_buf_append(&h->model, first->weights, first->n * sizeof *first->weights) == FM_OK,
         "the model");
    h->updates_dir = o->updates;
    h->record = fopen(o->record, "we");
    need(h->record != NULL, o->record);
    cast(h, o);
}

static void close_house(hostile *h)
{
    for (unsigned i = 0; i < h->count; i++) {
        fm_identity_free(&h->parties[i].colluder);
        fm_buf_fini(&h->parties[i].plan);
        fm_buf_fini(&h->parties[i].masked);
        fm_buf_fini(&h->told[i].model);
    }
    fm_buf_fini(&h->model);
    fm_buf_fini(&h->old_model);
    fm_buf_fini(&h->last_start);
    fm_run_close(&h->run);
    fclose(h->record);
}

static bool has_approved(const hostile *h, const party *p)
{
    (void)h;
    return p->approved;
}

static bool has_judged(const hostile *h, const party *p)
{
    (void)h;
    return p->approved || p->declined;
}

static bool has_left(const hostile *h, const party *p)
{
    (void)h;
    return p->peer == 0;
}

static void run_steps(hostile *h, const options *o, char **names, int count)
{
    hear_until(h, count ? has_approved : has_judged, EVERYBODY, "answer to the plan");
    for (int i = 0; i < count; i++)
        step(h, lie_find(names[i]));
    for (unsigned i = 0; o->finish && i < h->honest; i++)
        say_finish(h, i);
    hear_until(h, has_left, EVERYBODY, "end");
}

static void report(hostile *h)
{
    for (unsigned i = 0; i < h->honest; i++) {
        unsigned releases = 0;

        for (unsigned r = 0; r <= MAX_STEPS; r++)
            releases += h->parties[i].releases[r];
        fprintf(h->record, "released %s %u\n", h->parties[i].name, releases);
    }
    fprintf(h->record, "failures %u\n", h->failures);
}

int main(int argc, char **argv)
{
    static options o;
    static hostile h;
    const fm_cli_option list[] = {
        { "directory", FM_CLI_STRING, &o.directory, "DIR", "of the real aggregator", true, 0, 0 },
        { "record", FM_CLI_STRING, &o.record, "FILE", "what it saw goes there", true, 0, 0 },
        { "updates", FM_CLI_STRING, &o.updates, "DIR", "for masked updates", false, 0, 0 },
        { "node", FM_CLI_LIST, &o.nodes, "NAME", "an honest node", true, 0, 0 },
        { "colluder", FM_CLI_LIST, &o.colluders, "DIR", "an identity it holds", false, 0, 0 },
        { "offer", FM_CLI_LIST, &o.offers, "FIGURE", "another plan for a node", false, 0, 0 },
        { "finish", FM_CLI_FLAG, &o.finish, NULL, "let the nodes go at the end", false, 0, 0 },
    };
    const fm_cli_spec spec = { .program = "hostile-aggregator start",
                               .summary = "Lies to the nodes of a federation.",
                               .examples = "hostile-aggregator --directory D honest split-rosters",
                               .options = list,
                               .option_count = sizeof list / sizeof list[0],
                               .operands = "STEP...",
                               .operands_max = MAX_STEPS };
    int first = 0, code = 0;

    if (fm_random_init() != FM_OK || !fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    for (int i = first; i < argc; i++)
        need(lie_find(argv[i]) != NULL, argv[i]);
    open_house(&h, &o);
    run_steps(&h, &o, argv + first, argc - first);
    report(&h);
    close_house(&h);
    free(o.nodes.items);
    free(o.colluders.items);
    free(o.offers.items);
    return h.failures ? 1 : 0;
}
