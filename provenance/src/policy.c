/* A use policy: reading, the canonical text, its hash. */
#include "fedmoe/provenance/policy.h"

#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/file.h"
#include "fedmoe/base/text.h"
#include "policy_internal.h"

void fm_use_policy_fini(fm_use_policy *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->allowed_count; i++)
        free(p->allowed[i]);
    for (size_t i = 0; i < p->prohibited_count; i++) {
        free(p->prohibited[i].use);
        free(p->prohibited[i].reason);
    }
    memset(p, 0, sizeof *p);
}

bool fm_use_policy_is_empty(const fm_use_policy *p)
{
    return p->allowed_count + p->prohibited_count == 0;
}

/* ---- reading ---- */

static fm_status take_text(const fm_yaml_node *n, const char *s, char **out)
{
    if (s[0] == '\0' || strlen(s) > FM_USE_TEXT_MAX || fm_text_has_control(s))
        return fm_yaml_fail(n, "1 to %u bytes without control characters are wanted here",
                            FM_USE_TEXT_MAX);
    return fm_strdup(s, out);
}

static fm_status read_allowed(const fm_yaml_node *map, fm_use_policy *p)
{
    const fm_yaml_node *list;
    fm_status st;

    if (!fm_yaml_find(map, "allowed"))
        return FM_OK;
    if ((st = fm_yaml_get_list(map, "allowed", &list)) != FM_OK)
        return st;
    if (fm_yaml_size(list) < 1 || fm_yaml_size(list) > FM_USE_ALLOWED_MAX)
        return fm_yaml_fail(list, "allowed must list 1 to %u purposes", FM_USE_ALLOWED_MAX);
    for (size_t i = 0; i < fm_yaml_size(list); i++) {
        const fm_yaml_node *n = fm_yaml_item(list, i);
        const char *s;

        if ((st = fm_yaml_scalar(n, &s)) != FM_OK ||
            (st = take_text(n, s, &p->allowed[i])) != FM_OK)
            return st;
        p->allowed_count++;
    }
    return FM_OK;
}

static fm_status read_one(const fm_yaml_node *n, fm_use_prohibited *out)
{
    static const char *const keys[] = { "use", "reason", NULL };
    const char *use, *reason;
    fm_status st;

    if ((st = fm_yaml_check_keys(n, keys)) != FM_OK ||
        (st = fm_yaml_get_string(n, "use", &use)) != FM_OK ||
        (st = fm_yaml_get_string(n, "reason", &reason)) != FM_OK ||
        (st = take_text(fm_yaml_find(n, "use"), use, &out->use)) != FM_OK)
        return st;
    return take_text(fm_yaml_find(n, "reason"), reason, &out->reason);
}

static fm_status read_prohibited(const fm_yaml_node *map, fm_use_policy *p)
{
    const fm_yaml_node *list;
    fm_status st;

    if (!fm_yaml_find(map, "prohibited"))
        return FM_OK;
    if ((st = fm_yaml_get_list(map, "prohibited", &list)) != FM_OK)
        return st;
    if (fm_yaml_size(list) < 1 || fm_yaml_size(list) > FM_USE_PROHIBITED_MAX)
        return fm_yaml_fail(list, "prohibited must list 1 to %u uses", FM_USE_PROHIBITED_MAX);
    for (size_t i = 0; st == FM_OK && i < fm_yaml_size(list); i++)
        st = read_one(fm_yaml_item(list, i), &p->prohibited[p->prohibited_count++]);
    return st;
}

fm_status fm_use_policy_read(const fm_yaml_node *map, fm_use_policy *out)
{
    fm_use_policy p = { 0 };
    fm_status st;

    if ((st = read_allowed(map, &p)) != FM_OK || (st = read_prohibited(map, &p)) != FM_OK) {
        fm_use_policy_fini(&p);
        return st;
    }
    *out = p;
    return FM_OK;
}

static fm_status read_document(const fm_yaml *doc, fm_use_policy *out)
{
    static const char *const keys[] = { "allowed", "prohibited", NULL };
    const fm_yaml_node *root = fm_yaml_root(doc);
    fm_status st = fm_yaml_check_keys(root, keys);

    if (st == FM_OK && fm_yaml_size(root) == 0)
        st = fm_yaml_fail(root, "neither 'allowed' nor 'prohibited' is here");
    return st == FM_OK ? fm_use_policy_read(root, out) : st;
}

fm_status fm_use_policy_parse(const char *name, const void *text, size_t len, fm_use_policy *out)
{
    fm_yaml *doc = NULL;
    fm_status st = fm_yaml_parse(name, text, len, &doc);

    if (st == FM_OK)
        st = read_document(doc, out);
    fm_yaml_free(&doc);
    return st;
}

fm_status fm_use_policy_load(const char *path, fm_use_policy *out)
{
    fm_yaml *doc = NULL;
    fm_status st = fm_yaml_load(path, &doc);

    if (st == FM_OK)
        st = read_document(doc, out);
    fm_yaml_free(&doc);
    return st;
}

fm_status fm_use_policy_allow(fm_use_policy *p, const char *purpose)
{
    char *copy = NULL;
    fm_status st;

    for (size_t i = 0; i < p->allowed_count; i++)
        if (strcmp(p->allowed[i], purpose) == 0)
            return FM_OK;
    if (p->allowed_count == FM_USE_ALLOWED_MAX)
        return fm_fail(FM_EINVAL,
                       "a use policy allows %u purposes already; beside the plan's own there is "
                       "room for %u",
                       FM_USE_ALLOWED_MAX, FM_USE_ALLOWED_MAX - 1);
    if (!purpose[0] || strlen(purpose) > FM_USE_TEXT_MAX || fm_text_has_control(purpose))
        return fm_fail(FM_EINVAL, "the purpose cannot stand in a card: 1 to %u printable bytes",
                       FM_USE_TEXT_MAX);
    if ((st = fm_strdup(purpose, &copy)) != FM_OK)
        return st;
    memmove(p->allowed + 1, p->allowed, p->allowed_count * sizeof *p->allowed);
    p->allowed[0] = copy;
    p->allowed_count++;
    return FM_OK;
}

/* ---- writing ---- */

fm_status fm_text_quote(fm_buf *out, const char *s)
{
    fm_status st = fm_text_has_control(s) ? fm_fail(FM_EINVAL, "a control character in a text")
                                          : fm_buf_append(out, "\"", 1);

    for (; st == FM_OK && *s; s++) {
        if (*s == '"' || *s == '\\')
            st = fm_buf_append(out, "\\", 1);
        if (st == FM_OK)
            st = fm_buf_append(out, s, 1);
    }
    return st == FM_OK ? fm_buf_append(out, "\"", 1) : st;
}

static fm_status put_line(fm_buf *out, const char *before, const char *text)
{
    fm_status st;

    if ((st = fm_buf_printf(out, "%s", before)) != FM_OK ||
        (st = fm_text_quote(out, text)) != FM_OK)
        return st;
    return fm_buf_append(out, "\n", 1);
}

fm_status fm_use_policy_write(const fm_use_policy *p, fm_buf *out)
{
    fm_status st = FM_OK;

    if (p->allowed_count > 0)
        st = fm_buf_printf(out, "allowed:\n");
    for (size_t i = 0; st == FM_OK && i < p->allowed_count; i++)
        st = put_line(out, "  - ", p->allowed[i]);
    if (st == FM_OK && p->prohibited_count > 0)
        st = fm_buf_printf(out, "prohibited:\n");
    for (size_t i = 0; st == FM_OK && i < p->prohibited_count; i++)
        if ((st = put_line(out, "  - use: ", p->prohibited[i].use)) == FM_OK)
            st = put_line(out, "    reason: ", p->prohibited[i].reason);
    return st;
}

fm_status fm_use_policy_hash(const fm_use_policy *p, fm_hash *out)
{
    fm_buf text = { 0 };
    fm_status st = fm_use_policy_write(p, &text);

    if (st == FM_OK)
        *out = fm_hash_of("fedmoe use policy v1", text.data, text.len);
    fm_buf_fini(&text);
    return st;
}
