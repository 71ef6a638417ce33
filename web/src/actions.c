/* What visitors did, until the run takes it. */
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "web_internal.h"

bool web_actions_put(web_actions *a, const fm_web_action *one)
{
    bool room;

    pthread_mutex_lock(&a->lock);
    if ((room = a->count < FM_WEB_ACTIONS_MAX)) {
        a->waiting[(a->first + a->count++) % FM_WEB_ACTIONS_MAX] = *one;
        (void)eventfd_write(a->fd, 1);
    }
    pthread_mutex_unlock(&a->lock);
    return room;
}

bool fm_web_next(fm_web *w, fm_web_action *out)
{
    web_actions *a = &w->actions;
    eventfd_t seen;
    bool any;

    pthread_mutex_lock(&a->lock);
    if ((any = a->count > 0)) {
        *out = a->waiting[a->first];
        memset(&a->waiting[a->first], 0, sizeof *out);
        a->first = (a->first + 1) % FM_WEB_ACTIONS_MAX;
        a->count--;
    }
    if (a->count == 0)
        (void)eventfd_read(a->fd, &seen);
    pthread_mutex_unlock(&a->lock);
    return any;
}

int fm_web_fd(const fm_web *w)
{
    return w->actions.fd;
}
