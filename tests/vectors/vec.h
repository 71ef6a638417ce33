/*
 * The known values of docs/protocol.md, section 18: each topic is a JSON value that this
 * repository's own code makes from fixed inputs. What fails on the way ends the program: vectors
 * that could not be made are no vectors.
 */
#ifndef FEDMOE_TESTS_VECTORS_VEC_H
#define FEDMOE_TESTS_VECTORS_VEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "fedmoe/base/hash.h"
#include "fedmoe/certs/statement.h"
#include "fedmoe/proto/message.h"

/** Within the validity of every good certificate in the folder: 2027-01-15. */
#define VEC_NOW_S ((int64_t)1800000000)

typedef struct {
    const char *file;
    json_t *(*make)(void);
} vec_topic;
extern const vec_topic vec_topics[];
extern const size_t vec_topic_count;

json_t *vec_messages(void);
json_t *vec_digests(void);
json_t *vec_identities(void);
json_t *vec_enrolment(void);
json_t *vec_plans(void);
json_t *vec_noise(void);
json_t *vec_graph(void);
json_t *vec_groups(void);
json_t *vec_steps(void);
json_t *vec_round16(void);
json_t *vec_round24(void);
json_t *vec_round32(void);
json_t *vec_audit(void);

/** With the reason on standard error. */
void vec_need(bool ok, const char *what);

json_t *vec_hex(const void *data, size_t len);
json_t *vec_hash(const fm_hash *h);
/** A number, or text above 2^53: JSON readers take numbers for doubles. */
json_t *vec_u64(uint64_t v);
json_t *vec_list_u32(const uint32_t *p, size_t n);
json_t *vec_list_i32(const int32_t *p, size_t n);
json_t *vec_credential(const fm_credential *c);
/** The encoding of a message. */
json_t *vec_encoding(const fm_message *m);

/** Byte i is first + i; and first + 7 i. */
fm_hash vec_count(unsigned first);
void vec_fill(void *out, size_t len, unsigned first);

/* ---- who is who: keys and certificates of this folder ---- */

typedef enum { VEC_ALPHA, VEC_BETA, VEC_GAMMA, VEC_DELTA, VEC_HUB, VEC_PARTIES } vec_party;

const char *vec_name(vec_party p);
const fm_identity *vec_identity(vec_party p);
const fm_trust *vec_trust(void);
/** Of a member's session: CURVE key count(32 + p), X25519 key as given (NULL: an aggregator's). */
fm_credential vec_session(vec_party p, const uint8_t x25519[FM_SESSION_KEY_BYTES]);
/** Signature over a digest; owned by a static place that lives as long as the program. */
fm_bytes vec_sign(vec_party p, const char *label, const fm_hash *digest);
/** A file of this folder, whole; jansson's own. */
json_t *vec_load(const char *file);
/** The text that a topic's file has. Owned: free(). */
char *vec_text(json_t *topic);

#endif
