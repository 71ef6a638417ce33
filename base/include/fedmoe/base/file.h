/*
 * Files: whole or not at all, and private ones refused when others may read them. For any thread.
 */
#ifndef FEDMOE_BASE_FILE_H
#define FEDMOE_BASE_FILE_H

#include <stdbool.h>
#include <sys/types.h>

#include "fedmoe/base/memory.h"

/**
 * Replace `path` by `data`: written to a temporary name beside it, synced, renamed, directory
 * synced. A reader sees the old bytes or the new, never a part, whatever is killed when.
 *
 * What is not a regular file (a device, a folder, a pipe) is never replaced.
 *
 * @param mode  permission bits of the new file (0600 for private ones).
 * @return FM_OK; FM_EIO (text names the path and the system's reason; the old file stands).
 */
FM_NODISCARD fm_status fm_file_replace(const char *path, const void *data, size_t len, mode_t mode);

/**
 * Create `path`, synced as above; FM_EEXIST if it is there (never overwritten).
 */
FM_NODISCARD fm_status fm_file_create(const char *path, const void *data, size_t len, mode_t mode);

/** fm_file_replace in pieces: for files that are not held in memory. Nothing is at `path` before
 *  fm_file_finish; fm_file_abort leaves no trace. finish and abort free the writer. */
typedef struct fm_file_writer fm_file_writer;
FM_NODISCARD fm_status fm_file_begin(const char *path, mode_t mode, fm_file_writer **out);
FM_NODISCARD fm_status fm_file_write(fm_file_writer *w, const void *data, size_t len);
FM_NODISCARD fm_status fm_file_finish(fm_file_writer **w);
void fm_file_abort(fm_file_writer **w); /* NULL: nothing to do */
/** As fm_file_finish, but FM_EEXIST when `path` is there by now. */
FM_NODISCARD fm_status fm_file_finish_new(fm_file_writer **w);

/**
 * From now on SIGINT, SIGTERM and SIGHUP remove what writers of this process have under way before
 * they end it; one that is ignored or handled by somebody stays as it is. For the main thread, at
 * the program's beginning: fm_cli_main calls it.
 */
void fm_file_remove_on_signals(void);

/**
 * FM_EINVAL when `output` is one of the inputs: by name, through links, or as a second name (hard
 * link) of the same file.
 * @param inputs [count] paths; NULL ones, and files that are not there, are skipped.
 */
FM_NODISCARD fm_status fm_file_check_apart(const char *output, const char *const *inputs,
                                           size_t count);
/**
 * What can be said of an output before the work that fills it: fm_file_check_apart; FM_EEXIST when
 * it is there and not `force` (the text names --force); FM_EIO when it is no regular file, or its
 * folder is not there or cannot be written.
 */
FM_NODISCARD fm_status fm_file_check_output(const char *output, bool force,
                                            const char *const *inputs, size_t count);

/** What is not a regular file (a pipe, a device) is read to this many bytes at most. */
#define FM_FILE_MAX_STREAM ((size_t)256 * 1024 * 1024)

/**
 * Read all of `path` into `out` (initialised here; the caller ends it with fm_buf_fini).
 * @param limit  bytes; a longer file is FM_EPROTO, with nothing read.
 * @return FM_OK; FM_ENOTFOUND; FM_EIO; FM_EPROTO; FM_ENOMEM. The text names the path.
 */
FM_NODISCARD fm_status fm_file_read(const char *path, size_t limit, fm_buf *out);

/** As fm_file_read, but FM_EPERM unless the mode is 0600 or narrower (text says chmod). */
FM_NODISCARD fm_status fm_file_read_private(const char *path, size_t limit, fm_buf *out);

/** FM_EPERM unless `path` is a regular file of mode 0600 or narrower; FM_ENOTFOUND. */
FM_NODISCARD fm_status fm_file_check_private(const char *path);

/** FM_EPERM when others than its owner may write `path`, or replace it by its name: group or others
 *  may write to it, or to its folder (one with the sticky bit is no harm). FM_ENOTFOUND. */
FM_NODISCARD fm_status fm_file_check_unshared(const char *path);
/** Whether it belongs to neither root nor this process's user; to root's process nothing is foreign.
 *  @param owner  out, the user's number. */
bool fm_file_is_foreign(const char *path, unsigned long *owner);

bool fm_file_exists(const char *path);

/**
 * What people can do about a failed write, to stand at the end of its error text.
 *
 * @param code  errno of the failure; 0 when it is not known.
 * @return "; free space on that disk, ..." for ENOSPC and EDQUOT, else ""; static.
 */
const char *fm_file_advice(int code);

/** mkdir -p; existing directories are fine. @param mode of those made here. */
FM_NODISCARD fm_status fm_dir_make(const char *path, mode_t mode);

/** FM_EIO unless a file can be made in it: only the system knows (a quota, a read-only disk). */
FM_NODISCARD fm_status fm_dir_check_writable(const char *path);

/**
 * Hold `path`, a folder, for this process: until fm_dir_unlock, or its end however it comes. Tried
 * for a tenth of a second: fm_dir_is_held holds it for a moment.
 * @param lock  out, a file descriptor that child processes do not inherit.
 * @return FM_OK; FM_EEXIST when another process holds it; FM_ENOTFOUND; FM_EIO.
 */
FM_NODISCARD fm_status fm_dir_lock(const char *path, int *lock);
void fm_dir_unlock(int *lock); /* -1: nothing to do */
/** Whether a process holds it now. FM_ENOTFOUND; FM_EIO when that cannot be asked. */
FM_NODISCARD fm_status fm_dir_is_held(const char *path, bool *held);

/** "dir/name" in a new string (free); an absolute name stays as it is. */
FM_NODISCARD fm_status fm_path_join(const char *dir, const char *name, char **out);

/** The directory part of a path ("." when there is none), in a new string (free). */
FM_NODISCARD fm_status fm_path_dir(const char *path, char **out);

#endif
