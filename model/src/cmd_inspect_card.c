/* inspect --verify: a model's card, against the consortium's CA. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_inspect.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/provenance/card.h"
#include "fedmoe/provenance/derivation.h"

static void print_line(const char *name, const char *text)
{
    printf("%-12s", name);
    fm_inspect_print_clean(text, strlen(text), "\n");
}

static void print_hash(const char *name, const fm_hash *h)
{
    char hex[2 * FM_HASH_BYTES + 1];

    fm_hash_hex(h, hex);
    print_line(name, hex);
}

static void print_time(const char *name, int64_t s, const char *end)
{
    char when[32];

    fm_clock_format(s, when, sizeof when);
    printf("%-12s%s%s\n", name, when, end);
}

static void print_policy(const fm_use_policy *p)
{
    fm_hash hash;

    for (size_t i = 0; i < p->allowed_count; i++)
        print_line(i ? "" : "allowed", p->allowed[i]);
    for (size_t i = 0; i < p->prohibited_count; i++) {
        print_line(i ? "" : "prohibited", p->prohibited[i].use);
        print_line("", p->prohibited[i].reason);
    }
    if (!fm_use_policy_is_empty(p) && fm_use_policy_hash(p, &hash) == FM_OK)
        print_hash("policy", &hash);
}

static void print_card(const fm_card *c)
{
    print_line("federation", c->federation);
    print_hash("plan", &c->plan);
    print_hash("transcript", &c->head);
    printf("%-12s%llu\n", "rounds", (unsigned long long)c->rounds);
    print_line("epsilon", c->epsilon);
    print_line("delta", c->delta);
    print_line("unit", c->unit);
    if (c->base[0])
        print_line("base", c->base);
    print_policy(&c->policy);
}

static void print_verdict(const fm_card_verdict *v)
{
    print_line("signer", v->card.signer);
    print_hash("certificate", &v->fingerprint);
    print_time("signed", v->card.signed_s, ", by the signer's clock");
    if (v->revoked_s)
        print_time("revoked", v->revoked_s,
                   ": after that; the card counts as far as its date is believed");
    if (v->expired)
        print_time("expired", v->not_after_s,
                   ": whoever has the key could still sign with an earlier date");
    print_card(&v->card);
}

static json_t *texts(char *const *list, size_t count)
{
    json_t *all = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(all, json_string(list[i]));
    return all;
}

static json_t *prohibited_json(const fm_use_policy *p)
{
    json_t *all = json_array();

    for (size_t i = 0; i < p->prohibited_count; i++)
        json_array_append_new(all, json_pack("{s:s, s:s}", "use", p->prohibited[i].use, "reason",
                                             p->prohibited[i].reason));
    return all;
}

static fm_status print_json(const fm_card_verdict *v)
{
    const fm_card *c = &v->card;
    char plan[65], head[65], fingerprint[65], policy[65];
    json_t *root;
    fm_hash hash;
    fm_status st = fm_use_policy_hash(&c->policy, &hash);

    if (st != FM_OK)
        return st;
    fm_hash_hex(&hash, policy);
    fm_hash_hex(&c->plan, plan);
    fm_hash_hex(&c->head, head);
    fm_hash_hex(&v->fingerprint, fingerprint);
    root = json_pack(
        "{s:s, s:s, s:s, s:s, s:I, s:I, s:b, s:s, s:s, s:I, s:s, s:s, s:s, s:s, s:o, s:o, s:s}",
        "standing", v->standing == FM_CARD_SIGNED ? "signed" : "derived", "federation",
        c->federation, "signer", c->signer, "certificate", fingerprint, "signed_s",
        (json_int_t)c->signed_s, "revoked_s", (json_int_t)v->revoked_s, "expired", v->expired,
        "plan", plan, "transcript", head, "rounds", (json_int_t)c->rounds, "epsilon", c->epsilon,
        "delta", c->delta, "unit", c->unit, "base", c->base, "allowed",
        texts(c->policy.allowed, c->policy.allowed_count), "prohibited",
        prohibited_json(&c->policy), "policy", policy);
    st = root ? fm_json_print(root) : fm_fail(FM_ENOMEM, "out of memory");
    json_decref(root);
    return st;
}

static fm_status judge(const char *path, const fm_inspect_trust *how, const fm_card_verdict *v)
{
    if (v->standing == FM_CARD_SIGNED || how->derived)
        return FM_OK;
    return fm_fail(
        FM_EAUTH,
        "%s: derived from a signed model; the derivation itself is not signed, so nothing "
        "proves that these weights come from it; --derived lets it pass",
        path);
}

void fm_inspect_mention_card(const fm_safetensors *s)
{
    if (fm_card_is_there(s))
        printf("card        %s; not checked here: --verify\n",
               fm_safetensors_meta_get(s, FM_META_DERIVATION) ? "of the model that it was made from"
                                                              : "signed by its federation");
}

fm_status fm_inspect_card(const char *path, const fm_inspect_trust *how, bool json)
{
    fm_card_verdict v = { 0 };
    fm_safetensors *file = NULL;
    fm_trust *trust = NULL;
    fm_status st;

    if ((st = fm_trust_load_files(how->ca, how->crl, &trust)) == FM_OK &&
        (st = fm_card_open(path, &file)) == FM_OK &&
        (st = fm_card_verify(path, file, trust, fm_clock_wall_s(), &v)) == FM_OK) {
        if (json) {
            st = print_json(&v);
        } else {
            printf("card        %s\n", v.standing == FM_CARD_SIGNED
                                           ? "valid: this file, as it is, was signed"
                                           : "derived from a signed model; the derivation itself "
                                             "is not signed");
            print_verdict(&v);
            if (!how->crl)
                printf("%-12snobody was looked for: no --crl\n", "revoked");
        }
        if (st == FM_OK)
            st = judge(path, how, &v);
        fm_card_verdict_fini(&v);
    }
    fm_safetensors_free(&file);
    fm_trust_free(&trust);
    return st;
}
