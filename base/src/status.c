#include "fedmoe/base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TEXT_BYTES 1024

static _Thread_local char t_text[TEXT_BYTES];

fm_status fm_error_record(fm_status st, const char *fmt, ...)
{
    char fresh[TEXT_BYTES]; /* the arguments may point into the old text */
    va_list ap;

    va_start(ap, fmt);
    if (vsnprintf(fresh, sizeof fresh, fmt, ap) < 0)
        fresh[0] = '\0';
    va_end(ap);
    memcpy(t_text, fresh, sizeof t_text);
    return st;
}

fm_status fm_fail_context(fm_status st, const char *fmt, ...)
{
    char fresh[TEXT_BYTES];
    size_t used, rest;
    va_list ap;

    va_start(ap, fmt);
    if (vsnprintf(fresh, sizeof fresh, fmt, ap) < 0)
        fresh[0] = '\0';
    va_end(ap);
    used = strlen(fresh);
    rest = strnlen(t_text, sizeof t_text - 1 - used);
    memcpy(fresh + used, t_text, rest);
    fresh[used + rest] = '\0';
    memcpy(t_text, fresh, sizeof t_text);
    return st;
}

const char *fm_error_text(void)
{
    return t_text;
}

void fm_error_clear(void)
{
    t_text[0] = '\0';
}

const char *fm_status_name(fm_status st)
{
    static const char *const names[] = {
        [FM_OK] = "ok",
        [FM_EINVAL] = "invalid argument",
        [FM_ENOMEM] = "out of memory",
        [FM_EIO] = "input or output failed",
        [FM_ENOTFOUND] = "not found",
        [FM_EEXIST] = "exists already",
        [FM_EPERM] = "not permitted",
        [FM_ETRUNC] = "too few bytes",
        [FM_EPROTO] = "not a valid message or file",
        [FM_EPARSE] = "does not parse",
        [FM_EAUTH] = "authentication failed",
        [FM_EBUDGET] = "privacy budget exceeded",
        [FM_ENONFINITE] = "not a finite number",
        [FM_EREPLAY] = "used already",
        [FM_ETIMEOUT] = "timed out",
        [FM_ESTATE] = "not in this state",
        [FM_EINTERNAL] = "internal defect",
    };
    size_t i = (size_t)st;

    return i < sizeof names / sizeof names[0] ? names[i] : "unknown status";
}
