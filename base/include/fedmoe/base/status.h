/* Status codes and the text that says what went wrong, where, and what to do next. */
#ifndef FEDMOE_BASE_STATUS_H
#define FEDMOE_BASE_STATUS_H

#define FM_NODISCARD __attribute__((warn_unused_result))
#define FM_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

typedef enum {
    FM_OK = 0,
    FM_EINVAL,     /* a caller's argument is out of its documented range */
    FM_ENOMEM,     /* allocation failed, or a documented ceiling was reached */
    FM_EIO,        /* the system refused a read, write, sync or rename */
    FM_ENOTFOUND,  /* a named file, entry or peer is not there */
    FM_EEXIST,     /* it is there already and would be overwritten */
    FM_EPERM,      /* file mode too wide, or policy forbids it */
    FM_ETRUNC,     /* too few bytes */
    FM_EPROTO,     /* bytes from outside that are not a valid message, file or value */
    FM_EPARSE,     /* text that does not parse: the error text names file, line and column */
    FM_EAUTH,      /* every authentication failure, whatever its cause */
    FM_EBUDGET,    /* the privacy budget would be passed */
    FM_ENONFINITE, /* NaN or infinity */
    FM_EREPLAY,    /* a round, update, commit or release that was used already */
    FM_ETIMEOUT,   /* a deadline passed */
    FM_ESTATE,     /* the call does not fit the object's state */
    FM_EINTERNAL,  /* an invariant does not hold: a defect of this program */
} fm_status;

/**
 * Record the calling thread's error text and return `st`, so that a failing
 * function ends with `return fm_fail(FM_EPARSE, "%s:%zu: ...", ...)`.
 * The text is cut at 1023 bytes; it must never contain keys, records, gradients or norms.
 *
 * @param st   any status but FM_OK.
 * @param fmt  printf format; what, where and what to do next.
 * @return st.
 * @thread each thread has its own text.
 */
#define fm_fail(st, ...) fm_status_known(fm_error_record((st), __VA_ARGS__), (st))

/* What fm_fail is made of: the compiler sees the status, and so that a failure is not FM_OK. */
fm_status fm_error_record(fm_status st, const char *fmt, ...) FM_PRINTF(2, 3);
static inline fm_status fm_status_known(fm_status recorded, fm_status st)
{
    (void)recorded;
    return st;
}

/**
 * Put a prefix before the text of the failure under way ("node.yaml:3: " before "...").
 * @return st, unchanged.
 */
fm_status fm_fail_context(fm_status st, const char *fmt, ...) FM_PRINTF(2, 3);

/** @return the calling thread's last error text, never NULL; valid until the next failure. */
const char *fm_error_text(void);

/** Forget the calling thread's error text. */
void fm_error_clear(void);

/** @return a short constant name ("not found"), never NULL. */
const char *fm_status_name(fm_status st);

#endif
