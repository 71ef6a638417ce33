/* libmicrohttpd, and GnuTLS, on which it depends: loaded with the first page. The functions are
 * called through `web_lib`, as web_lib.MHD_run(...). */
#ifndef FEDMOE_WEB_LIBRARY_H
#define FEDMOE_WEB_LIBRARY_H

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <microhttpd.h>

#include <stdbool.h>

#include "fedmoe/base/status.h"

#define WEB_LIBRARY_FUNCTIONS(X)             \
    X(MHD_add_response_header)               \
    X(MHD_create_response_from_buffer)       \
    X(MHD_destroy_response)                  \
    X(MHD_get_connection_values)             \
    X(MHD_get_connection_info)               \
    X(MHD_get_daemon_info)                   \
    X(MHD_get_timeout)                       \
    X(MHD_lookup_connection_value)           \
    X(MHD_queue_response)                    \
    X(MHD_resume_connection)                 \
    X(MHD_run)                               \
    X(MHD_start_daemon)                      \
    X(MHD_stop_daemon)                       \
    X(MHD_suspend_connection)                \
    X(gnutls_certificate_get_peers)          \
    X(gnutls_strerror)                       \
    X(gnutls_x509_crt_deinit)                \
    X(gnutls_x509_crt_export2)               \
    X(gnutls_x509_crt_get_fingerprint)       \
    X(gnutls_x509_crt_import)                \
    X(gnutls_x509_crt_init)                  \
    X(gnutls_x509_crt_set_activation_time)   \
    X(gnutls_x509_crt_set_basic_constraints) \
    X(gnutls_x509_crt_set_dn)                \
    X(gnutls_x509_crt_set_expiration_time)   \
    X(gnutls_x509_crt_set_key)               \
    X(gnutls_x509_crt_set_key_purpose_oid)   \
    X(gnutls_x509_crt_set_key_usage)         \
    X(gnutls_x509_crt_set_serial)            \
    X(gnutls_x509_crt_set_subject_alt_name)  \
    X(gnutls_x509_crt_set_version)           \
    X(gnutls_x509_crt_sign2)                 \
    X(gnutls_x509_privkey_deinit)            \
    X(gnutls_x509_privkey_export2_pkcs8)     \
    X(gnutls_x509_privkey_generate)          \
    X(gnutls_x509_privkey_init)

typedef struct {
#define WEB_POINTER(name) __typeof__(name) *name;
    WEB_LIBRARY_FUNCTIONS(WEB_POINTER)
#undef WEB_POINTER
    gnutls_free_function *gnutls_free; /* a variable of the library */
} web_library;

extern web_library web_lib;

/** Before the first use. FM_ENOTFOUND: it is not installed. */
FM_NODISCARD fm_status web_library_load(void);

#endif
