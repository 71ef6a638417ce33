/* The pair secrets s_uv; the byte layouts are in mask.h. */
#include <string.h>

#include <sodium.h>

#include "mask_internal.h"

#define PAIR_LABEL "fedmoe pair v1"
#define MAX_FEDERATION 255

struct fm_dp_pairs {
    uint32_t members;
    uint32_t self;
    uint8_t (*secrets)[FM_DP_KEY_BYTES]; /* [members], guarded; the one of self is zero */
};

fm_hash fm_dp_pair_context(const fm_dp_roster *r, uint32_t u, uint32_t v)
{
    uint32_t low = u < v ? u : v, high = u < v ? v : u;
    fm_hasher h;

    fm_hasher_begin(&h, PAIR_LABEL);
    fm_hasher_add_part(&h, r->federation, strlen(r->federation));
    fm_hasher_add(&h, r->session, sizeof r->session);
    fm_hasher_add(&h, r->roster.bytes, sizeof r->roster.bytes);
    fm_hasher_add_u64(&h, low);
    fm_hasher_add_u64(&h, high);
    fm_hasher_add(&h, r->public_keys[low], FM_DP_KEY_BYTES);
    fm_hasher_add(&h, r->public_keys[high], FM_DP_KEY_BYTES);
    return fm_hasher_end(&h);
}

fm_status fm_dp_pair_secret(const fm_dp_roster *roster, uint32_t u, uint32_t v,
                            const uint8_t shared[FM_DP_KEY_BYTES], uint8_t out[FM_DP_KEY_BYTES])
{
    fm_hash context = fm_dp_pair_context(roster, u, v);

    return fm_dp_hkdf(shared, PAIR_LABEL, &context, out);
}

static fm_status check_roster(const fm_dp_keypair *own, const fm_dp_roster *r)
{
    fm_status st;

    if (!r->federation || !r->public_keys || strlen(r->federation) < 1 ||
        strlen(r->federation) > MAX_FEDERATION || r->members < 1 ||
        r->members > FM_DP_MAX_MEMBERS || r->self >= r->members)
        return fm_fail(FM_EINVAL, "roster: federation, keys, members or own index out of range");
    if (memcmp(r->public_keys[r->self], fm_dp_keypair_public(own), FM_DP_KEY_BYTES) != 0)
        return fm_fail(FM_EAUTH, "roster: own key is not at own place");
    for (uint32_t i = 0; i < r->members; i++) {
        if ((st = fm_dp_public_key_check(r->public_keys[i])) != FM_OK)
            return st;
        for (uint32_t j = 0; j < i; j++)
            if (memcmp(r->public_keys[i], r->public_keys[j], FM_DP_KEY_BYTES) == 0)
                return fm_fail(FM_EAUTH, "roster: members %u and %u have the same key", (unsigned)j,
                               (unsigned)i);
    }
    return FM_OK;
}

static fm_status derive(const fm_dp_keypair *own, const fm_dp_roster *r, uint32_t v,
                        uint8_t out[FM_DP_KEY_BYTES])
{
    uint8_t shared[FM_DP_KEY_BYTES];
    fm_status st;

    st = fm_dp_keypair_agree(own, r->public_keys[v], shared);
    if (st == FM_OK)
        st = fm_dp_pair_secret(r, r->self, v, shared, out);
    sodium_memzero(shared, sizeof shared);
    return st;
}

fm_status fm_dp_pairs_new(const fm_dp_keypair *own, const fm_dp_roster *roster, fm_dp_pairs **out)
{
    fm_dp_pairs *p = NULL;
    fm_status st;

    if (!own || !roster || !out)
        return fm_fail(FM_EINVAL, "pairs: missing argument");
    if ((st = check_roster(own, roster)) != FM_OK)
        return st;
    st = FM_ENOMEM;
    if (!(p = sodium_malloc(sizeof *p)))
        goto done;
    *p = (fm_dp_pairs){ .members = roster->members, .self = roster->self };
    if (!(p->secrets = sodium_allocarray(p->members, FM_DP_KEY_BYTES)))
        goto done;
    memset(p->secrets[p->self], 0, FM_DP_KEY_BYTES);
    for (uint32_t v = 0; v < p->members; v++)
        if (v != p->self && (st = derive(own, roster, v, p->secrets[v])) != FM_OK)
            goto done;
    *out = p;
    p = NULL;
    st = FM_OK;
done:
    if (st == FM_ENOMEM)
        st = fm_fail(st, "pairs: no guarded memory left");
    fm_dp_pairs_free(&p);
    return st;
}

void fm_dp_pairs_free(fm_dp_pairs **p)
{
    if (!p || !*p)
        return;
    sodium_free((*p)->secrets);
    sodium_free(*p);
    *p = NULL;
}

uint32_t fm_dp_pairs_members(const fm_dp_pairs *p)
{
    return p->members;
}

uint32_t fm_dp_pairs_self(const fm_dp_pairs *p)
{
    return p->self;
}

const uint8_t *fm_dp_pairs_secret(const fm_dp_pairs *p, uint32_t v)
{
    return p->secrets[v];
}
