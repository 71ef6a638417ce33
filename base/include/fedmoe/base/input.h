/*
 * Files from outside, for reading: nothing that stands in their place hangs a program, and what they
 * are when they are not what they should be has a name. For any thread.
 */
#ifndef FEDMOE_BASE_INPUT_H
#define FEDMOE_BASE_INPUT_H

#include <stddef.h>

#include "fedmoe/base/status.h"

/** How long a named pipe that nobody writes to is waited for. */
#define FM_INPUT_PIPE_WAIT_MS 2000

/**
 * Open a file, a pipe that somebody writes to, or a terminal, for reading.
 *
 * @param fd  out, closed by the caller; children do not inherit it.
 * @return FM_OK; FM_ENOTFOUND; FM_EIO: may not be read (the text names its owner, mode and who asks),
 *         a folder, device, socket, a link to itself, or a named pipe without a writer. The text names the path.
 */
FM_NODISCARD fm_status fm_input_open(const char *path, int *fd);
/** As fm_input_open, of a file that is for one user alone: who may not read it is told so. */
FM_NODISCARD fm_status fm_input_open_private(const char *path, int *fd);

/** What a file is, by its first bytes, when it is none of the texts that are read here. */
typedef enum { FM_INPUT_BINARY, FM_INPUT_UTF16, FM_INPUT_JSON, FM_INPUT_SQLITE } fm_input_kind;
typedef struct {
    const char *is;     /* "an Excel workbook" */
    const char *advice; /* what to do; NULL: it depends on what was expected */
    fm_input_kind kind; /* FM_INPUT_BINARY: any other */
} fm_input_other;

/** Bytes by which every kind is told. */
#define FM_INPUT_KIND_BYTES ((size_t)512)

/** @return NULL: it may be the text that is wanted; else static. @param first [n] */
const fm_input_other *fm_input_other_of(const void *first, size_t n);

#endif
