/* No answer before the policy was acknowledged. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fedmoe/provenance/acknowledge.h"
#include "model.h"

#define OTHER "abababababababababababababababababababababababababababababababab"

typedef struct {
    world w;
    model m;
    fm_safetensors *file;
    char path[PATH_CAP];
} desk;

static void desk_make(desk *d)
{
    world_make(&d->w, KEY_TYPES[0]);
    model_make(&d->m);
    model_sign(&d->m, d->w.aggregator_id, d->w.now_s);
    d->file = model_file(&d->m);
    make_path(d->path, d->w.root, "config/fedmoe/acknowledged");
}

static void desk_end(desk *d)
{
    fm_safetensors_free(&d->file);
    model_end(&d->m);
    world_end(&d->w);
}

static fm_status require(const desk *d, const char *acknowledge, char hex[65])
{
    fm_use_terms t = { .wanted = false };
    const fm_status st = fm_use_require("model", d->file, acknowledge, d->path, d->w.now_s, &t);

    CU_ASSERT_EQUAL(t.wanted, st == FM_OK);
    if (st == FM_OK && hex)
        fm_hash_hex(&t.policy, hex);
    fm_use_terms_fini(&t);
    return st;
}

static void hash_of_card(const desk *d, char hex[65])
{
    fm_card c = { 0 };
    fm_hash h;

    need(fm_card_read("model", d->file, &c) == FM_OK && fm_use_policy_hash(&c.policy, &h) == FM_OK,
         "card");
    fm_hash_hex(&h, hex);
    fm_card_fini(&c);
}

static void once_acknowledged_is_enough(void)
{
    char hex[65], again[65];
    struct stat info;
    desk d;

    desk_make(&d);
    hash_of_card(&d, hex);
    CU_ASSERT_EQUAL(require(&d, NULL, NULL), FM_EPERM);
    CU_ASSERT(says(hex));
    CU_ASSERT_EQUAL(require(&d, OTHER, NULL), FM_EPERM);
    CU_ASSERT_EQUAL(require(&d, NULL, NULL), FM_EPERM);
    CU_ASSERT_EQUAL(require(&d, hex, again), FM_OK);
    CU_ASSERT_STRING_EQUAL(hex, again);
    CU_ASSERT_EQUAL(require(&d, NULL, NULL), FM_OK);
    CU_ASSERT(stat(d.path, &info) == 0 && (info.st_mode & 0777) == 0600);
    CU_ASSERT_EQUAL(require(&d, hex, NULL), FM_OK);
    CU_ASSERT(stat(d.path, &info) == 0 && info.st_size == 64 + 22);
    desk_end(&d);
}

/* The coordinator's own file, without the plan's purpose, stands for the card's policy. */
static void the_text_serves_as_well_as_the_hash(void)
{
    static const char text[] =
        "allowed: [teaching]\nprohibited: [{use: 'pricing \"by\" risk', reason: 'a \\ reason'}]\n";
    static const char other[] = "allowed: [teaching]\n";
    char path[PATH_CAP];
    desk d;

    desk_make(&d);
    make_path(path, d.w.root, "policy.yaml");
    need(replace_file(d.w.root, "policy.yaml", other, sizeof other - 1, 0644) == FM_OK, "file");
    CU_ASSERT_EQUAL(require(&d, path, NULL), FM_EPERM);
    CU_ASSERT(says("another policy"));
    need(replace_file(d.w.root, "policy.yaml", text, sizeof text - 1, 0644) == FM_OK, "file");
    CU_ASSERT_EQUAL(require(&d, path, NULL), FM_OK);
    CU_ASSERT_EQUAL(require(&d, NULL, NULL), FM_OK);
    CU_ASSERT_EQUAL(require(&d, "no/such/file", NULL), FM_ENOTFOUND);
    desk_end(&d);
}

/* Another model, whose policy has one reason changed. */
static void a_changed_policy_is_asked_for_again(void)
{
    char hex[65], *text;
    desk d;

    desk_make(&d);
    hash_of_card(&d, hex);
    CU_ASSERT_EQUAL(require(&d, hex, NULL), FM_OK);
    text = (char *)d.m.texts.card.data;
    need(strstr(text, "reason\"\n") != NULL, "a reason");
    memcpy(strstr(text, "reason\"\n"), "raison", 6);
    fm_safetensors_free(&d.file);
    d.file = model_file(&d.m);
    CU_ASSERT_EQUAL(require(&d, NULL, NULL), FM_EPERM);
    CU_ASSERT_EQUAL(require(&d, hex, NULL), FM_EPERM);
    desk_end(&d);
}

static void a_model_without_a_card_wants_nothing(void)
{
    fm_use_terms t;
    desk d;

    desk_make(&d);
    d.m.meta_count = 2;
    fm_safetensors_free(&d.file);
    d.file = model_file(&d.m);
    CU_ASSERT_EQUAL(fm_use_require("model", d.file, NULL, d.path, d.w.now_s, &t), FM_OK);
    CU_ASSERT_FALSE(t.wanted);
    CU_ASSERT_EQUAL(fm_use_check_purpose(&t, NULL), FM_OK);
    desk_end(&d);
}

static void a_damaged_card_or_list_is_no_permission(void)
{
    char hex[65], dir[PATH_CAP];
    desk d;

    desk_make(&d);
    hash_of_card(&d, hex);
    CU_ASSERT_EQUAL(require(&d, hex, NULL), FM_OK);
    make_path(dir, d.w.root, "config/fedmoe");
    need(chmod(d.path, 0644) == 0, "mode");
    CU_ASSERT_EQUAL(require(&d, NULL, NULL), FM_EPERM);
    need(replace_file(dir, "acknowledged", "yes\n", 4, 0600) == FM_OK, "file");
    CU_ASSERT_EQUAL(require(&d, NULL, NULL), FM_EPARSE);
    CU_ASSERT(says(":1:"));
    need(replace_file(dir, "acknowledged", hex, 64, 0600) == FM_OK, "file");
    CU_ASSERT_EQUAL(require(&d, NULL, NULL), FM_EPARSE);
    d.m.texts.card.data[0] = 'k';
    fm_safetensors_free(&d.file);
    d.file = model_file(&d.m);
    CU_ASSERT_EQUAL(require(&d, hex, NULL), FM_EPARSE);
    desk_end(&d);
}

static void only_an_allowed_purpose_is_taken(void)
{
    char hex[65];
    fm_use_terms t;
    desk d;

    desk_make(&d);
    hash_of_card(&d, hex);
    CU_ASSERT_EQUAL_FATAL(fm_use_require("model", d.file, hex, d.path, d.w.now_s, &t), FM_OK);
    CU_ASSERT_EQUAL(fm_use_check_purpose(&t, "teaching"), FM_OK);
    CU_ASSERT_EQUAL(fm_use_check_purpose(&t, "heart disease risk"), FM_OK);
    CU_ASSERT_EQUAL(fm_use_check_purpose(&t, "pricing"), FM_EPERM);
    CU_ASSERT(says("'heart disease risk', 'teaching'"));
    CU_ASSERT_EQUAL(fm_use_check_purpose(&t, NULL), FM_EPERM);
    fm_use_terms_fini(&t);
    desk_end(&d);
}

static void the_list_is_where_the_user_keeps_configuration(void)
{
    char *path = NULL;

    need(setenv("XDG_CONFIG_HOME", "/here", 1) == 0, "environment");
    CU_ASSERT_EQUAL(fm_acknowledged_path(&path), FM_OK);
    CU_ASSERT_STRING_EQUAL(path, "/here/fedmoe/acknowledged");
    free(path);
    need(unsetenv("XDG_CONFIG_HOME") == 0 && setenv("HOME", "/home/me", 1) == 0, "environment");
    CU_ASSERT_EQUAL(fm_acknowledged_path(&path), FM_OK);
    CU_ASSERT_STRING_EQUAL(path, "/home/me/.config/fedmoe/acknowledged");
    free(path);
    need(unsetenv("HOME") == 0, "environment");
    CU_ASSERT_EQUAL(fm_acknowledged_path(&path), FM_ENOTFOUND);
}

static const fm_test tests[] = {
    { "once acknowledged is enough", once_acknowledged_is_enough },
    { "the text serves as well as the hash", the_text_serves_as_well_as_the_hash },
    { "a changed policy is asked for again", a_changed_policy_is_asked_for_again },
    { "a model without a card wants nothing", a_model_without_a_card_wants_nothing },
    { "a damaged card or list is no permission", a_damaged_card_or_list_is_no_permission },
    { "only an allowed purpose is taken", only_an_allowed_purpose_is_taken },
    { "the list is where the user keeps configuration",
      the_list_is_where_the_user_keeps_configuration },
};
const fm_test_suite suite_ack = { "provenance.ack", tests, FM_TEST_COUNT(tests) };
