/*
 * A shared library that is loaded when it is first needed and then stays: what most runs do without
 * is no dependency of the program, and takes no memory of a process that waits.
 */
#ifndef FEDMOE_BASE_LIBRARY_H
#define FEDMOE_BASE_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>

#include "fedmoe/base/status.h"

/** Where the loader puts the address of one function. `at` points to a pointer to a function. */
typedef struct {
    const char *name;
    void *at;
} fm_library_symbol;

typedef struct {
    const char *file;    /* by which the dynamic linker finds it, e.g. "libodbc.so.2" */
    const char *package; /* Debian's, for the error's remedy */
    /* Looked for in the library and in those that it depends on; filled all or none. */
    const fm_library_symbol *symbols;
    size_t count;
    bool loaded;
} fm_library;

/** Any thread, and again: it is loaded once. @return FM_OK; FM_ENOTFOUND it is not installed, or lacks
 *  a function: the text says what to do. */
FM_NODISCARD fm_status fm_library_load(fm_library *l);

#endif
