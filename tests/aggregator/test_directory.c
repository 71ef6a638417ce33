/* init and export. */
#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "directory_internal.h"
#include "federation.h"
#include "fedmoe/aggregator/run.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/json.h"
#include "fedmoe/proto/link/link.h"
#include "store.h"
#include "suites.h"

/* A coordinator's desk: CA, identities, federation.yaml, model. */
typedef struct {
    char root[PATH_CAP - 64], ca[PATH_CAP], hub[PATH_CAP], node[PATH_CAP], config[PATH_CAP],
        agg[PATH_CAP];
} desk;

static void issue(const desk *d, fm_role role, const char *name, const char *out)
{
    const fm_ca_request r = { .role = role, .name = name, .type = FM_KEY_ED25519, .days = 30 };

    need(fm_ca_issue(d->ca, &r, out) == FM_OK, name);
}

static void desk_make(desk *d, const char *ca_of)
{
    fm_test_tmpdir(d->root, sizeof d->root);
    yaml_path(d->ca, d->root, "ca");
    yaml_path(d->hub, d->root, "hub");
    yaml_path(d->node, d->root, "node");
    yaml_path(d->config, d->root, "federation.yaml");
    yaml_path(d->agg, d->root, "agg");
    need(fm_ca_new(d->ca, ca_of, FM_KEY_ED25519, 365) == FM_OK, "ca");
    issue(d, FM_ROLE_AGGREGATOR, "hub", d->hub);
    issue(d, FM_ROLE_NODE, "node", d->node);
    yaml_write_model(d->root, "model.safetensors");
    yaml_write(d->root, NULL, NULL);
}

static fm_status init(const desk *d, const char *identity, fm_aggregator_init_report *r)
{
    const fm_aggregator_init_options o = { d->agg, d->config, identity };

    return fm_aggregator_init(&o, r);
}

static bool same_file(const char *a_dir, const char *b_dir, const char *name)
{
    char a[PATH_CAP], b[PATH_CAP];
    fm_buf x = { 0 }, y = { 0 };
    bool same;

    yaml_path(a, a_dir, name);
    yaml_path(b, b_dir, name);
    same = fm_file_read(a, 1 << 20, &x) == FM_OK && fm_file_read(b, 1 << 20, &y) == FM_OK &&
           x.len == y.len && memcmp(x.data, y.data, x.len) == 0;
    fm_buf_fini(&x);
    fm_buf_fini(&y);
    return same;
}

static unsigned mode_of(const char *dir, const char *name)
{
    char path[PATH_CAP];
    struct stat st;

    yaml_path(path, dir, name);
    return stat(path, &st) == 0 ? (unsigned)st.st_mode & 0777u : 0;
}

static void init_makes_everything_that_start_needs(void)
{
    static const char *const copies[] = { "identity.key", "identity.crt", "ca.crt", "crl.pem" };
    uint8_t secret[FM_CURVE_KEY_BYTES], public_key[FM_CURVE_KEY_BYTES];
    fm_aggregator_init_report r;
    fm_aggregator_config c = { 0 };
    fm_buf plan = { 0 }, key = { 0 };
    char path[PATH_CAP], text[41];
    fm_hash hash;
    desk d;

    desk_make(&d, "heart");
    CU_ASSERT_EQUAL_FATAL(init(&d, d.hub, &r), FM_OK);
    CU_ASSERT_EQUAL(mode_of(d.agg, "."), 0700);
    CU_ASSERT_EQUAL(mode_of(d.agg, "door.key"), 0600);
    CU_ASSERT_EQUAL(mode_of(d.agg, "identity.key"), 0600);
    CU_ASSERT(same_file(d.root, d.agg, "federation.yaml"));
    CU_ASSERT(same_file(d.root, d.agg, "model.safetensors"));
    for (size_t i = 0; i < FM_TEST_COUNT(copies); i++)
        CU_ASSERT(same_file(d.hub, d.agg, copies[i]));
    CU_ASSERT_EQUAL_FATAL(fm_directory_open(d.agg, &c, &plan), FM_OK);
    hash = fm_plan_hash(plan.data, plan.len);
    CU_ASSERT(fm_hash_equal(&hash, &r.plan));
    CU_ASSERT_STRING_EQUAL(r.federation, "heart");
    CU_ASSERT_STRING_EQUAL(r.door, "tcp://127.0.0.1:7300");
    CU_ASSERT_EQUAL(r.noise_multiplier, c.plan.noise_multiplier);
    CU_ASSERT(r.epsilon > 0.999 && r.epsilon <= 1.0);
    CU_ASSERT_EQUAL(r.parameters, YAML_PARAMETERS);
    yaml_path(path, d.agg, "door.key");
    CU_ASSERT_EQUAL_FATAL(fm_file_read_private(path, 64, &key), FM_OK);
    CU_ASSERT(key.len == 41 && key.data[40] == '\n');
    key.data[40] = '\0';
    CU_ASSERT_EQUAL(fm_curve_parse((const char *)key.data, secret), FM_OK);
    CU_ASSERT_EQUAL(fm_curve_public(secret, public_key), FM_OK);
    fm_curve_text(public_key, text);
    CU_ASSERT_STRING_EQUAL(text, r.door_key);
    fm_buf_fini(&plan);
    fm_buf_fini(&key);
    fm_aggregator_config_fini(&c);
}

static void init_never_overwrites(void)
{
    fm_aggregator_init_report r;
    char path[PATH_CAP];
    fm_buf before = { 0 }, after = { 0 };
    desk d;

    desk_make(&d, "heart");
    CU_ASSERT_EQUAL_FATAL(init(&d, d.hub, &r), FM_OK);
    yaml_path(path, d.agg, "plan.bin");
    CU_ASSERT_EQUAL(fm_file_read(path, 1 << 20, &before), FM_OK);
    CU_ASSERT_EQUAL(init(&d, d.hub, &r), FM_EEXIST);
    CU_ASSERT(says("nothing was changed"));
    CU_ASSERT_EQUAL(fm_file_read(path, 1 << 20, &after), FM_OK);
    CU_ASSERT(before.len == after.len && memcmp(before.data, after.data, before.len) == 0);
    fm_buf_fini(&before);
    fm_buf_fini(&after);
    (void)snprintf(d.agg, sizeof d.agg, "%s/empty/", d.root);
    CU_ASSERT_EQUAL(fm_dir_make(d.agg, 0755), FM_OK);
    CU_ASSERT_EQUAL(init(&d, d.hub, &r), FM_OK); /* an empty one will do, and becomes 0700 */
    CU_ASSERT_EQUAL(mode_of(d.agg, "."), 0700);
    yaml_path(d.agg, d.root, "federation.yaml");
    CU_ASSERT_EQUAL(init(&d, d.hub, &r), FM_EEXIST); /* a file */
}

/* Leaves nothing, under no name. */
static void fails_and_leaves_nothing(const desk *d, const char *identity, fm_status why,
                                     const char *words)
{
    fm_aggregator_init_report r;
    char command[PATH_CAP + 64];

    CU_ASSERT_EQUAL(init(d, identity, &r), why);
    CU_ASSERT(says(words));
    CU_ASSERT_FALSE(fm_file_exists(d->agg));
    (void)snprintf(command, sizeof command, "%s.XXXXXX", d->agg);
    CU_ASSERT_FALSE(fm_file_exists(command));
}

static void init_refuses_an_identity_that_is_none(void)
{
    desk d, other;
    char path[PATH_CAP];

    desk_make(&d, "heart");
    fails_and_leaves_nothing(&d, d.node, FM_EAUTH, "is a node, not an aggregator");
    desk_make(&other, "lungs");
    fails_and_leaves_nothing(&d, other.hub, FM_EAUTH,
                             "the CA is of the federation 'lungs', federation.yaml says 'heart'");
    yaml_path(path, d.hub, "identity.key");
    CU_ASSERT_EQUAL(chmod(path, 0644), 0);
    fails_and_leaves_nothing(&d, d.hub, FM_EPERM, "identity.key");
    CU_ASSERT_EQUAL(chmod(path, 0600), 0);
    CU_ASSERT_EQUAL(fm_ca_revoke(d.ca, "hub"), FM_OK);
    {
        char from[PATH_CAP], to[PATH_CAP];
        fm_buf crl = { 0 };

        yaml_path(from, d.ca, "crl.pem");
        yaml_path(to, d.hub, "crl.pem");
        CU_ASSERT_EQUAL(fm_file_read(from, 1 << 20, &crl), FM_OK);
        CU_ASSERT_EQUAL(fm_file_replace(to, crl.data, crl.len, 0644), FM_OK);
        fm_buf_fini(&crl);
    }
    fails_and_leaves_nothing(&d, d.hub, FM_EAUTH, "revoked");
}

/* In the middle of its files: nothing stays, under no name. */
static void a_full_disk_leaves_nothing_of_init(void)
{
    static const rlim_t limits[] = { 100, 650 };

    for (size_t i = 0; i < FM_TEST_COUNT(limits); i++) {
        const struct rlimit l = { limits[i], limits[i] };
        fm_aggregator_init_report r;
        size_t entries = 0;
        int status = 0;
        pid_t child;
        DIR *root;
        desk d;

        desk_make(&d, "heart");
        (void)fflush(stdout);
        child = fork();
        need(child >= 0, "fork");
        if (child == 0) {
            (void)signal(SIGXFSZ, SIG_IGN);
            _exit(setrlimit(RLIMIT_FSIZE, &l) == 0 && init(&d, d.hub, &r) == FM_EIO ? 0 : 1);
        }
        need(waitpid(child, &status, 0) == child, "wait");
        CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        root = opendir(d.root);
        need(root != NULL, "root");
        for (struct dirent *e; (e = readdir(root));)
            entries += strncmp(e->d_name, "agg", 3) == 0;
        (void)closedir(root);
        CU_ASSERT_EQUAL(entries, 0);
        CU_ASSERT_EQUAL(init(&d, d.hub, &r), FM_OK);
    }
}

static void init_works_without_a_revocation_list(void)
{
    fm_aggregator_init_report r;
    char path[PATH_CAP];
    desk d;

    desk_make(&d, "heart");
    yaml_path(path, d.hub, "crl.pem");
    CU_ASSERT_EQUAL(unlink(path), 0);
    CU_ASSERT_EQUAL(init(&d, d.hub, &r), FM_OK);
    CU_ASSERT_EQUAL(mode_of(d.agg, "crl.pem"), 0);
}

static void init_says_when_nothing_is_private(void)
{
    fm_aggregator_init_report r;
    desk d;

    desk_make(&d, "heart");
    yaml_write(d.root, "epsilon: 1.0", "epsilon: 1000\n  insecure_noise_multiplier: 0");
    CU_ASSERT_EQUAL_FATAL(init(&d, d.hub, &r), FM_OK);
    CU_ASSERT(isinf(r.epsilon));
}

static void a_changed_configuration_is_another_run(void)
{
    fm_aggregator_init_report r;
    fm_aggregator_config c = { 0 };
    fm_buf plan = { 0 };
    desk d;

    desk_make(&d, "heart");
    CU_ASSERT_EQUAL_FATAL(init(&d, d.hub, &r), FM_OK);
    yaml_write(d.agg, "rounds: 40", "rounds: 41");
    CU_ASSERT_EQUAL(fm_directory_open(d.agg, &c, &plan), FM_ESTATE);
    CU_ASSERT(says("changed after init"));
    fm_buf_fini(&plan);
    yaml_write(d.agg, "round_s: 30", "round_s: 31"); /* no part of the plan */
    CU_ASSERT_EQUAL(fm_directory_open(d.agg, &c, &plan), FM_OK);
    CU_ASSERT_EQUAL(c.round_s, 31);
    fm_buf_fini(&plan);
    fm_aggregator_config_fini(&c);
}

/* Another mathematics library: the approved plan's last digits count. */
static void the_approved_noise_wins_in_the_last_digits(void)
{
    fm_aggregator_init_report r;
    fm_aggregator_config c = { 0 };
    fm_buf plan = { 0 }, again = { 0 };
    char path[PATH_CAP];
    desk d;

    desk_make(&d, "heart");
    CU_ASSERT_EQUAL_FATAL(init(&d, d.hub, &r), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_directory_open(d.agg, &c, &plan), FM_OK);
    c.plan.noise_multiplier *= 1.00005;
    CU_ASSERT_EQUAL(fm_plan_encode(&c.plan, &again), FM_OK);
    yaml_path(path, d.agg, "plan.bin");
    CU_ASSERT_EQUAL(fm_file_replace(path, again.data, again.len, 0644), FM_OK);
    fm_aggregator_config_fini(&c);
    fm_buf_fini(&plan);
    CU_ASSERT_EQUAL(fm_directory_open(d.agg, &c, &plan), FM_OK);
    CU_ASSERT_EQUAL(c.plan.noise_multiplier, r.noise_multiplier * 1.00005);
    fm_aggregator_config_fini(&c);
    fm_buf_fini(&plan);
    fm_buf_fini(&again);
}

static void finish_rounds(const desk *d, int rounds, float average[YAML_PARAMETERS])
{
    fm_aggregator_config c = { 0 };
    float gradient[YAML_PARAMETERS];
    fm_optimizer *o = NULL;
    fm_state *s = NULL;
    fm_buf plan = { 0 };
    fm_hash hash;
    uint64_t round = 0;

    need(fm_directory_open(d->agg, &c, &plan) == FM_OK, "open");
    hash = fm_plan_hash(plan.data, plan.len);
    need(fm_directory_optimizer(&c, &o) == FM_OK, "optimizer");
    need(fm_state_open(d->agg, &hash, c.model, o, &s) == FM_OK, "state");
    for (int i = 0; i < rounds; i++) {
        fm_transcript_entry e;

        need(fm_state_next_round(s, &round) == FM_OK, "number");
        store_gradient(round, gradient);
        need(fm_optimizer_step(o, gradient, YAML_PARAMETERS) == FM_OK, "step");
        e = store_entry(round, o);
        need(fm_state_finish_round(s, &e, (fm_bytes){ NULL, 0 }, o) == FM_OK, "finish");
    }
    fm_optimizer_result(o, average);
    fm_state_close(&s);
    fm_optimizer_free(&o);
    fm_buf_fini(&plan);
    fm_aggregator_config_fini(&c);
}

/** The aggregator's own trust finds the card good, and what stands in it is the run's. */
static void check_card(const desk *d, const fm_safetensors *s, uint64_t rounds)
{
    fm_card_verdict v = { 0 };
    fm_trust *trust = NULL;

    need(fm_trust_load(d->agg, &trust) == FM_OK, "trust");
    CU_ASSERT_EQUAL_FATAL(fm_card_verify("now", s, trust, fm_clock_wall_s(), &v), FM_OK);
    CU_ASSERT_EQUAL(v.standing, FM_CARD_SIGNED);
    CU_ASSERT_STRING_EQUAL(v.card.federation, "heart");
    CU_ASSERT_STRING_EQUAL(v.card.epsilon, "1");
    CU_ASSERT_EQUAL(v.card.rounds, rounds);
    CU_ASSERT_FALSE(fm_hash_is_zero(&v.card.head));
    CU_ASSERT_EQUAL(v.card.policy.allowed_count, 1);
    CU_ASSERT_EQUAL(v.card.policy.prohibited_count, 12);
    fm_card_verdict_fini(&v);
    fm_trust_free(&trust);
}

static void export_writes_a_model_file_with_its_metadata(void)
{
    float want[YAML_PARAMETERS], got[YAML_PARAMETERS];
    fm_aggregator_init_report r;
    fm_safetensors *s = NULL;
    char out[PATH_CAP];
    uint64_t rounds = 0;
    desk d;

    desk_make(&d, "heart");
    yaml_path(out, d.root, "now.safetensors");
    CU_ASSERT_EQUAL_FATAL(init(&d, d.hub, &r), FM_OK);
    CU_ASSERT_EQUAL(fm_aggregator_export(d.agg, out, true, &rounds), FM_ENOTFOUND);
    CU_ASSERT(says("no round is finished yet"));
    for (int i = 0; i < 2; i++) { /* 3 rounds: the last weights; 23: an average has begun */
        finish_rounds(&d, i ? 20 : 3, want);
        CU_ASSERT_EQUAL_FATAL(fm_aggregator_export(d.agg, out, true, &rounds), FM_OK);
        CU_ASSERT_EQUAL(rounds, i ? 23 : 3);
        CU_ASSERT_EQUAL_FATAL(fm_safetensors_load(out, 1 << 20, &s), FM_OK);
        CU_ASSERT_EQUAL(fm_safetensors_count(s), 2);
        CU_ASSERT_EQUAL(fm_safetensors_find(s, "linear.weight")->dims, 2);
        CU_ASSERT_STRING_EQUAL(fm_safetensors_meta_get(s, "fedmoe.schema"), "columns: none\n");
        CU_ASSERT_STRING_EQUAL(fm_safetensors_meta_get(s, "fedmoe.model"), "kind: test\n");
        CU_ASSERT_STRING_EQUAL(fm_safetensors_meta_get(s, "author"), "the tests");
        CU_ASSERT_STRING_EQUAL(fm_safetensors_meta_get(s, "fedmoe.federation"), "heart");
        CU_ASSERT_STRING_EQUAL(fm_safetensors_meta_get(s, "fedmoe.rounds"), i ? "23" : "3");
        /* Of this run, not of the one that the first model came from. */
        CU_ASSERT_STRING_EQUAL(fm_safetensors_meta_get(s, "fedmoe.epsilon"), "1");
        CU_ASSERT_STRING_EQUAL(fm_safetensors_meta_get(s, "fedmoe.clip_norm"), "1");
        CU_ASSERT_EQUAL(fm_safetensors_flat_read(s, got, YAML_PARAMETERS), FM_OK);
        CU_ASSERT(memcmp(want, got, sizeof want) == 0);
        check_card(&d, s, rounds);
        fm_safetensors_free(&s);
    }
    CU_ASSERT_EQUAL_FATAL(fm_aggregator_export(d.agg, out, false, &rounds), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_safetensors_load(out, 1 << 20, &s), FM_OK);
    CU_ASSERT_FALSE(fm_card_is_there(s));
    fm_safetensors_free(&s);
}

static void export_leaves_the_directorys_own_files_alone(void)
{
    static const char *const own[] = { "model.safetensors", "checkpoint.safetensors",
                                       "state.db",          "plan.bin",
                                       "identity.key",      "use-policy.yaml" };
    float average[YAML_PARAMETERS];
    fm_aggregator_init_report r;
    uint64_t rounds = 0;
    char out[PATH_CAP];
    desk d;

    desk_make(&d, "heart");
    CU_ASSERT_EQUAL_FATAL(init(&d, d.hub, &r), FM_OK);
    finish_rounds(&d, 1, average);
    for (size_t i = 0; i < FM_TEST_COUNT(own); i++) {
        yaml_path(out, d.agg, own[i]);
        CU_ASSERT_EQUAL(fm_aggregator_export(d.agg, out, true, &rounds), FM_EEXIST);
    }
    CU_ASSERT(same_file(d.root, d.agg, "model.safetensors"));
    yaml_path(out, d.agg, "export.safetensors");
    CU_ASSERT_EQUAL(fm_aggregator_export(d.agg, out, true, &rounds), FM_OK);
}

static bool status_has(const desk *d, const char *key, const char *words)
{
    char path[PATH_CAP];
    json_t *j = NULL;
    const char *s;
    bool has;

    yaml_path(path, d->agg, "status.json");
    if (fm_json_read(path, &j) != FM_OK)
        return false;
    s = json_string_value(json_object_get(j, key));
    has = s && strstr(s, words);
    json_decref(j);
    return has;
}

static void a_run_that_fails_says_so_in_status_json(void)
{
    fm_aggregator_run_options o = { .linger_s = 0 };
    fm_aggregator_init_report r;
    char path[PATH_CAP];
    int lock = -1;
    desk d;

    desk_make(&d, "heart");
    CU_ASSERT_EQUAL_FATAL(init(&d, d.hub, &r), FM_OK);
    o.dir = d.agg;
    CU_ASSERT_EQUAL_FATAL(fm_dir_lock(d.agg, &lock), FM_OK);
    CU_ASSERT_EQUAL(fm_aggregator_run(&o), FM_EEXIST);
    CU_ASSERT(says("in use by another process"));
    fm_dir_unlock(&lock);
    CU_ASSERT_EQUAL(mode_of(d.agg, "status.json"), 0); /* it is the other's to write */

    yaml_path(path, d.agg, "plan.bin");
    CU_ASSERT_EQUAL(fm_file_replace(path, "x", 1, 0644), FM_OK);
    CU_ASSERT_EQUAL(fm_aggregator_run(&o), FM_EPROTO);
    CU_ASSERT(says("plan.bin"));
    CU_ASSERT(status_has(&d, "state", "failed"));
    CU_ASSERT(status_has(&d, "reason", "plan.bin"));
    CU_ASSERT_EQUAL(fm_dir_lock(d.agg, &lock), FM_OK); /* nobody's again */
    fm_dir_unlock(&lock);

    o.dir = d.node; /* not made by init: nothing is written there */
    CU_ASSERT_EQUAL(fm_aggregator_run(&o), FM_ENOTFOUND);
    CU_ASSERT_EQUAL(mode_of(d.node, "status.json"), 0);
}

static const fm_test tests[] = {
    { "init makes everything that start needs", init_makes_everything_that_start_needs },
    { "init never overwrites", init_never_overwrites },
    { "init refuses an identity that is none", init_refuses_an_identity_that_is_none },
    { "a full disk leaves nothing of init", a_full_disk_leaves_nothing_of_init },
    { "init works without a revocation list", init_works_without_a_revocation_list },
    { "init says when nothing is private", init_says_when_nothing_is_private },
    { "a changed configuration is another run", a_changed_configuration_is_another_run },
    { "the approved noise wins in the last digits", the_approved_noise_wins_in_the_last_digits },
    { "export writes a model file with its metadata",
      export_writes_a_model_file_with_its_metadata },
    { "export leaves the directory's own files alone",
      export_leaves_the_directorys_own_files_alone },
    { "a run that fails says so in status.json", a_run_that_fails_says_so_in_status_json },
};
const fm_test_suite suite_directory = { "aggregator.directory", tests, FM_TEST_COUNT(tests) };
