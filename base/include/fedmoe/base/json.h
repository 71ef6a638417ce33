/*
 * JSON through jansson, which is door enough; here are only the file ends of it. For any thread; a
 * value that others change meanwhile must not be given.
 */
#ifndef FEDMOE_BASE_JSON_H
#define FEDMOE_BASE_JSON_H

#include <sys/types.h>

#include <jansson.h>

#include "fedmoe/base/status.h"

/** Write `value` (borrowed) with indent 2 through fm_file_replace. */
FM_NODISCARD fm_status fm_json_write(const char *path, const json_t *value, mode_t mode);
/** Read at most 16 MiB; FM_EPARSE names path, line, column. *out: json_decref. */
FM_NODISCARD fm_status fm_json_read(const char *path, json_t **out);
/** Print to standard output with indent 2 and a newline; FM_EIO when it cannot be written. */
FM_NODISCARD fm_status fm_json_print(const json_t *value);

/**
 * From now on what jansson frees is wiped first, whoever allocated it, as values may be private; and
 * what it could not allocate is noticed (fm_json_parse). For the main thread, at the program's
 * beginning: fm_cli_main calls it.
 */
void fm_json_guard(void);

/**
 * json_loadb, but no value when memory was short: jansson goes on then, with a part of a text.
 * @param flags  of json_loadb.
 * @param error  out on FM_EPARSE: what and where. Its text may repeat what stands there.
 * @return FM_OK; FM_EPARSE, no text recorded; FM_ENOMEM. *out: json_decref.
 */
FM_NODISCARD fm_status fm_json_parse(const void *text, size_t len, size_t flags, json_t **out,
                                     json_error_t *error);
/** What is wrong with one line that must be an object, in words of this project, which never repeat what
 *  stands there. Static. */
const char *fm_json_reason(const json_error_t *error);
/** Likewise, and by what stands there: a decimal comma, NaN, single quotes. @param text the line, of `len` bytes */
const char *fm_json_cause(const char *text, size_t len, const json_error_t *error);

#endif
