/* What ZeroMQ says of a socket's connections; read by the socket's own thread. */
#ifndef FEDMOE_LINK_MONITOR_INTERNAL_H
#define FEDMOE_LINK_MONITOR_INTERNAL_H

#include "fedmoe/base/status.h"

typedef enum {
    FM_MONITOR_NOTHING,
    FM_MONITOR_OTHER,
    FM_MONITOR_CONNECTED,    /* TCP; fd */
    FM_MONITOR_ACCEPTED,     /* TCP; fd */
    FM_MONITOR_HANDSHAKEN,   /* CURVE */
    FM_MONITOR_FAILED,       /* no handshake came of it; DISCONNECTED follows */
    FM_MONITOR_DISCONNECTED, /* TCP; fd, which is still open then */
    FM_MONITOR_UNREACHABLE,  /* connect() failed */
} fm_monitor_kind;

typedef struct {
    fm_monitor_kind kind;
    int fd;
} fm_monitor_event;

/** Watch `socket` from now on; *out is a socket to poll, ended by fm_monitor_free. */
FM_NODISCARD fm_status fm_monitor_new(void *context, void *socket, const char *name, void **out);
void fm_monitor_free(void *socket, void **monitor);
/** Never blocks; FM_MONITOR_NOTHING when none waits. */
fm_monitor_event fm_monitor_next(void *monitor);

#endif
