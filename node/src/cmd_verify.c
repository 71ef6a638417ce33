#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/json.h"
#include "fedmoe/node/config.h"
#include "fedmoe/node/decision.h"
#include "fedmoe/node/verify.h"

typedef unsigned long long ull;

/* ---- for people ---- */

static void print_journal(const fm_verify_report *r)
{
    if (!r->journal)
        return;
    printf("  journal      %llu rounds of this node are in it, with the digest that it signed",
           (ull)r->released);
    if (r->vouched)
        printf("; %llu of them by your word that they were released", (ull)r->vouched);
    if (r->later)
        printf("; %llu came after the last round in it", (ull)r->later);
    printf("\n");
    if (r->missing_count == 0)
        return;
    printf("  abandoned    after this node had released them, so not in it:");
    for (size_t i = 0; i < r->missing_count; i++)
        printf("%s %llu", i ? "," : "", (ull)r->missing[i]);
    if (r->waived)
        printf(" (%zu of them by your word)", r->waived);
    printf("\n");
}

static void print_sums(const fm_verify_report *r)
{
    if (r->recomputed == r->entries)
        printf(
            "  sums         recomputed in all %llu rounds: each model follows from the updates\n",
            (ull)r->entries);
    else if (r->updates == 0)
        printf("  sums         not recomputed: the masked updates were not kept\n");
    else
        printf("  sums         recomputed in %llu of %llu rounds; of the others the updates, or "
               "those of a round before, were not kept\n",
               (ull)r->recomputed, (ull)r->entries);
}

static void print_members(const fm_verify_report *r)
{
    char when[32];

    printf("\n  %-32s  %9s  %9s\n", "member", "took part", "signed");
    for (size_t i = 0; i < r->member_count; i++) {
        const fm_verify_member *m = &r->members[i];

        printf("  %-32s  %9llu  %9llu", m->name, (ull)m->took_part, (ull)m->signed_);
        if (m->revoked_s)
            fm_clock_format(m->revoked_s, when, sizeof when);
        if (m->revoked_s && m->too_late)
            printf("  certificate revoked on %s: took part in %llu rounds after that", when,
                   (ull)m->too_late);
        else if (m->revoked_s)
            printf("  certificate revoked later, on %s", when);
        printf("\n");
    }
}

/* What was looked for, and what was found of the aggregator itself. */
static void print_list(const fm_verify_report *r)
{
    char when[32];

    if (r->list)
        printf("  revocations  by list %llu of the CA; a newer one may name more\n",
               (ull)r->list_number);
    else
        printf("  revocations  no list here (crl.pem): revoked members were not looked for\n");
    if (r->aggregator_revoked_s) {
        fm_clock_format(r->aggregator_revoked_s, when, sizeof when);
        printf("  aggregator's certificate revoked later, on %s\n", when);
    }
}

static void print_report(const char *bundle, const char *trust, const fm_verify_report *r)
{
    char plan[2 * FM_HASH_BYTES + 1], head[2 * FM_HASH_BYTES + 1], ca[2 * FM_HASH_BYTES + 1];
    char first[32], last[32], made[32];

    fm_hash_hex(&r->plan_hash, plan);
    fm_hash_hex(&r->head, head);
    fm_hash_hex(&r->ca, ca);
    fm_clock_format(r->first_s, first, sizeof first);
    fm_clock_format(r->last_s, last, sizeof last);
    fm_clock_format(r->made_s, made, sizeof made);
    printf("%s: everything in it holds.\n\n", bundle);
    printf("  federation   %s, for: %s\n", r->plan.federation, r->plan.purpose);
    printf("  plan         %s\n", plan);
    if (r->plan.noise_multiplier > 0.0)
        printf("  epsilon      %g at delta %g for each %s, over all %u rounds planned\n",
               r->plan.epsilon, r->plan.delta, r->plan.privacy_unit, r->plan.rounds);
    else
        printf("  epsilon      none: a run without privacy\n");
    printf("  rounds       %llu of %u finished, numbers %llu to %llu, %s to %s\n", (ull)r->entries,
           r->plan.rounds, (ull)r->first_round, (ull)r->last_round, first, last);
    printf("  head         %s\n", head);
    print_sums(r);
    print_journal(r);
    printf("  aggregator   %s; it made this bundle on %s (times by its clock)\n", r->aggregator,
           made);
    printf("  CA           %s (%s)%s\n", ca, trust,
           r->same_ca ? "" : "; the bundle shows another CA certificate file than this one");
    print_list(r);
    print_members(r);
}

/* ---- for programs ---- */

static json_t *members_json(const fm_verify_report *r)
{
    json_t *list = json_array();

    for (size_t i = 0; list && i < r->member_count; i++) {
        const fm_verify_member *m = &r->members[i];

        if (json_array_append_new(list, json_pack("{s:s s:I s:I s:b s:I}", "name", m->name,
                                                  "took_part", (json_int_t)m->took_part, "signed",
                                                  (json_int_t)m->signed_, "revoked_later",
                                                  m->revoked_s != 0, "rounds_after_revocation",
                                                  (json_int_t)m->too_late)) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static int add_journal(json_t *j, const fm_verify_report *r)
{
    json_t *rounds = json_array();

    for (size_t i = 0; rounds && i < r->missing_count; i++)
        if (json_array_append_new(rounds, json_integer((json_int_t)r->missing[i])) != 0)
            return json_decref(rounds), -1;
    if (!rounds)
        return -1;
    return json_object_set_new(
        j, "journal",
        json_pack("{s:I s:I s:o s:I s:I}", "released", (json_int_t)r->released, "abandoned",
                  (json_int_t)r->missing_count, "abandoned_rounds", rounds, "abandoned_by_word",
                  (json_int_t)r->waived, "later", (json_int_t)r->later));
}

static fm_status print_json(const fm_verify_report *r)
{
    char plan[2 * FM_HASH_BYTES + 1], head[2 * FM_HASH_BYTES + 1], model[2 * FM_HASH_BYTES + 1];
    json_t *j, *members = members_json(r);
    fm_status st;

    fm_hash_hex(&r->plan_hash, plan);
    fm_hash_hex(&r->head, head);
    fm_hash_hex(&r->model, model);
    j = members
            ? json_pack("{s:b s:s s:s s:s s:f s:f s:i s:I s:I s:I s:I s:I s:s s:s s:s s:b s:I s:o}",
                        "valid", 1, "federation", r->plan.federation, "purpose", r->plan.purpose,
                        "plan", plan, "epsilon", r->plan.epsilon, "delta", r->plan.delta,
                        "rounds_planned", (int)r->plan.rounds, "rounds", (json_int_t)r->entries,
                        "first_round", (json_int_t)r->first_round, "last_round",
                        (json_int_t)r->last_round, "updates", (json_int_t)r->updates, "recomputed",
                        (json_int_t)r->recomputed, "head", head, "model", model, "aggregator",
                        r->aggregator, "aggregator_revoked_later", r->aggregator_revoked_s != 0,
                        "revocation_list", (json_int_t)r->list_number, "members", members)
            : NULL;
    if (j && r->journal && add_journal(j, r) != 0) {
        json_decref(j);
        j = NULL;
    }
    st = j ? fm_json_print(j) : fm_fail(FM_ENOMEM, "no memory for the answer");
    json_decref(j);
    return st;
}

static int failed(const char *program, bool json)
{
    char why[1024];
    json_t *j;

    if (json) {
        (void)snprintf(why, sizeof why, "%s", fm_error_text());
        j = json_pack("{s:b s:s}", "valid", 0, "error", why);
        if (!j || fm_json_print(j) != FM_OK)
            fprintf(stderr, "%s: the answer cannot be written\n", program);
        json_decref(j);
        (void)fm_fail(FM_EPROTO, "%s", why);
    }
    return fm_cli_failed(program);
}

/* ---- the command ---- */

/* Of a member: that its people's decisions are in order, and what they say of this plan. */
static fm_status print_decision(const fm_node_config *c, const fm_verify_report *r)
{
    const fm_decision_entry *e;
    fm_decision_keys keys;
    fm_decisions all = { 0 };
    fm_buf words = { 0 };
    fm_status st;

    if ((st = fm_decision_keys_of(c, &keys)) != FM_OK ||
        (st = fm_decisions_of_node(c, &all)) != FM_OK)
        return st;
    e = fm_decisions_on(&all, &r->plan_hash, &keys);
    if (!e)
        printf("  decision     none of this plan is on record here\n");
    else if ((st = fm_decision_words(&e->d, &words)) == FM_OK)
        printf("  decision     %llu of %zu, whose signatures hold: %s, by %s (%s)\n",
               (ull)e->d.number, all.count, (const char *)words.data, e->d.by, e->d.role);
    fm_buf_fini(&words);
    fm_decisions_fini(&all);
    return st;
}

/* @param c  NULL: an outsider, who knows of no decisions. */
static fm_status verify(const fm_verify_options *o, const fm_node_config *c, bool json)
{
    fm_verify_report r = { 0 };
    fm_decisions all = { 0 };
    fm_status st = fm_verify_bundle(o, &r);

    if (st == FM_OK && c) /* before anything is said to hold */
        st = fm_decisions_of_node(c, &all);
    fm_decisions_fini(&all);
    if (st == FM_OK && json)
        st = print_json(&r);
    else if (st == FM_OK)
        print_report(o->bundle, o->trust, &r);
    if (st == FM_OK && c && !json)
        st = print_decision(c, &r);
    fm_verify_report_fini(&r);
    return st;
}

/* A member: its CA, its name, its journal. */
static fm_status verify_as_member(fm_verify_options *o, const char *config, bool json)
{
    fm_node_config c = { 0 };
    char *journal = NULL;
    fm_status st;

    if ((st = fm_node_config_load(config, &c)) == FM_OK &&
        (st = fm_path_join(c.dir, "state.db", &journal)) == FM_OK) {
        o->trust = c.identity_dir;
        o->journal = journal;
        o->name = c.name;
        st = verify(o, &c, json);
        o->trust = o->journal = o->name = NULL; /* they end here */
    }
    free(journal);
    fm_node_config_fini(&c);
    return st;
}

/* Round numbers as text; *bad: the first that is none. NULL without memory. */
static uint64_t *numbers(const fm_cli_list *list, const char **bad)
{
    uint64_t *out = calloc(list->count + 1, sizeof *out);

    for (size_t i = 0; out && i < list->count; i++) {
        char *end = NULL;

        errno = 0;
        out[i] = strtoull(list->items[i], &end, 10);
        if (*list->items[i] < '0' || *list->items[i] > '9' || *end || errno) {
            *bad = list->items[i];
            break;
        }
    }
    return out;
}

#define PROGRAM "fedmoe-node verify"

typedef struct {
    const char *config, *trust;
    fm_cli_list abandoned, released;
    bool json, recompute;
} arguments;

static int run(const arguments *a, const char *bundle)
{
    fm_verify_options o = { .bundle = bundle, .trust = a->trust, .need_updates = a->recompute };
    const char *bad = NULL;
    uint64_t *rounds = numbers(&a->abandoned, &bad);
    uint64_t *released = numbers(&a->released, &bad);
    int code = 2;

    o.abandoned = rounds;
    o.abandoned_count = rounds ? a->abandoned.count : 0;
    o.released = released;
    o.released_count = released ? a->released.count : 0;
    if (bad)
        fprintf(stderr, PROGRAM ": --abandoned, --released: '%s' is no round number\n", bad);
    else if (a->trust && (a->config || a->abandoned.count || a->released.count))
        fprintf(stderr, PROGRAM ": --trust is for those without a node.yaml: not with --config, "
                                "--abandoned or --released\n");
    else if (a->trust)
        code = verify(&o, NULL, a->json) == FM_OK ? 0 : failed(PROGRAM, a->json);
    else
        code = verify_as_member(&o, a->config ? a->config : "node.yaml", a->json) == FM_OK
                   ? 0
                   : failed(PROGRAM, a->json);
    free(rounds);
    free(released);
    return code;
}

int fm_cmd_verify(int argc, char **argv)
{
    arguments a = { 0 };
    const fm_cli_option options[] = {
        { "config", FM_CLI_STRING, &a.config, "FILE",
          "node.yaml: check as this member, also against its own journal; default: the one in this "
          "folder",
          false, 0, 0 },
        { "trust", FM_CLI_STRING, &a.trust, "DIR",
          "check as an outsider: a folder with the consortium's ca.crt and its newest crl.pem",
          false, 0, 0 },
        { "recompute", FM_CLI_FLAG, &a.recompute, NULL,
          "fail unless every round's sum and model can be recomputed", false, 0, 0 },
        { "abandoned", FM_CLI_LIST, &a.abandoned, "ROUND",
          "a round that this node's log shows as abandoned after its release, though its journal "
          "does not",
          false, 0, 0 },
        { "released", FM_CLI_LIST, &a.released, "ROUND",
          "a round that this node's log shows as released, though a power cut has taken that out "
          "of its journal",
          false, 0, 0 },
        FM_CMD_JSON_OPTION(a.json),
    };
    const fm_cli_spec spec = {
        .program = PROGRAM,
        .summary =
            "Check an audit bundle (fedmoe-aggregator export --audit) without the "
            "aggregator: who took part, what each signed, that every round follows from the "
            "one before, and, where updates were kept, the sums and models. It does not show "
            "that anyone's records are right.",
        .examples = "fedmoe-node verify --config node.yaml heart.audit\n"
                    "fedmoe-node verify --trust consortium --recompute heart.audit",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .operands = "BUNDLE",
        .operands_min = 1,
        .operands_max = 1,
    };
    int first = 0, code = 0;

    if (fm_cli_begin(&spec, argc, argv, &first, &code))
        code = run(&a, argv[first]);
    free(a.abandoned.items);
    free(a.released.items);
    return code;
}
