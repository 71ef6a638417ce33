/* The signed card against those who would change it, move it, or sign one themselves. */
#include <stdlib.h>
#include <string.h>

#include "card_internal.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/provenance/derivation.h"
#include "model.h"

typedef struct {
    world w;
    model m;
} desk;

static void desk_make(desk *d, fm_key_type type)
{
    world_make(&d->w, type);
    model_make(&d->m);
    model_sign(&d->m, d->w.aggregator_id, d->w.now_s);
}

static void desk_end(desk *d)
{
    model_end(&d->m);
    world_end(&d->w);
}

static fm_status verify_at(const fm_trust *t, const fm_safetensors *s, int64_t now_s,
                           fm_card_verdict *v)
{
    fm_card_verdict mine = { 0 };
    const fm_status st = fm_card_verify("model", s, t, now_s, &mine);

    CU_ASSERT(st == FM_OK || mine.card.federation[0] == '\0');
    *v = mine;
    return st;
}

static fm_status verdict_of(const desk *d, const fm_trust *t)
{
    fm_safetensors *s = model_file(&d->m);
    fm_card_verdict v;
    const fm_status st = verify_at(t, s, d->w.now_s, &v);

    if (st == FM_OK)
        CU_ASSERT_EQUAL(v.standing, FM_CARD_SIGNED);
    fm_card_verdict_fini(&v);
    fm_safetensors_free(&s);
    return st;
}

static void a_signed_model_is_found_good(void)
{
    for (size_t k = 0; k < 2; k++) {
        desk d;

        desk_make(&d, KEY_TYPES[k]);
        CU_ASSERT_EQUAL(verdict_of(&d, d.w.trust), FM_OK);
        desk_end(&d);
    }
}

/* Mounts it: every bit of the file once. Nothing may be left that can be changed unseen. */
static void a_flipped_bit_anywhere_is_found(void)
{
    size_t missed = 0, all = 0;
    fm_buf bytes;
    desk d;

    desk_make(&d, KEY_TYPES[0]);
    model_bytes(&d.m, &bytes);
    for (size_t i = 0; i < bytes.len; i++) {
        fm_safetensors *s = NULL;
        fm_card_verdict v;

        bytes.data[i] ^= (uint8_t)(1u << (i % 8));
        if (fm_safetensors_parse("model", bytes.data, bytes.len, &s) == FM_OK) {
            missed += verify_at(d.w.trust, s, d.w.now_s, &v) == FM_OK;
            fm_card_verdict_fini(&v);
        }
        fm_safetensors_free(&s);
        bytes.data[i] ^= (uint8_t)(1u << (i % 8));
        all++;
    }
    CU_ASSERT_EQUAL(missed, 0);
    CU_ASSERT(all > 1000);
    fm_buf_fini(&bytes);
    desk_end(&d);
}

static void what_was_changed_is_named(void)
{
    desk d;

    desk_make(&d, KEY_TYPES[0]);
    d.m.weights[4] = 5.5f;
    CU_ASSERT_EQUAL(verdict_of(&d, d.w.trust), FM_EAUTH);
    CU_ASSERT(says("the tensor 'linear.weight'"));
    d.m.weights[4] = 5.0f;
    d.m.tensors[1].name = "linear.bios";
    CU_ASSERT_EQUAL(verdict_of(&d, d.w.trust), FM_EAUTH);
    CU_ASSERT(says("the tensor 'linear.bios'"));
    d.m.tensors[1].name = "linear.bias";
    d.m.tensors[0].shape[0] = 3;
    d.m.tensors[0].shape[1] = 2;
    CU_ASSERT_EQUAL(verdict_of(&d, d.w.trust), FM_EAUTH);
    CU_ASSERT(says("the tensor 'linear.weight'"));
    d.m.tensors[0].shape[0] = 2;
    d.m.tensors[0].shape[1] = 3;
    d.m.meta[0].value = "columns: many\n";
    CU_ASSERT_EQUAL(verdict_of(&d, d.w.trust), FM_EAUTH);
    CU_ASSERT(says("metadata"));
    d.m.meta[0].value = "columns: none\n";
    CU_ASSERT_EQUAL(verdict_of(&d, d.w.trust), FM_OK);
    d.m.texts.card.data[d.m.texts.card.len - 3] ^= 1; /* the last reason */
    CU_ASSERT_EQUAL(verdict_of(&d, d.w.trust), FM_EAUTH);
    CU_ASSERT(says("the signature does not fit"));
    d.m.texts.card.data[d.m.texts.card.len - 3] ^= 1;
    d.m.texts.tensors.data[7] = d.m.texts.tensors.data[7] == 'A' ? 'B' : 'A';
    CU_ASSERT_EQUAL(verdict_of(&d, d.w.trust), FM_EAUTH);
    CU_ASSERT(says(FM_META_CARD_TENSORS));
    desk_end(&d);
}

/* Mounts it: a good card beside other weights of the same shape. */
static void a_card_cannot_be_moved_to_another_model(void)
{
    desk d;
    model other;

    desk_make(&d, KEY_TYPES[0]);
    model_make(&other);
    other.weights[0] = 9.0f;
    other.tensors[0].data = (const uint8_t *)other.weights;
    d.m.tensors[0].data = other.tensors[0].data;
    CU_ASSERT_EQUAL(verdict_of(&d, d.w.trust), FM_EAUTH);
    /* Not with a list of digests of its own, either. */
    model_sign(&other, d.w.aggregator_id, d.w.now_s);
    d.m.meta[3].value = (const char *)other.texts.tensors.data;
    CU_ASSERT_EQUAL(verdict_of(&d, d.w.trust), FM_EAUTH);
    model_end(&other);
    desk_end(&d);
}

/* Mounts it: a node's key makes a card, with everything right but its role. */
static void only_an_aggregator_signs(void)
{
    const fm_card_subject s = { NULL, 0, NULL, 0 };
    fm_card_signed texts = { 0 };
    fm_card c;
    desk d;

    desk_make(&d, KEY_TYPES[0]);
    model_card(&c, d.w.now_s);
    CU_ASSERT_EQUAL(fm_card_sign(d.w.node_id, &s, &c, &texts), FM_EINVAL);
    CU_ASSERT(texts.card.data == NULL);
    fm_card_fini(&c);
    desk_end(&d);
}

/** The card of `m` again, in the name of `id`, whose own key and certificate make it. */
static void forge(model *m, const fm_identity *id, int64_t when_s)
{
    const uint8_t *der;
    size_t len, sig_len;
    uint8_t sig[FM_SIGNATURE_MAX];
    fm_card_signed *t = &m->texts;
    fm_buf message = { 0 };
    fm_card c = { 0 };

    need(fm_card_parse("card", t->card.data, t->card.len, &c) == FM_OK, "card");
    memcpy(c.signer, fm_identity_info(id)->name, sizeof c.signer);
    c.signed_s = when_s;
    fm_buf_fini(&t->card);
    fm_buf_fini(&t->certificates);
    fm_buf_fini(&t->signature);
    fm_identity_der(id, &der, &len);
    need(fm_card_write(&c, &t->card) == FM_OK &&
             fm_base64_put(&t->certificates, der, len) == FM_OK &&
             fm_card_message(t->card.data, t->card.len, t->certificates.data, t->certificates.len,
                             &message) == FM_OK &&
             fm_identity_sign(id, FM_CARD_LABEL, message.data, message.len, sig, &sig_len) ==
                 FM_OK &&
             fm_base64_put(&t->signature, sig, sig_len) == FM_OK,
         "forgery");
    fm_card_signed_meta(t, m->meta + 2);
    fm_buf_fini(&message);
    fm_card_fini(&c);
}

/* Mounts it: a member of the consortium makes a card with its own good certificate. */
static void a_nodes_card_is_refused(void)
{
    desk d;

    desk_make(&d, KEY_TYPES[0]);
    forge(&d.m, d.w.aggregator_id, d.w.now_s); /* so the forgery is a good one but for its role */
    CU_ASSERT_EQUAL(verdict_of(&d, d.w.trust), FM_OK);
    forge(&d.m, d.w.node_id, d.w.now_s);
    CU_ASSERT_EQUAL(verdict_of(&d, d.w.trust), FM_EAUTH);
    CU_ASSERT(says(FM_META_CARD_CERTIFICATES));
    desk_end(&d);
}

/* Mounts it: the aggregator's name on a card, under a signature by a node's key. */
static void anothers_signature_under_the_aggregators_card_is_refused(void)
{
    fm_buf certificates = { 0 }, card = { 0 };
    desk d;

    desk_make(&d, KEY_TYPES[0]);
    need(fm_buf_append(&card, d.m.texts.card.data, d.m.texts.card.len) == FM_OK &&
             fm_buf_append(&certificates, d.m.texts.certificates.data,
                           d.m.texts.certificates.len) == FM_OK,
         "copies");
    forge(&d.m, d.w.node_id, d.w.now_s);
    d.m.meta[2].value = (const char *)card.data;
    d.m.meta[4].value = (const char *)certificates.data;
    CU_ASSERT_EQUAL(verdict_of(&d, d.w.trust), FM_EAUTH);
    CU_ASSERT(says("the signature does not fit"));
    fm_buf_fini(&certificates);
    fm_buf_fini(&card);
    desk_end(&d);
}

static void another_consortiums_card_is_refused(void)
{
    desk d;
    world other;

    desk_make(&d, KEY_TYPES[0]);
    world_make(&other, KEY_TYPES[0]); /* the same names, another CA */
    CU_ASSERT_EQUAL(verdict_of(&d, other.trust), FM_EAUTH);
    CU_ASSERT(says(FM_META_CARD_CERTIFICATES));
    world_end(&other);
    desk_end(&d);
}

static void an_expired_certificate_counts_for_its_own_time(void)
{
    const int64_t later_s = 400 * (int64_t)DAY_S;
    fm_safetensors *s;
    fm_card_verdict v;
    desk d;

    desk_make(&d, KEY_TYPES[0]);
    s = model_file(&d.m);
    CU_ASSERT_EQUAL_FATAL(verify_at(d.w.trust, s, d.w.now_s + later_s, &v), FM_OK);
    CU_ASSERT(v.expired);
    fm_card_verdict_fini(&v);
    CU_ASSERT_EQUAL_FATAL(verify_at(d.w.trust, s, d.w.now_s, &v), FM_OK);
    CU_ASSERT_FALSE(v.expired);
    fm_card_verdict_fini(&v);
    /* From the future: not yet. */
    CU_ASSERT_EQUAL(verify_at(d.w.trust, s, d.w.now_s - 2 * 3600, &v), FM_EAUTH);
    CU_ASSERT(says("future"));
    fm_safetensors_free(&s);
    desk_end(&d);
}

/* Mounts it: the key of an ended certificate signs a card with a date outside of its life. */
static void a_date_outside_of_the_certificates_life_is_refused(void)
{
    const int64_t dates[] = { -400 * (int64_t)DAY_S, 40 * (int64_t)DAY_S };
    desk d;

    for (size_t i = 0; i < FM_TEST_COUNT(dates); i++) {
        fm_safetensors *s;
        fm_card_verdict v;

        world_make(&d.w, KEY_TYPES[0]);
        model_make(&d.m);
        model_sign(&d.m, d.w.aggregator_id, d.w.now_s + dates[i]);
        s = model_file(&d.m);
        CU_ASSERT_EQUAL(verify_at(d.w.trust, s, d.w.now_s + 100 * (int64_t)DAY_S, &v), FM_EAUTH);
        fm_safetensors_free(&s);
        desk_end(&d);
    }
}

static void a_revocation_counts_from_its_date(void)
{
    char ca[PATH_CAP], crl[PATH_CAP];
    fm_trust *now = NULL;
    fm_safetensors *s;
    fm_card_verdict v;
    desk d;

    desk_make(&d, KEY_TYPES[0]);
    make_path(ca, d.w.ca, "ca.crt");
    make_path(crl, d.w.ca, "crl.pem");
    need(fm_ca_revoke(d.w.ca, "hub") == FM_OK, "revoke");
    CU_ASSERT_EQUAL_FATAL(fm_trust_load_files(ca, crl, &now), FM_OK);
    model_end(&d.m);
    model_make(&d.m);
    model_sign(&d.m, d.w.aggregator_id, fm_clock_wall_s());
    s = model_file(&d.m);
    /* Signed in the second of the revocation or after it: no. */
    CU_ASSERT_EQUAL(verify_at(now, s, fm_clock_wall_s(), &v), FM_EAUTH);
    CU_ASSERT(says("revoked"));
    fm_safetensors_free(&s);
    model_end(&d.m);
    model_make(&d.m);
    model_sign(&d.m, d.w.aggregator_id, d.w.now_s - 120); /* before it: told apart */
    s = model_file(&d.m);
    CU_ASSERT_EQUAL_FATAL(verify_at(now, s, d.w.now_s, &v), FM_OK);
    CU_ASSERT(v.revoked_s >= d.w.now_s - 1);
    fm_card_verdict_fini(&v);
    fm_trust_free(&now);
    /* A file without a list is none. */
    CU_ASSERT_EQUAL(fm_trust_load_files(ca, ca, &now), FM_EPROTO);
    CU_ASSERT(says("no revocation list"));
    /* Without a list nobody is looked for. */
    CU_ASSERT_EQUAL_FATAL(fm_trust_load_files(ca, NULL, &now), FM_OK);
    CU_ASSERT_EQUAL_FATAL(verify_at(now, s, d.w.now_s, &v), FM_OK);
    CU_ASSERT_EQUAL(v.revoked_s, 0);
    fm_card_verdict_fini(&v);
    fm_safetensors_free(&s);
    fm_trust_free(&now);
    desk_end(&d);
}

static void a_derived_file_is_told_apart(void)
{
    fm_safetensors *s;
    fm_buf record = { 0 };
    fm_card_verdict v;
    desk d;

    desk_make(&d, KEY_TYPES[0]);
    s = model_file(&d.m);
    need(fm_derivation_extend(s, "quantize-int8", &record) == FM_OK, "record");
    fm_safetensors_free(&s);
    d.m.weights[0] = 1.25f;
    d.m.meta[d.m.meta_count++] =
        (fm_safetensors_meta){ FM_META_DERIVATION, (const char *)record.data };
    s = model_file(&d.m);
    CU_ASSERT_EQUAL_FATAL(verify_at(d.w.trust, s, d.w.now_s, &v), FM_OK);
    CU_ASSERT_EQUAL(v.standing, FM_CARD_DERIVED);
    fm_card_verdict_fini(&v);
    fm_safetensors_free(&s);
    record.data[record.len - 1] ^= 1; /* of another parent */
    s = model_file(&d.m);
    CU_ASSERT(verify_at(d.w.trust, s, d.w.now_s, &v) != FM_OK);
    fm_safetensors_free(&s);
    fm_buf_fini(&record);
    desk_end(&d);
}

static void a_model_without_a_card_is_said_to_have_none(void)
{
    fm_safetensors *s;
    fm_card_verdict v;
    desk d;

    desk_make(&d, KEY_TYPES[0]);
    d.m.meta_count = 2;
    s = model_file(&d.m);
    CU_ASSERT_FALSE(fm_card_is_there(s));
    CU_ASSERT_EQUAL(verify_at(d.w.trust, s, d.w.now_s, &v), FM_ENOTFOUND);
    fm_safetensors_free(&s);
    desk_end(&d);
}

static const fm_test tests[] = {
    { "a signed model is found good", a_signed_model_is_found_good },
    { "a flipped bit anywhere is found", a_flipped_bit_anywhere_is_found },
    { "what was changed is named", what_was_changed_is_named },
    { "a card cannot be moved to another model", a_card_cannot_be_moved_to_another_model },
    { "only an aggregator signs", only_an_aggregator_signs },
    { "a node's card is refused", a_nodes_card_is_refused },
    { "another's signature under the aggregator's card is refused",
      anothers_signature_under_the_aggregators_card_is_refused },
    { "another consortium's card is refused", another_consortiums_card_is_refused },
    { "an expired certificate counts for its own time",
      an_expired_certificate_counts_for_its_own_time },
    { "a date outside of the certificate's life is refused",
      a_date_outside_of_the_certificates_life_is_refused },
    { "a revocation counts from its date", a_revocation_counts_from_its_date },
    { "a derived file is told apart", a_derived_file_is_told_apart },
    { "a model without a card is said to have none", a_model_without_a_card_is_said_to_have_none },
};
const fm_test_suite suite_sign = { "provenance.sign", tests, FM_TEST_COUNT(tests) };
