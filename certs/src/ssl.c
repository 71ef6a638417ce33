/* OpenSSL's errors and times, in this project's terms. */
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include <openssl/err.h>

#include "certs_internal.h"

#define YEAR_10000_S INT64_C(253402300800)

fm_status fm_ssl_fail(fm_status st, const char *fmt, ...)
{
    char text[768];
    unsigned long e = ERR_peek_last_error();
    const char *reason = e ? ERR_reason_error_string(e) : NULL;
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (e && ERR_GET_REASON(e) == ERR_R_MALLOC_FAILURE)
        st = FM_ENOMEM;
    ERR_clear_error();
    return reason ? fm_fail(st, "%s (OpenSSL: %s)", text, reason) : fm_fail(st, "%s", text);
}

fm_status fm_ssl_time(const ASN1_TIME *t, int64_t *out)
{
    struct tm tm;

    if (!t || ASN1_TIME_to_tm(t, &tm) != 1)
        return fm_ssl_fail(FM_EPROTO, "not a valid ASN.1 time");
    *out = (int64_t)timegm(&tm);
    return FM_OK;
}

fm_status fm_ssl_set_time(ASN1_TIME *t, int64_t wall_s)
{
    if (wall_s < 0 || wall_s >= YEAR_10000_S)
        return fm_fail(FM_EINVAL, "time %lld s is outside the years 1970 to 9999",
                       (long long)wall_s);
    if (!ASN1_TIME_set(t, (time_t)wall_s))
        return fm_ssl_fail(FM_ENOMEM, "cannot set a time");
    return FM_OK;
}
