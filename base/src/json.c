#include "fedmoe/base/json.h"

#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fedmoe/base/file.h"

#define JSON_READ_LIMIT ((size_t)16 * 1024 * 1024)
#define JSON_STYLE (JSON_INDENT(2) | JSON_ENCODE_ANY)

static _Thread_local bool memory_was_short;

static void wipe_and_free(void *p)
{
    if (p)
        sodium_memzero(p, malloc_usable_size(p));
    free(p);
}

static void *allocate(size_t n)
{
    void *p = malloc(n);

    memory_was_short = memory_was_short || !p;
    return p;
}

void fm_json_guard(void)
{
    json_set_alloc_funcs(allocate, wipe_and_free);
}

fm_status fm_json_parse(const void *text, size_t len, size_t flags, json_t **out,
                        json_error_t *error)
{
    json_t *value;

    memory_was_short = false;
    value = json_loadb(text ? text : "", len, flags, error);
    if (memory_was_short || (!value && json_error_code(error) == json_error_out_of_memory)) {
        json_decref(value);
        return fm_fail(FM_ENOMEM, "no memory for %zu bytes of JSON", len);
    }
    if (!value)
        return FM_EPARSE;
    *out = value;
    return FM_OK;
}

const char *fm_json_reason(const json_error_t *e)
{
    switch (json_error_code(e)) {
    case json_error_premature_end_of_input:
        return "the line ends before the object does; write each object in one line";
    case json_error_end_of_input_expected:
        return "something stands behind the object";
    case json_error_invalid_utf8:
        return "not UTF-8; save the file as UTF-8";
    case json_error_duplicate_key:
        return "a key is there twice";
    case json_error_null_character:
    case json_error_null_byte_in_key:
        return "a NUL byte";
    case json_error_numeric_overflow:
        return "a number that is too large";
    case json_error_stack_overflow:
        return "objects and lists lie too deep within each other; was it made by a program that "
               "went "
               "wrong?";
    default:
        return "not JSON; every line must be one object, with its keys and texts in double quotes";
    }
}

static fm_status dump(const json_t *value, char **out)
{
    if (!value)
        return fm_fail(FM_EINVAL, "no JSON value to write");
    if (!(*out = json_dumps(value, JSON_STYLE)))
        return fm_fail(FM_ENOMEM, "no memory for the JSON text");
    return FM_OK;
}

fm_status fm_json_write(const char *path, const json_t *value, mode_t mode)
{
    char *text = NULL;
    size_t len;
    fm_status st = dump(value, &text);

    if (st != FM_OK)
        return st;
    len = strlen(text);
    text[len] = '\n'; /* in place of the NUL: the length is passed on */
    st = fm_file_replace(path, text, len + 1, mode);
    free(text);
    return st;
}

fm_status fm_json_read(const char *path, json_t **out)
{
    json_error_t error;
    fm_buf text;
    fm_status st = fm_file_read(path, JSON_READ_LIMIT, &text);

    if (st != FM_OK)
        return st;
    st = fm_json_parse(text.data, text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, out, &error);
    if (st == FM_ENOMEM)
        st = fm_fail(FM_ENOMEM, "%s: no memory to parse it", path);
    else if (st)
        st = fm_fail(FM_EPARSE, "%s:%d:%d: %s", path, error.line, error.column, error.text);
    fm_buf_fini(&text);
    return st;
}

fm_status fm_json_print(const json_t *value)
{
    char *text = NULL;
    fm_status st = dump(value, &text);

    if (st != FM_OK)
        return st;
    if (fputs(text, stdout) == EOF || fputc('\n', stdout) == EOF || fflush(stdout) != 0)
        st = fm_fail(FM_EIO, "cannot write to standard output: %s", strerror(errno));
    sodium_memzero(text, strlen(text)); /* a join code may stand in it */
    free(text);
    return st;
}
