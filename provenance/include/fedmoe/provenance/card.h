/*
 * The signed card of a model: what federation made it, by which plan, with which promise of privacy,
 * and what it may be used for. It lies in the metadata of the model's safetensors file, under
 *
 *   fedmoe.card               canonical text (below), at most FM_CARD_MAX_BYTES
 *   fedmoe.card_tensors       base64 of one 32-byte digest for each tensor, in the order of the file
 *   fedmoe.card_certificates  base64 of the signer's certificate (DER), and after a space each of the
 *                             intermediate CAs, the issuer first
 *   fedmoe.card_signature     base64 of the signature by the certificate's key
 *
 * so that who has the consortium's ca.crt can check the file alone, offline. Signed are, under the label
 * "fedmoe model card v1" (fm_identity_sign): the card's text and the certificates' text, each with
 * its length (u64le) before it. The card names two digests:
 *
 *   weights   BLAKE2b-256, label "fedmoe card weights v1", of fedmoe.card_tensors' bytes. A tensor's
 *             digest is labelled "fedmoe card tensor v1": name and dtype as parts (u64le length before
 *             the bytes), the number of dimensions and each (u64le), then the values as they lie in the file
 *   metadata  label "fedmoe card metadata v1": every other pair of the metadata, key and value as parts, in
 *             the order of the keys' bytes, but for fedmoe.derivation (fedmoe/provenance/derivation.h)
 *
 * So a card fits one model: other values, a tensor's other name, shape or place, another schema do not.
 *
 * The text is YAML in one form only: what is read is written again, and must be the same bytes.
 * Cards do not change once read: several threads may use one.
 */
#ifndef FEDMOE_PROVENANCE_CARD_H
#define FEDMOE_PROVENANCE_CARD_H

#include "fedmoe/base/safetensors.h"
#include "fedmoe/base/text.h"
#include "fedmoe/certs/identity.h"
#include "fedmoe/provenance/policy.h"

#define FM_CARD_MAX_BYTES ((size_t)65536)
#define FM_CARD_TENSORS_MAX ((size_t)65536) /* of a file that is signed */

#define FM_META_CARD "fedmoe.card"
#define FM_META_CARD_TENSORS "fedmoe.card_tensors"
#define FM_META_CARD_CERTIFICATES "fedmoe.card_certificates"
#define FM_META_CARD_SIGNATURE "fedmoe.card_signature"
#define FM_CARD_META 4 /* pairs */

typedef struct {
    char federation[FM_NAME_MAX + 1];
    char signer[FM_NAME_MAX + 1];     /* the aggregator */
    int64_t signed_s;                 /* wall time by the signer's clock, 1970 to 9999 */
    fm_hash plan;                     /* fm_plan_hash */
    fm_hash head;                     /* of the transcript after `rounds` */
    uint64_t rounds;                  /* finished ones */
    char epsilon[FM_TEXT_UP];         /* decimal, as the plan promises; "none" without privacy */
    char delta[FM_TEXT_UP];           /* likewise */
    char unit[64];                    /* whose presence is hidden: "record", or a column */
    char base[2 * FM_HASH_BYTES + 1]; /* of adapters: the base model's hash in hex; "": none */
    fm_hash weights, metadata;        /* above */
    fm_use_policy policy;
} fm_card;

/** The canonical text, appended. FM_EINVAL a field that cannot stand there; FM_ENOMEM. */
FM_NODISCARD fm_status fm_card_write(const fm_card *c, fm_buf *out);
/**
 * @param name  for error texts.
 * @return FM_OK; FM_EPARSE with line and column, or not in canonical form; FM_EPROTO too long; FM_ENOMEM. On FM_OK
 *         the caller ends *out with fm_card_fini; else it is unchanged.
 */
FM_NODISCARD fm_status fm_card_parse(const char *name, const void *text, size_t len, fm_card *out);
void fm_card_fini(fm_card *c);

/* ---- signing ---- */

/** What a file that is about to be written will hold, in its order; all borrowed. */
typedef struct {
    const fm_tensor_view *tensors; /* with data */
    size_t tensor_count;
    const fm_safetensors_meta *meta; /* pairs of a card among them do not count */
    size_t meta_count;
} fm_card_subject;

/** The texts of the metadata; each owned, fm_buf_fini; fm_card_signed_fini for all. */
typedef struct {
    fm_buf card, tensors, certificates, signature;
} fm_card_signed;

/**
 * Make the card of a model and sign it. Federation, signer and the two digests of *c are filled in here.
 *
 * @param id  an aggregator's.
 * @return FM_OK; FM_EINVAL another role, too many tensors, a field; FM_EIO a key in a token; FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_card_sign(const fm_identity *id, const fm_card_subject *s, fm_card *c,
                                    fm_card_signed *out);
/** As pairs of metadata, borrowed from *s. */
void fm_card_signed_meta(const fm_card_signed *s, fm_safetensors_meta out[FM_CARD_META]);
void fm_card_signed_fini(fm_card_signed *s);

/* ---- checking ---- */

typedef enum {
    FM_CARD_SIGNED,  /* this very file was signed */
    FM_CARD_DERIVED, /* it says that it was made from the file that was signed; that is not signed */
} fm_card_standing;

typedef struct {
    fm_card card; /* owned: fm_card_verdict_fini */
    fm_card_standing standing;
    fm_hash fingerprint;               /* of the signer's certificate */
    int64_t not_before_s, not_after_s; /* its validity */
    int64_t revoked_s;                 /* revoked after the card was signed; 0: it is not */
    bool expired;                      /* by now */
} fm_card_verdict;

/** Whether the file says that it has a card. */
bool fm_card_is_there(const fm_safetensors *s);
/** The card alone, unchecked: for those who show it. FM_ENOTFOUND; else as fm_card_parse. */
FM_NODISCARD fm_status fm_card_read(const char *name, const fm_safetensors *s, fm_card *out);

/**
 * Check a file's card: the certificate leads to a pinned CA, is an aggregator's of this federation, was
 * valid and not revoked when the card says it was signed; the signature; every tensor and pair of metadata.
 *
 * The time of signing is the signer's own word: whoever holds the key of a certificate that has ended can
 * still sign with an earlier date, but none before the certificate's beginning. With a revocation list a
 * certificate that was revoked later is told apart (revoked_s): then the card counts, as far as one believes
 * the date.
 *
 * @param now_s  to refuse a card from the future (an hour is let pass), and to say what has expired.
 * @return FM_OK, also for a derived file: look at standing. FM_ENOTFOUND no card; FM_EAUTH, FM_EPARSE,
 *         FM_EPROTO with what was changed; FM_EIO; FM_ENOMEM. *out is unchanged on error.
 */
FM_NODISCARD fm_status fm_card_verify(const char *name, const fm_safetensors *s, const fm_trust *t,
                                      int64_t now_s, fm_card_verdict *out);
void fm_card_verdict_fini(fm_card_verdict *v);

#endif
