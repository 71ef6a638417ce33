/* Who uses a model says once that its policy was read. */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/provenance/acknowledge.h"

#define HEX (2 * (size_t)FM_HASH_BYTES)
#define FILE_MAX ((size_t)1 << 20)

fm_status fm_acknowledged_path(char **out)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");

    if (config && config[0] == '/')
        return fm_path_join(config, "fedmoe/acknowledged", out);
    if (home && home[0] == '/')
        return fm_path_join(home, ".config/fedmoe/acknowledged", out);
    return fm_fail(FM_ENOTFOUND, "neither XDG_CONFIG_HOME nor HOME says where to keep what was "
                                 "acknowledged; set one of them");
}

/* ---- the file ---- */

/** HASH, a space, the time. */
static bool is_line(const char *line, size_t len)
{
    return len == HEX + 21 && strspn(line, "0123456789abcdef") == HEX && line[HEX] == ' ' &&
           strspn(line + HEX + 1, "0123456789-:TZ") == 20;
}

static fm_status read_file(const char *path, fm_buf *out)
{
    fm_status st = fm_file_read_private(path, FILE_MAX, out);

    if (st == FM_ENOTFOUND) {
        fm_error_clear();
        return FM_OK;
    }
    return st;
}

/** @param text  zero-terminated, NULL: empty. */
static fm_status look_up(const char *path, const char *text, const char *hex, bool *there)
{
    bool found = false;

    for (size_t line = 1; text && *text; line++) {
        const size_t len = strcspn(text, "\n");

        if (!is_line(text, len) || text[len] != '\n')
            return fm_fail(FM_EPARSE,
                           "%s:%zu: not a policy's hash and a time; remove the line, and "
                           "acknowledge again what it was for",
                           path, line);
        found = found || strncmp(text, hex, HEX) == 0;
        text += len + 1;
    }
    *there = found;
    return FM_OK;
}

fm_status fm_acknowledged_find(const char *path, const fm_hash *policy, bool *there)
{
    char hex[HEX + 1];
    fm_buf text = { 0 };
    fm_status st = read_file(path, &text);

    fm_hash_hex(policy, hex);
    if (st == FM_OK)
        st = look_up(path, (const char *)text.data, hex, there);
    fm_buf_fini(&text);
    return st;
}

fm_status fm_acknowledged_add(const char *path, const fm_hash *policy, int64_t now_s)
{
    char hex[HEX + 1], when[32], *dir = NULL;
    fm_buf text = { 0 };
    bool there = false;
    fm_status st;

    fm_hash_hex(policy, hex);
    fm_clock_format(now_s, when, sizeof when);
    if ((st = fm_path_dir(path, &dir)) != FM_OK || (st = fm_dir_make(dir, 0700)) != FM_OK ||
        (st = read_file(path, &text)) != FM_OK ||
        (st = look_up(path, (const char *)text.data, hex, &there)) != FM_OK || there)
        goto done;
    if ((st = fm_buf_printf(&text, "%s %s\n", hex, when)) == FM_OK)
        st = fm_file_replace(path, text.data, text.len, 0600);
done:
    fm_buf_fini(&text);
    free(dir);
    return st;
}

/* ---- before the first token ---- */

void fm_use_terms_fini(fm_use_terms *t)
{
    fm_use_policy_fini(&t->terms);
    memset(t, 0, sizeof *t);
}

static bool is_hash(const char *text)
{
    return strlen(text) == HEX && strspn(text, "0123456789abcdef") == HEX;
}

/** Of the policy in a file: of a coordinator's, which lacks the plan's purpose, with that put in.
 */
static fm_status hash_of_file(const char *path, const fm_use_policy *card, fm_hash *out)
{
    fm_use_policy p = { 0 };
    fm_status st = fm_use_policy_load(path, &p);

    if (st == FM_OK && card->allowed_count > 0)
        st = fm_use_policy_allow(&p, card->allowed[0]);
    if (st == FM_OK)
        st = fm_use_policy_hash(&p, out);
    fm_use_policy_fini(&p);
    return st;
}

static fm_status matches(const char *name, const fm_use_terms *t, const char *acknowledge)
{
    char hex[HEX + 1];
    fm_hash given;
    fm_status st;

    fm_hash_hex(&t->policy, hex);
    if (is_hash(acknowledge)) {
        if (strcmp(acknowledge, hex) == 0)
            return FM_OK;
    } else if ((st = hash_of_file(acknowledge, &t->terms, &given)) != FM_OK) {
        return st;
    } else if (fm_hash_equal(&given, &t->policy)) {
        return FM_OK;
    }
    return fm_fail(FM_EPERM,
                   "%s: --acknowledge-policy names another policy than the model's, which is %s; "
                   "read it with 'fedmoe-model inspect --verify'",
                   name, hex);
}

static fm_status settle(const char *name, const fm_use_terms *t, const char *acknowledge,
                        const char *path, int64_t now_s)
{
    char hex[HEX + 1];
    bool there = false;
    fm_status st;

    if (acknowledge) {
        st = matches(name, t, acknowledge);
        return st == FM_OK ? fm_acknowledged_add(path, &t->policy, now_s) : st;
    }
    if ((st = fm_acknowledged_find(path, &t->policy, &there)) != FM_OK || there)
        return st;
    fm_hash_hex(&t->policy, hex);
    return fm_fail(FM_EPERM,
                   "%s: the model's card has a use policy that you have not acknowledged; read it "
                   "with 'fedmoe-model inspect --verify', then give --acknowledge-policy %s once",
                   name, hex);
}

fm_status fm_use_require(const char *name, const fm_safetensors *model, const char *acknowledge,
                         const char *path, int64_t now_s, fm_use_terms *out)
{
    fm_use_terms t = { .wanted = true };
    fm_card c = { 0 };
    fm_status st;

    if (!name || !model || !path || !out)
        return fm_fail(FM_EINVAL, "fm_use_require: NULL argument");
    if (!fm_card_is_there(model)) {
        *out = (fm_use_terms){ 0 };
        return FM_OK;
    }
    if ((st = fm_card_read(name, model, &c)) != FM_OK)
        return st;
    t.model = c.weights;
    t.terms = c.policy; /* ownership moves */
    c.policy = (fm_use_policy){ 0 };
    t.wanted = !fm_use_policy_is_empty(&t.terms);
    if (t.wanted && (st = fm_use_policy_hash(&t.terms, &t.policy)) == FM_OK)
        st = settle(name, &t, acknowledge, path, now_s);
    fm_card_fini(&c);
    if (st == FM_OK)
        *out = t;
    else
        fm_use_terms_fini(&t);
    return st;
}

fm_status fm_use_check_purpose(const fm_use_terms *t, const char *purpose)
{
    fm_buf list = { 0 };
    fm_status st = FM_OK;

    if (!t->wanted || t->terms.allowed_count == 0)
        return FM_OK;
    for (size_t i = 0; st == FM_OK && i < t->terms.allowed_count; i++) {
        if (purpose && strcmp(purpose, t->terms.allowed[i]) == 0) {
            fm_buf_fini(&list);
            return FM_OK;
        }
        st = fm_buf_printf(&list, "%s'%s'", i ? ", " : "", t->terms.allowed[i]);
    }
    if (st == FM_OK)
        st = fm_fail(FM_EPERM, "the model's card allows %s: say which with --purpose", list.data);
    fm_buf_fini(&list);
    return st;
}
