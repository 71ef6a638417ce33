/* fingerprint: a mark in the weights for each recipient, and whose copy has leaked. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_inspect.h"
#include "fedmoe/provenance/fingerprint.h"

#define LEVEL 1e-6
#define SMALLEST 1e-300

int fm_cmd_fingerprint_key(int argc, char **argv)
{
    static const char program[] = "fedmoe-model fingerprint key";
    const char *output = NULL;
    const fm_cli_option options[] = {
        { "output", FM_CLI_STRING, &output, "FILE", "a new file, for its owner alone", true, 0, 0 },
    };
    const fm_cli_spec spec = {
        .program = program,
        .summary = "Make the key that fingerprints are drawn from. Whoever has it can find, remove "
                   "and forge them; without it no copy can be traced. Keep it, and a backup.",
        .examples = "fedmoe-model fingerprint key --output fingerprint.key",
        .options = options,
        .option_count = FM_CMD_COUNT(options),
    };
    int first, code;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    return fm_fingerprint_key_create(output) ? fm_cli_failed(program) : 0;
}

/* ---- mark ---- */

typedef struct {
    const char *key, *recipient, *model, *output;
    double strength;
} mark_request;

/** Copies are made to be handed out, and a model with an institution's own head must not be. What is
 *  no such file is for fm_fingerprint_mark to say. */
static fm_status check_personal(const char *model)
{
    fm_safetensors *s = NULL;
    fm_status st = fm_safetensors_open(model, &s);

    if (st != FM_OK)
        fm_error_clear();
    st = st == FM_OK && fm_safetensors_meta_get(s, FM_META_PERSONAL)
             ? fm_fail(FM_EPERM,
                       "%s has a head that one institution has fitted to its own records: "
                       "it is not private, and no copies of it may leave",
                       model)
             : FM_OK;
    fm_safetensors_free(&s);
    return st;
}

/** The name is on the list before the copy is there: none can leave without it. */
static fm_status mark(const mark_request *r, fm_fingerprint_facts *facts)
{
    fm_fingerprint_key *key = NULL;
    fm_status st = check_personal(r->model);

    if (st == FM_OK)
        st = fm_fingerprint_key_load(r->key, &key);

    if (st == FM_OK && (st = fm_fingerprint_names_add(r->key, r->recipient)) == FM_OK)
        st = fm_fingerprint_mark(key, r->recipient, r->strength, r->model, r->output, facts);
    fm_fingerprint_key_free(&key);
    return st;
}

int fm_cmd_fingerprint_mark(int argc, char **argv)
{
    static const char program[] = "fedmoe-model fingerprint mark";
    mark_request r = { .strength = FM_FINGERPRINT_STRENGTH };
    const fm_cli_option options[] = {
        { "key", FM_CLI_STRING, &r.key, "FILE", "made by fingerprint key", true, 0, 0 },
        { "recipient", FM_CLI_STRING, &r.recipient, "NAME",
          "who gets this copy; kept in KEY.recipients", true, 0, 0 },
        { "model", FM_CLI_STRING, &r.model, "FILE|FOLDER",
          "the original, which nobody else must get", true, 0, 0 },
        { "output", FM_CLI_STRING, &r.output, "FILE|FOLDER", "a new one: the recipient's copy",
          true, 0, 0 },
        { "strength", FM_CLI_DOUBLE, &r.strength, "X",
          "of the mark, relative to each row of weights; default: 0.01", false, 1e-4, 0.1 },
    };
    const fm_cli_spec spec = {
        .program = program,
        .summary =
            "Write a copy of a model that carries its recipient's mark. It survives training, "
            "8 bits, pruning and noise; identify finds it with the key and the original.",
        .examples = "fedmoe-model fingerprint mark --key fingerprint.key --recipient northgate "
                    "--model model.safetensors --output for-northgate.safetensors",
        .options = options,
        .option_count = FM_CMD_COUNT(options),
    };
    fm_fingerprint_facts facts;
    int first, code;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    if (mark(&r, &facts))
        return fm_cli_failed(program);
    printf("%s: marked in %zu weights of %zu tensors\n", r.output, facts.values, facts.tensors);
    return 0;
}

/* ---- identify ---- */

typedef struct {
    const char *key, *original, *leaked;
    fm_cli_list recipients;
    double strength, level;
    bool json;
} identify_request;

typedef struct {
    fm_fingerprint_names list;
    const char *const *names;
    size_t count;
    fm_fingerprint_match *matches;
    fm_fingerprint_facts facts;
} identified;

static void print_text(const identify_request *r, const identified *d)
{
    size_t named = 0;

    printf("%zu weights of %zu tensors compared; level %g over all %zu names\n\n", d->facts.values,
           d->facts.tensors, r->level, d->count);
    printf("  %9s  %-12s  %s\n", "z", "p at most", "recipient");
    for (size_t i = 0; i < d->count; i++) {
        const fm_fingerprint_match *m = &d->matches[i];

        named += m->p <= r->level;
        printf("  %9.2f  %-12.3g  ", m->z, m->p > SMALLEST ? m->p : SMALLEST);
        fm_inspect_print_clean(d->names[i], strlen(d->names[i]), "");
        printf("%s\n", m->p <= r->level ? "  <- this copy, or one made with it" : "");
    }
    if (named == 0)
        printf("\nnobody is named: the copy is of none of them, or was changed too much to tell\n");
}

static fm_status print_json(const identify_request *r, const identified *d)
{
    json_t *list = json_array(), *root;
    fm_status st;

    for (size_t i = 0; i < d->count; i++)
        json_array_append_new(list, json_pack("{s:s, s:f, s:f, s:b}", "recipient", d->names[i], "z",
                                              d->matches[i].z, "p", d->matches[i].p, "named",
                                              d->matches[i].p <= r->level));
    root = json_pack("{s:I, s:I, s:f, s:o}", "tensors", (json_int_t)d->facts.tensors, "weights",
                     (json_int_t)d->facts.values, "level", r->level, "recipients", list);
    st = root ? fm_json_print(root) : fm_fail(FM_ENOMEM, "out of memory");
    json_decref(root);
    return st;
}

static fm_status take_names(const identify_request *r, identified *d)
{
    fm_status st;

    if (r->recipients.count > 0) {
        d->names = r->recipients.items;
        d->count = r->recipients.count;
        return FM_OK;
    }
    if ((st = fm_fingerprint_names_load(r->key, &d->list)) != FM_OK)
        return st;
    d->names = (const char *const *)d->list.names;
    d->count = d->list.count;
    if (d->count == 0)
        return fm_fail(FM_ENOTFOUND, "%s.recipients: names nobody; give --recipient NAME", r->key);
    return FM_OK;
}

static fm_status identify(const identify_request *r)
{
    fm_fingerprint_key *key = NULL;
    identified d = { 0 };
    fm_status st;

    if ((st = take_names(r, &d)) == FM_OK &&
        (st = fm_alloc(d.count, sizeof *d.matches, (void **)&d.matches)) == FM_OK &&
        (st = fm_fingerprint_key_load(r->key, &key)) == FM_OK &&
        (st = fm_fingerprint_identify(key, d.names, d.count, r->strength, r->original, r->leaked,
                                      d.matches, &d.facts)) == FM_OK) {
        if (r->json)
            st = print_json(r, &d);
        else
            print_text(r, &d);
    }
    fm_fingerprint_key_free(&key);
    fm_fingerprint_names_fini(&d.list);
    free(d.matches);
    return st;
}

int fm_cmd_fingerprint_identify(int argc, char **argv)
{
    static const char program[] = "fedmoe-model fingerprint identify";
    identify_request r = { .strength = FM_FINGERPRINT_STRENGTH, .level = LEVEL };
    const fm_cli_option options[] = {
        { "key", FM_CLI_STRING, &r.key, "FILE", "the key that the copies were marked with", true, 0,
          0 },
        { "original", FM_CLI_STRING, &r.original, "FILE|FOLDER",
          "the model that they were marked from", true, 0, 0 },
        { "recipient", FM_CLI_LIST, &r.recipients, "NAME",
          "look for this one; default: all of KEY.recipients", false, 0, 0 },
        { "level", FM_CLI_DOUBLE, &r.level, "P",
          "name nobody wrongly but with this probability, all names together; default: 1e-6", false,
          1e-100, 0.5 },
        { "strength", FM_CLI_DOUBLE, &r.strength, "X", "as given to mark; default: 0.01", false,
          1e-4, 0.1 },
        { "json", FM_CLI_FLAG, &r.json, NULL, "as JSON", false, 0, 0 },
    };
    const fm_cli_spec spec = {
        .program = program,
        .summary = "Whose copy a leaked model is: how well each recipient's mark fits what differs "
                   "from the original. Also of copies that were trained on, rounded to 8 bits, "
                   "pruned, or mixed from several.",
        .examples = "fedmoe-model fingerprint identify --key fingerprint.key --original "
                    "model.safetensors leaked.safetensors",
        .options = options,
        .option_count = FM_CMD_COUNT(options),
        .operands = "LEAKED",
        .operands_min = 1,
        .operands_max = 1,
    };
    int first, code;

    if (fm_cli_begin(&spec, argc, argv, &first, &code)) {
        r.leaked = argv[first];
        code = identify(&r) ? fm_cli_failed(program) : 0;
    }
    free(r.recipients.items);
    return code;
}
