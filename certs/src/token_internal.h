#ifndef FEDMOE_CERTS_TOKEN_INTERNAL_H
#define FEDMOE_CERTS_TOKEN_INTERNAL_H

#include <p11-kit/pkcs11.h>
#include <pthread.h>

#include "fedmoe/certs/token_uri.h"
#include "token.h"

typedef struct fm_token_module fm_token_module;

struct fm_token {
    char *dir;
    fm_token_uri uri;
    fm_token_module *module;
    CK_FUNCTION_LIST *f; /* the module's */
    CK_SESSION_HANDLE session;
    bool in_session;
    CK_OBJECT_HANDLE key;
    EVP_PKEY *public_key;
    pthread_mutex_t lock; /* a session does one thing at a time */
};

/* ---- token_module.c ---- */

/** The module in this process, loaded and initialised once however often it is asked for. */
FM_NODISCARD fm_status fm_token_module_take(const char *path, fm_token_module **out,
                                            CK_FUNCTION_LIST **f);
void fm_token_module_give(fm_token_module **m);

/* ---- token.c ---- */

/** A sentence for what the module returned. */
fm_status fm_token_fail(CK_RV rv, const fm_token *t, const char *doing);
/** Module, slot, session, login; no key yet. */
FM_NODISCARD fm_status fm_token_enter(const char *dir, const char *uri, bool writable,
                                      fm_token **out);

/* ---- token_key.c ---- */

FM_NODISCARD fm_status fm_token_find_key(fm_token *t);
FM_NODISCARD fm_status fm_token_read_public(fm_token *t);

#endif
