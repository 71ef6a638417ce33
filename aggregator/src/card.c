/* The card of a result: what the plan says of it, and what it may be used for. */
#include <stdlib.h>
#include <string.h>

#include "directory_internal.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/yaml.h"

/** Adapters name their base model in the plan's model text; nothing else of it is looked at. */
static void find_base(const fm_plan *p, char out[2 * FM_HASH_BYTES + 1])
{
    const char *base = NULL;
    fm_yaml *doc = NULL;

    if (!p->model_text ||
        fm_yaml_parse("model", p->model_text, strlen(p->model_text), &doc) != FM_OK)
        return;
    if (fm_yaml_node_kind(fm_yaml_root(doc)) == FM_YAML_MAP &&
        fm_yaml_get_string_or(fm_yaml_root(doc), "base", NULL, &base) == FM_OK && base &&
        strlen(base) == 2 * FM_HASH_BYTES && strspn(base, "0123456789abcdef") == strlen(base))
        memcpy(out, base, 2 * FM_HASH_BYTES + 1);
    fm_yaml_free(&doc);
}

static void put_promise(const fm_plan *p, fm_card *c)
{
    memcpy(c->epsilon, "none", sizeof "none");
    memcpy(c->delta, "none", sizeof "none");
    if (p->noise_multiplier > 0.0) {
        fm_text_up(p->epsilon, c->epsilon);
        fm_text_up(p->delta, c->delta);
    }
    memcpy(c->unit, p->privacy_unit, sizeof c->unit);
}

fm_status fm_directory_sign(const fm_directory_card *card, const fm_plan *p, uint64_t rounds,
                            const fm_card_subject *s, fm_card_signed *out)
{
    /* The policy stays the caller's: this card is never ended. */
    fm_card c = { .signed_s = fm_clock_wall_s(),
                  .plan = card->plan,
                  .head = card->head,
                  .rounds = rounds,
                  .policy = *card->policy };

    put_promise(p, &c);
    find_base(p, c.base);
    return fm_card_sign(card->signer, s, &c, out);
}

fm_status fm_directory_policy(const char *dir, const fm_plan *p, fm_use_policy *out)
{
    fm_use_policy policy = { 0 };
    char *path = NULL;
    fm_status st = fm_path_join(dir, FM_USE_POLICY_FILE, &path);

    if (st == FM_OK && (st = fm_use_policy_load(path, &policy)) == FM_ENOTFOUND)
        st = FM_OK;
    if (st == FM_OK && (st = fm_use_policy_allow(&policy, p->purpose)) == FM_OK)
        *out = policy;
    else
        fm_use_policy_fini(&policy);
    free(path);
    return st;
}

/** A policy that is there must be one, before the members approve the plan. */
static fm_status read_policy(const char *from_dir, fm_buf *text)
{
    fm_use_policy policy = { 0 };
    const char *own = fm_use_policy_default();
    char *path = NULL;
    fm_status st = fm_path_join(from_dir, FM_USE_POLICY_FILE, &path);

    if (st == FM_OK && (st = fm_file_read(path, FM_CARD_MAX_BYTES, text)) == FM_OK) {
        st = fm_use_policy_parse(path, text->data, text->len, &policy);
        fm_use_policy_fini(&policy);
    } else if (st == FM_ENOTFOUND) {
        fm_buf_fini(text);
        st = fm_buf_append(text, own, strlen(own));
    }
    free(path);
    return st;
}

fm_status fm_directory_put_policy(const char *from_dir, const char *dir)
{
    fm_buf text = { 0 };
    char *path = NULL;
    fm_status st;

    if ((st = read_policy(from_dir, &text)) == FM_OK &&
        (st = fm_path_join(dir, FM_USE_POLICY_FILE, &path)) == FM_OK)
        st = fm_file_create(path, text.data, text.len, 0644);
    free(path);
    fm_buf_fini(&text);
    return st;
}
