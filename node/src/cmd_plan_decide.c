/* What people say to a plan: approve, refuse; and what they have said. */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/text.h"
#include "plan_words.h"
#include "run_internal.h"

typedef struct {
    const char *config, *plan, *by, *role, *key, *until, *members, *text;
    double epsilon;
    uint64_t rounds, min_cohort;
} wishes;

typedef struct {
    fm_node_config config;
    fm_identity *identity;
    fm_decision_keys keys;
    char *path, *journal; /* of the decisions; of the journal */
} house;

static void house_fini(house *h)
{
    free(h->path);
    free(h->journal);
    fm_identity_free(&h->identity);
    fm_node_config_fini(&h->config);
}

static fm_status house_open(const char *config, house *h)
{
    fm_status st;

    if ((st = fm_node_config_load(config, &h->config)) != FM_OK ||
        (st = fm_decision_keys_of(&h->config, &h->keys)) != FM_OK ||
        (st = fm_path_join(h->config.dir, FM_DECISIONS_FILE, &h->path)) != FM_OK)
        return st;
    return fm_path_join(h->config.dir, "state.db", &h->journal);
}

/* ---- deciding ---- */

/** What is on record is the plan that was looked at, and no other that came meanwhile. */
static fm_status check_plan(const fm_plan_offer *o, const char *wanted)
{
    char hex[2 * FM_HASH_BYTES + 1];

    if (!o->whole)
        return fm_fail(FM_ESTATE, "plan.json was written by an older version; start the node, so "
                                  "that it is offered the plan again");
    fm_hash_hex(&o->hash, hex);
    if (!wanted || (strlen(wanted) >= 8 && strncmp(hex, wanted, strlen(wanted)) == 0))
        return FM_OK;
    return fm_fail(FM_EINVAL,
                   "the plan on offer is %.12s, not %.12s: it has changed since it was looked at, "
                   "or the option is wrong (8 digits at least); see 'fedmoe-node plan'",
                   hex, wanted);
}

static fm_status put_text(char *out, size_t cap, const char *option, const char *text)
{
    if ((size_t)snprintf(out, cap, "%s", text) < cap)
        return FM_OK;
    return fm_fail(FM_EINVAL, "%s: at most %zu bytes", option, cap - 1);
}

static const char *login(void)
{
    const struct passwd *who = getpwuid(getuid());

    return who ? who->pw_name : "somebody";
}

/** Of the words as this command's user was, or could have been, shown them. */
static fm_status hash_words(const fm_plan_offer *o, const char *config, fm_hash *out)
{
    const fm_plan_means m = fm_plan_means_of(o->json, config, true);
    fm_buf words = { 0 };
    fm_status st = fm_plan_words(o->json, &m, &words);

    if (st == FM_OK)
        *out = fm_hash_of("fedmoe plan words v1", words.data, words.len);
    fm_buf_fini(&words);
    return st;
}

/* It holds for each sum (fm_decision): more than one can have would end every round. */
static fm_status check_cohort(const fm_plan_offer *o, uint64_t min_cohort)
{
    const long long groups = fm_cmd_whole(o->json, "robust_groups"),
                    nodes = fm_cmd_whole(o->json, "max_nodes"),
                    most = groups > 0 ? (nodes + groups - 1) / groups : nodes;

    if (nodes <= 0 || min_cohort <= (uint64_t)most)
        return FM_OK;
    return fm_fail(
        FM_EINVAL,
        "--min-cohort %llu: a sum of this plan is of at most %lld nodes%s, so that no round "
        "could take place; say at most that, or refuse the plan",
        (unsigned long long)min_cohort, most, groups > 0 ? " (it is read in groups)" : "");
}

static fm_status make(const fm_plan_offer *o, const wishes *w, fm_verdict verdict, fm_decision *d)
{
    fm_status st;

    d->plan = o->hash;
    d->verdict = verdict;
    d->plan_epsilon = o->plan.epsilon;
    d->plan_delta = o->plan.delta;
    d->plan_rounds = o->plan.rounds;
    d->at_s = fm_clock_wall_s();
    d->epsilon = w->epsilon;
    d->rounds = (uint32_t)w->rounds;
    d->min_cohort = (uint32_t)w->min_cohort;
    memcpy(d->federation, o->plan.federation, sizeof d->federation);
    memcpy(d->purpose, o->plan.purpose, sizeof d->purpose);
    if ((w->until && (st = fm_decision_date(w->until, &d->until_s)) != FM_OK) ||
        (w->members && (st = fm_decision_set_members(d, w->members)) != FM_OK) ||
        (st = put_text(d->by, sizeof d->by, "--by", w->by ? w->by : login())) != FM_OK ||
        (st = put_text(d->role, sizeof d->role, "--role", w->role ? w->role : "operator")) !=
            FM_OK ||
        (st = put_text(d->note, sizeof d->note,
                       verdict == FM_VERDICT_APPROVE ? "--note" : "--reason",
                       w->text ? w->text : "")) != FM_OK)
        return st;
    if ((st = check_cohort(o, w->min_cohort)) != FM_OK)
        return st;
    if (d->until_s > 0 && d->until_s < d->at_s)
        return fm_fail(FM_EINVAL, "--until %s has passed", w->until);
    if (strcmp(d->role, FM_DECISION_BY_POLICY) == 0)
        return fm_fail(FM_EINVAL,
                       "--role " FM_DECISION_BY_POLICY " is what the node itself writes");
    return hash_words(o, w->config, &d->words);
}

static fm_status check_counts(const house *h, const fm_decision_signer *signer)
{
    fm_decision_entry e = { .hash = { { 0 } } };
    fm_status st = signer->key_file ? fm_key_file_public(signer->key_file, &e.key)
                                    : fm_identity_public_key(h->identity, &e.key);

    if (st != FM_OK || fm_decision_counts(&e, &h->keys))
        return st;
    return fm_fail(FM_EPERM,
                   h->config.policy.approver_count > 0
                       ? "%s is not one of policy.approvers, whose decisions alone count; give "
                         "--key FILE, the private half of one of these"
                       : "%s is not this node's key, and node.yaml lists no policy.approvers: "
                         "list its public half there, or leave out --key",
                   signer->key_file ? signer->key_file : "this node's own key");
}

/** The node must not be shown fewer decisions later than there are now. */
static fm_status note(const house *h, const fm_decision_entry *e)
{
    fm_journal *j = NULL;
    fm_status st = fm_journal_open(h->journal, e->d.federation, &e->d.plan, &j);

    if (st == FM_OK)
        st = fm_journal_note_decisions(j, e->d.number, &e->hash);
    fm_journal_close(&j);
    return st;
}

/** Before anything is added: it would seem to be in order behind what is not. */
static fm_status check_known(const house *h)
{
    fm_decisions all = { 0 };
    fm_status st = fm_decisions_of_node(&h->config, &all);

    fm_decisions_fini(&all);
    return st;
}

static fm_status tell(const fm_decision_entry *e, const house *h, const fm_plan_offer *o)
{
    char key[17], hex[2 * FM_HASH_BYTES + 1];
    fm_buf text = { 0 };
    fm_status st = fm_buf_printf(&text, "decision %llu: ", (unsigned long long)e->d.number);

    fm_public_key_name(&e->key, key);
    fm_hash_hex(&e->d.plan, hex);
    if (st == FM_OK && (st = fm_decision_words(&e->d, &text)) == FM_OK &&
        (st = fm_buf_printf(&text,
                            "\n  plan %.12s, '%s': epsilon %g at delta %g over %u rounds\n"
                            "  by %s (%s), signed with key %s, kept in %s\n",
                            hex, e->d.purpose, e->d.plan_epsilon, e->d.plan_delta, e->d.plan_rounds,
                            e->d.by, e->d.role, key, h->path)) == FM_OK)
        printf("%s", (const char *)text.data);
    fm_buf_fini(&text);
    if (strcmp(fm_cmd_text(o->json, "answer"), "waiting") == 0)
        printf("A node that waits for it goes on at once.\n");
    else if (strcmp(fm_cmd_text(o->json, "answer"), "refused") == 0)
        printf("The node has refused this plan and ended; start it again. The limits in node.yaml "
               "stand above every approval.\n");
    return st;
}

static fm_status decide(const wishes *w, fm_verdict verdict)
{
    fm_decision_signer signer = { .key_file = w->key };
    fm_decision d = { .number = 0 };
    fm_plan_offer offer = { 0 };
    fm_decision_entry kept;
    house h = { .path = NULL };
    fm_status st;

    if ((st = house_open(w->config, &h)) != FM_OK ||
        (st = fm_plan_offer_read(w->config, &offer)) != FM_OK ||
        (st = check_plan(&offer, w->plan)) != FM_OK ||
        (st = make(&offer, w, verdict, &d)) != FM_OK ||
        (!w->key && (st = fm_identity_load(h.config.identity_dir, &h.identity)) != FM_OK))
        goto done;
    signer.identity = h.identity;
    if ((st = check_counts(&h, &signer)) == FM_OK && (st = check_known(&h)) == FM_OK &&
        (st = fm_decisions_append(h.path, &signer, &d, &kept)) == FM_OK &&
        (st = note(&h, &kept)) == FM_OK)
        st = tell(&kept, &h, &offer);
done:
    fm_plan_offer_fini(&offer);
    house_fini(&h);
    return st;
}

#define WHO_OPTIONS(w)                                                                                  \
    { "plan",                                                                                           \
      FM_CLI_STRING,                                                                                    \
      &(w).plan,                                                                                        \
      "HASH",                                                                                           \
      "only if it is this plan, as 'fedmoe-node plan' named it",                                        \
      false,                                                                                            \
      0,                                                                                                \
      0 },                                                                                              \
        { "by", FM_CLI_STRING, &(w).by, "NAME", "who decides (default: the login name)", false, 0, 0 }, \
        { "role",                                                                                       \
          FM_CLI_STRING,                                                                                \
          &(w).role,                                                                                    \
          "ROLE",                                                                                       \
          "as what: dpo, say (default: operator)",                                                      \
          false,                                                                                        \
          0,                                                                                            \
          0 },                                                                                          \
    {                                                                                                   \
        "key", FM_CLI_STRING, &(w).key, "FILE",                                                         \
            "sign with this private key of an approver's own, not with the node's", false, 0, 0         \
    }

int fm_cmd_plan_approve(int argc, char **argv)
{
    wishes w = { .config = "node.yaml" };
    const fm_cli_option options[] = {
        FM_CMD_CONFIG_OPTION(w.config),
        WHO_OPTIONS(w),
        { "epsilon", FM_CLI_DOUBLE, &w.epsilon, "MAX",
          "condition: this plan may cost so much, and no round that makes it more", false, 1e-6,
          1000 },
        { "rounds", FM_CLI_U64, &w.rounds, "MAX", "condition: so many rounds of it", false, 1,
          FM_MAX_ROUNDS },
        { "until", FM_CLI_STRING, &w.until, "DATE",
          "condition: no round begins after 2026-12-31 (UTC), say", false, 0, 0 },
        { "min-cohort", FM_CLI_U64, &w.min_cohort, "N",
          "condition: fewest participants of a round, and fewest in its sum", false, 2,
          FM_MAX_NODES },
        { "members", FM_CLI_STRING, &w.members, "NAME,...",
          "condition: nobody else in a round (list this node, too)", false, 0, 0 },
        { "note", FM_CLI_STRING, &w.text, "TEXT", "kept with it", false, 0, 0 },
    };
    const fm_cli_spec spec = {
        .program = "fedmoe-node plan approve",
        .summary = "Approve the plan that was offered last, and no other: signed, kept, and asked "
                   "for in every round. Where a condition ends, the node leaves politely.",
        .examples = "fedmoe-node plan approve --by 'Anna Muster' --role dpo\n"
                    "fedmoe-node plan approve --rounds 20 --until 2026-12-31",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    int first = 0, code = 0;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    return decide(&w, FM_VERDICT_APPROVE) == FM_OK ? 0 : fm_cli_failed(spec.program);
}

int fm_cmd_plan_refuse(int argc, char **argv)
{
    wishes w = { .config = "node.yaml" };
    const fm_cli_option options[] = {
        FM_CMD_CONFIG_OPTION(w.config),
        WHO_OPTIONS(w),
        { "reason", FM_CLI_STRING, &w.text, "TEXT", "why: the coordinator is told this", true, 0,
          0 },
    };
    const fm_cli_spec spec = {
        .program = "fedmoe-node plan refuse",
        .summary = "Refuse the plan that was offered last, or take its approval back: a running "
                   "node takes part in no further round, and releases none.",
        .examples = "fedmoe-node plan refuse --by 'Anna Muster' --role dpo --reason 'too many "
                    "rounds'",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    int first = 0, code = 0;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    return decide(&w, FM_VERDICT_REFUSE) == FM_OK ? 0 : fm_cli_failed(spec.program);
}

/* ---- what was decided ---- */

static fm_status show_one(const fm_decision_entry *e, bool counts)
{
    char when[32], key[17], hex[2 * FM_HASH_BYTES + 1];
    fm_buf text = { 0 };
    fm_status st;

    fm_clock_format(e->d.at_s, when, sizeof when);
    fm_public_key_name(&e->key, key);
    fm_hash_hex(&e->d.plan, hex);
    if ((st = fm_buf_printf(&text, "%3llu  %s  ", (unsigned long long)e->d.number, when)) ==
            FM_OK &&
        (st = fm_decision_words(&e->d, &text)) == FM_OK &&
        (st = fm_buf_printf(&text,
                            "\n     plan %.12s of %s, '%s': epsilon %g, %u rounds\n"
                            "     by %s (%s), key %s%s\n",
                            hex, e->d.federation, e->d.purpose, e->d.plan_epsilon, e->d.plan_rounds,
                            e->d.by, e->d.role, key,
                            counts ? "" : ": NOT one whose decisions count here")) == FM_OK)
        printf("%s", (const char *)text.data);
    fm_buf_fini(&text);
    return st;
}

static fm_status show_voided(const house *h)
{
    fm_journal_voided v;
    char when[32];
    fm_status st;

    if (!fm_file_exists(h->journal))
        return FM_OK;
    if ((st = fm_journal_read_voided(h->journal, 0, &v)) != FM_OK)
        return st;
    for (uint64_t i = 1, last = v.times; i <= last; i++) {
        if ((st = fm_journal_read_voided(h->journal, i, &v)) != FM_OK)
            return st;
        fm_clock_format(v.at_s, when, sizeof when);
        printf("%llu decision%s of before %s are void, as %s said: '%s'\n",
               (unsigned long long)v.count, v.count == 1 ? "" : "s", when, v.by, v.why);
    }
    return FM_OK;
}

static fm_status show_all(const fm_decisions *all, const house *h)
{
    fm_status st = FM_OK;

    for (size_t i = 0; st == FM_OK && i < all->count; i++)
        st = show_one(&all->entries[i], fm_decision_counts(&all->entries[i], &h->keys));
    if (st == FM_OK)
        printf("%zu decision%s in %s: the chain is whole, and every signature holds\n", all->count,
               all->count == 1 ? "" : "s", h->path);
    return st;
}

int fm_cmd_plan_decisions(int argc, char **argv)
{
    const char *config = "node.yaml";
    bool json = false;
    const fm_cli_option options[] = { FM_CMD_CONFIG_OPTION(config), FM_CMD_JSON_OPTION(json) };
    const fm_cli_spec spec = {
        .program = "fedmoe-node plan decisions",
        .summary = "List what was decided on plans, by whom, under which conditions; signatures "
                   "and chain are checked.",
        .examples = "fedmoe-node plan decisions\nfedmoe-node plan decisions --json",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    fm_decisions all = { 0 };
    house h = { .path = NULL };
    json_t *j = NULL;
    int first = 0, code = 0;
    fm_status st;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    if ((st = house_open(config, &h)) == FM_OK &&
        (st = fm_decisions_of_node(&h.config, &all)) == FM_OK) {
        if (!json && (st = show_voided(&h)) == FM_OK)
            st = show_all(&all, &h);
        if (json && (st = fm_decisions_json(&all, &h.keys, &j)) == FM_OK)
            st = fm_json_print(j);
    }
    json_decref(j);
    fm_decisions_fini(&all);
    house_fini(&h);
    return st == FM_OK ? 0 : fm_cli_failed(spec.program);
}
