/* The part of RFC 7512 that names one key in one token, and how to reach it. */
#ifndef FEDMOE_CERTS_TOKEN_URI_H
#define FEDMOE_CERTS_TOKEN_URI_H

#include <stddef.h>
#include <stdint.h>

#include "fedmoe/base/status.h"

#define FM_TOKEN_URI_MAX 2048u
#define FM_TOKEN_TEXT_MAX 255u
#define FM_TOKEN_PATH_MAX 1023u

typedef struct {
    char token[FM_TOKEN_TEXT_MAX + 1];  /* label; "" : not given */
    char serial[FM_TOKEN_TEXT_MAX + 1]; /* "": not given; one of both is */
    char object[FM_TOKEN_TEXT_MAX + 1]; /* label of the key; "": not given */
    uint8_t id[FM_TOKEN_TEXT_MAX];      /* of the key */
    size_t id_len;                      /* 0: not given; one of both is */
    char module[FM_TOKEN_PATH_MAX + 1];
    char pin_file[FM_TOKEN_PATH_MAX + 1]; /* "": the environment */
} fm_token_uri;

/**
 * pkcs11:token=LABEL;object=LABEL?module-path=FILE&pin-source=file:FILE with percent-encoding; also
 * serial, id, type=private. Everything else is refused, and so is a PIN.
 * @return FM_OK; FM_EPARSE with what and why. Pure.
 */
FM_NODISCARD fm_status fm_token_uri_parse(const char *text, fm_token_uri *out);

#endif
