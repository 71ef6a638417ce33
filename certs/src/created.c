/* Files of one step, taken back together when the step fails. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "certs_internal.h"
#include "fedmoe/base/file.h"

fm_status fm_exists_in(const char *dir, const char *name, bool *out)
{
    char *path = NULL;
    fm_status st = fm_path_join(dir, name, &path);

    if (st == FM_OK)
        *out = fm_file_exists(path);
    free(path);
    return st;
}

fm_status fm_created_add(fm_created *c, const char *dir, const char *name, const void *data,
                         size_t len, mode_t mode)
{
    char *path = NULL;
    fm_status st;

    if (c->count == FM_CREATED_MAX)
        return fm_fail(FM_EINTERNAL, "more than %d files in one step", FM_CREATED_MAX);
    if ((st = fm_path_join(dir, name, &path)) != FM_OK)
        return st;
    if ((st = fm_file_create(path, data, len, mode)) != FM_OK) {
        free(path);
        return st;
    }
    c->paths[c->count++] = path;
    return FM_OK;
}

fm_status fm_created_add_key(fm_created *c, const char *dir, const char *name, const EVP_PKEY *k)
{
    BIO *pem = NULL;
    const char *text = NULL;
    long len;
    fm_status st;

    if ((st = fm_key_pem(k, &pem)) != FM_OK)
        return st;
    len = BIO_get_mem_data(pem, &text); /* borrowed: no copy to wipe */
    st = len > 0 ? fm_created_add(c, dir, name, text, (size_t)len, 0600)
                 : fm_ssl_fail(FM_EINTERNAL, "cannot encode the private key");
    BIO_free(pem);
    return st;
}

void fm_created_end(fm_created *c, bool keep)
{
    while (c->count > 0) {
        char *path = c->paths[--c->count];

        if (!keep)
            (void)unlink(path);
        free(path);
    }
}

void fm_created_sweep(const char *dir, const char *prefix)
{
    const size_t skip = strlen(prefix);
    DIR *d = opendir(dir);

    if (!d)
        return;
    for (struct dirent *e; (e = readdir(d));) {
        const size_t len = strlen(e->d_name);

        if (e->d_name[0] == '.' && len > skip + sizeof ".tmp" &&
            strncmp(e->d_name + 1, prefix, skip) == 0 && strcmp(e->d_name + len - 4, ".tmp") == 0)
            (void)unlinkat(dirfd(d), e->d_name, 0);
    }
    (void)closedir(d);
}
