/* What file.c and file_temp.c share. */
#ifndef FEDMOE_BASE_FILE_INTERNAL_H
#define FEDMOE_BASE_FILE_INTERNAL_H

#include "fedmoe/base/file.h"

/* A temporary file that must not be left behind. Part of a writer. */
typedef struct fm_temp_file {
    char *path; /* owned by the writer; not freed and not replaced while in the list */
    struct fm_temp_file *next;
} fm_temp_file;

/**
 * mkostemps, and into the list: no instant is without somebody who knows the file. For any thread.
 * @return the file descriptor, or -1 with errno.
 */
int fm_temp_make(fm_temp_file *t, int suffix_bytes);
/** Does nothing for one that is not in the list. */
void fm_temp_drop(fm_temp_file *t);

#endif
