/*
 * Who was invited: invitations.db in the aggregator's directory (SQLite, 0600, each change synced
 * before it is answered). Of a join code it holds the public key that the code's token gives
 * (proto/link/enrol.h), so that whoever reads the file can join as nobody.
 *
 * The commands write it while the aggregator runs. For one thread.
 */
#ifndef FEDMOE_AGGREGATOR_INVITATIONS_H
#define FEDMOE_AGGREGATOR_INVITATIONS_H

#include "fedmoe/certs/enrol.h"
#include "fedmoe/proto/limits.h"

typedef struct fm_invitations fm_invitations;

typedef struct {
    char name[FM_NAME_MAX + 1];
    int64_t expires_s;
    uint32_t days; /* of the certificate */
    bool withdrawn;
    bool bound;  /* a request came: the code is used, and belongs to this key from then on: */
    fm_hash key; /* fm_request_info.key */
    bool issued; /* and the certificate is here */
} fm_invited;

/**
 * @param make  it is made when it is not there; else FM_ENOTFOUND: nobody was invited.
 * @return FM_OK; FM_EPERM others may read it, or it is no regular file; FM_EIO; FM_EPROTO damaged;
 *         FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_invitations_open(const char *dir, bool make, fm_invitations **out);
void fm_invitations_close(fm_invitations **s);

/** Only name, end and days of `i` count. FM_EEXIST when the name has one that is open still.
 *  @param now_s  what is open is so by this time. */
FM_NODISCARD fm_status fm_invitations_add(fm_invitations *s,
                                          const uint8_t key[FM_INVITATION_KEY_BYTES],
                                          const fm_invited *i, int64_t now_s);
/**
 * @param request,certificate  out: DER, empty where there is none; fm_buf_fini by the caller, who
 *                             may pass NULL.
 * @return FM_OK; FM_ENOTFOUND; FM_EIO; FM_EPROTO.
 */
FM_NODISCARD fm_status fm_invitations_find(fm_invitations *s,
                                           const uint8_t key[FM_INVITATION_KEY_BYTES],
                                           fm_invited *out, fm_buf *request, fm_buf *certificate);
/** The one use of a code. FM_EEXIST when it was used or withdrawn meanwhile. Durable when FM_OK. */
FM_NODISCARD fm_status fm_invitations_bind(fm_invitations *s,
                                           const uint8_t key[FM_INVITATION_KEY_BYTES],
                                           const fm_hash *member, const uint8_t *request,
                                           size_t len);
/** Durable when FM_OK. */
FM_NODISCARD fm_status fm_invitations_issue(fm_invitations *s,
                                            const uint8_t key[FM_INVITATION_KEY_BYTES],
                                            const uint8_t *certificate, size_t len);
/** All of the name that have no certificate yet. @param count  out. */
FM_NODISCARD fm_status fm_invitations_withdraw(fm_invitations *s, const char *name,
                                               uint32_t *count);
/** In the order of their making. The callback may not change the store; a failure of it ends. */
typedef fm_status fm_invitations_visit(void *ctx, const uint8_t key[FM_INVITATION_KEY_BYTES],
                                       const fm_invited *i);
FM_NODISCARD fm_status fm_invitations_each(fm_invitations *s, fm_invitations_visit *visit,
                                           void *ctx);

#endif
