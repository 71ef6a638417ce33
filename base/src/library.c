#include "fedmoe/base/library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

static pthread_mutex_t g_lock = PTHREAD_MUTEX_INITIALIZER;

static fm_status load(fm_library *l)
{
    void *handle = dlopen(l->file, RTLD_NOW | RTLD_LOCAL);

    if (!handle)
        return fm_fail(FM_ENOTFOUND, "%s cannot be loaded; apt install %s: %s", l->file, l->package,
                       dlerror());
    for (size_t i = 0; i < l->count; i++)
        if (!dlsym(handle, l->symbols[i].name)) {
            (void)dlclose(handle);
            return fm_fail(FM_ENOTFOUND, "%s has no %s: it is not the one of Debian's package %s",
                           l->file, l->symbols[i].name, l->package);
        }
    for (size_t i = 0; i < l->count; i++) {
        void *symbol = dlsym(handle, l->symbols[i].name);

        /* ISO C has no cast from object to function. */
        memcpy(l->symbols[i].at, &symbol, sizeof symbol);
    }
    l->loaded = true;
    return FM_OK;
}

fm_status fm_library_load(fm_library *l)
{
    fm_status st = FM_OK;

    (void)pthread_mutex_lock(&g_lock);
    if (!l->loaded)
        st = load(l);
    (void)pthread_mutex_unlock(&g_lock);
    return st;
}
