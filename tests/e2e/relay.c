/*
 * A TCP relay that does to its connections what networks and middle-men do. Test only: it has no
 * key, and sees nothing but CURVE's bytes.
 *
 *   e2e-relay CONTROL RECORD LISTEN=CONNECT...    addresses are IPV4:PORT
 *   e2e-relay replay FILE CONNECT                 the bytes of a recorded connection, sent again
 *
 * CONTROL holds lines "KEY NUMBER" and may be replaced at any time; what is not named is 0:
 *
 *   delay_ms    every chunk arrives so much later (one way)
 *   jitter_ms   and up to so much more; chunks of one connection keep their order
 *   loss        percent of the chunks that are lost once: as TCP does it, what is behind them waits
 *               for the retransmission (200 ms, and a round trip)
 *   stall       nothing passes, and nobody is told
 *   rate        bytes in a second and direction of one connection
 *   flip_at     one bit of this byte of each direction of each connection is turned (1: the first)
 *   flip_every  and one bit of every so many bytes
 *   cut_frame   the connection is cut before its so many-th ZMTP frame, both directions together
 *   cut_once    the next cut or flip_at ends this: later connections are left alone
 *   way         flips are for what goes up (1) or comes down (2) only
 *
 * RECORD is a folder for what comes from the connecting side, one file a connection; "-" for none.
 * Each deed is a line on standard output.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DOORS_MAX 8
#define LINES_MAX 64
#define CHUNK_BYTES 1448  /* what a segment holds */
#define QUEUE_BYTES 65536 /* then the sender has to wait, as it would for a window */
#define RETRANSMIT_MS 200
#define GREETING_BYTES 64 /* ZMTP 3, before its frames */
#define FLAG_LONG 2u

typedef struct {
    unsigned long delay_ms, jitter_ms, loss, stall, rate, flip_at, flip_every, cut_frame, cut_once,
        way;
} conduct;

typedef struct chunk {
    struct chunk *next;
    uint64_t due_ms;
    size_t len, sent;
    uint8_t data[CHUNK_BYTES];
} chunk;

/* One direction. */
typedef struct {
    int from, to;
    chunk *first, **last;
    size_t queued;
    uint64_t due_ms, bytes, paid_ms;
    double allowance; /* bytes that `rate` lets through now */
    bool ended, shut;
    uint64_t skip; /* bytes to the next frame's head */
    uint8_t head[9];
    size_t head_len;
} half;

typedef struct {
    half up, down;
    int record;
    unsigned long frames, number;
} line;

typedef struct {
    int socket;
    struct sockaddr_in to;
} door;

static door g_doors[DOORS_MAX];
static line *g_lines[LINES_MAX];
static size_t g_door_count, g_line_count;
static unsigned long g_number;
static conduct g_conduct;
static bool g_spent; /* cut_once has had its one */
static const char *g_control, *g_record;

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "relay: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

static struct sockaddr_in address(const char *text)
{
    struct sockaddr_in a = { .sin_family = AF_INET };
    char host[64];
    unsigned port = 0;

    if (sscanf(text, "%63[0-9.]:%u", host, &port) != 2 ||
        inet_pton(AF_INET, host, &a.sin_addr) != 1)
        die(text);
    a.sin_port = htons((uint16_t)port);
    return a;
}

static void deed(const line *l, const char *what)
{
    printf("%s connection %lu after %llu bytes up, %llu down\n", what, l->number,
           (unsigned long long)l->up.bytes, (unsigned long long)l->down.bytes);
}

/* ---- conduct ---- */

static void read_conduct(void)
{
    const struct {
        const char *key;
        size_t at;
    } keys[] = {
        { "delay_ms", offsetof(conduct, delay_ms) },
        { "jitter_ms", offsetof(conduct, jitter_ms) },
        { "loss", offsetof(conduct, loss) },
        { "stall", offsetof(conduct, stall) },
        { "rate", offsetof(conduct, rate) },
        { "flip_at", offsetof(conduct, flip_at) },
        { "flip_every", offsetof(conduct, flip_every) },
        { "cut_frame", offsetof(conduct, cut_frame) },
        { "cut_once", offsetof(conduct, cut_once) },
        { "way", offsetof(conduct, way) },
    };
    static struct stat seen;
    struct stat now;
    unsigned long value;
    char key[32];
    FILE *f;

    if (stat(g_control, &now) != 0 ||
        (now.st_ino == seen.st_ino && now.st_mtim.tv_nsec == seen.st_mtim.tv_nsec &&
         now.st_mtim.tv_sec == seen.st_mtim.tv_sec))
        return;
    if (!(f = fopen(g_control, "r")))
        die(g_control);
    seen = now;
    g_conduct = (conduct){ 0 };
    g_spent = false;
    while (fscanf(f, "%31s %lu", key, &value) == 2)
        for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
            if (strcmp(key, keys[i].key) == 0)
                memcpy((uint8_t *)&g_conduct + keys[i].at, &value, sizeof value);
    fclose(f);
    printf("conduct\n");
}

static bool done_once(void)
{
    const bool was = g_spent;

    g_spent = was || g_conduct.cut_once;
    return was;
}

/* ---- a connection ---- */

static void half_free(half *h)
{
    while (h->first) {
        chunk *c = h->first;

        h->first = c->next;
        free(c);
    }
}

static void line_close(line *l)
{
    close(l->up.from);
    close(l->up.to);
    if (l->record >= 0)
        close(l->record);
    half_free(&l->up);
    half_free(&l->down);
    free(l);
}

/* A reset, as a middle-man or a dying router would. */
static void line_cut(line *l)
{
    const struct linger hard = { .l_onoff = 1 };

    (void)setsockopt(l->up.from, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    (void)setsockopt(l->up.to, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    line_close(l);
}

static void line_open(const door *d)
{
    int in = accept4(d->socket, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), out;
    char path[512];
    line *l;

    if (in < 0)
        return;
    out = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (out < 0 || g_line_count == LINES_MAX || !(l = calloc(1, sizeof *l)) ||
        connect(out, (const struct sockaddr *)&d->to, sizeof d->to) != 0) {
        close(in);
        if (out >= 0)
            close(out);
        return;
    }
    (void)fcntl(out, F_SETFL, O_NONBLOCK);
    l->number = ++g_number;
    l->up = (half){ .from = in, .to = out, .skip = GREETING_BYTES, .paid_ms = now_ms() };
    l->down = (half){ .from = out, .to = in, .skip = GREETING_BYTES, .paid_ms = now_ms() };
    l->up.last = &l->up.first;
    l->down.last = &l->down.first;
    l->record = -1;
    if (strcmp(g_record, "-") != 0) {
        (void)snprintf(path, sizeof path, "%s/%lu", g_record, l->number);
        l->record = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    }
    g_lines[g_line_count++] = l;
}

/* ---- what passes ---- */

/* The frames that begin in these bytes: flags, then the length in one byte or in eight. */
static unsigned long count_frames(half *h, const uint8_t *data, size_t len)
{
    unsigned long frames = 0;

    for (size_t i = 0; i < len;) {
        if (h->skip > 0) {
            const size_t n = h->skip < len - i ? (size_t)h->skip : len - i;

            h->skip -= n;
            i += n;
            continue;
        }
        frames += h->head_len == 0;
        h->head[h->head_len++] = data[i++];
        if (h->head_len < (h->head[0] & FLAG_LONG ? 9u : 2u))
            continue;
        for (size_t k = 1; k < h->head_len; k++)
            h->skip = h->skip << 8 | h->head[k];
        h->head_len = 0;
    }
    return frames;
}

static void alter(const line *l, half *h, chunk *c)
{
    const unsigned long way = h == &l->up ? 1 : 2;

    if (g_conduct.way && g_conduct.way != way)
        return;
    for (size_t i = 0; i < c->len; i++) {
        const uint64_t at = h->bytes + i + 1;

        if ((at == g_conduct.flip_at && !done_once()) ||
            (g_conduct.flip_every && at % g_conduct.flip_every == 0)) {
            c->data[i] ^= (uint8_t)(1u << (random() % 8));
            deed(l, "altered");
        }
    }
}

static void schedule(const line *l, half *h, chunk *c)
{
    uint64_t due = now_ms() + g_conduct.delay_ms;

    if (g_conduct.jitter_ms)
        due += (uint64_t)random() % g_conduct.jitter_ms;
    if ((unsigned long)(random() % 100) < g_conduct.loss) {
        due += RETRANSMIT_MS + 2 * g_conduct.delay_ms;
        deed(l, "lost and sent again");
    }
    h->due_ms = due > h->due_ms ? due : h->due_ms;
    c->due_ms = h->due_ms;
}

/** @return false when the connection was cut. */
static bool take(line *l, half *h)
{
    chunk *c = calloc(1, sizeof *c);
    ssize_t n;

    if (!c)
        die("memory");
    n = recv(h->from, c->data, sizeof c->data, 0);
    if (n <= 0) {
        free(c);
        h->ended = n == 0 || (errno != EAGAIN && errno != EINTR);
        return true;
    }
    c->len = (size_t)n;
    l->frames += count_frames(h, c->data, c->len);
    if (g_conduct.cut_frame && l->frames >= g_conduct.cut_frame && !done_once()) {
        deed(l, "cut");
        free(c);
        return false;
    }
    if (l->record >= 0 && h == &l->up && write(l->record, c->data, c->len) != n)
        die("record");
    alter(l, h, c);
    schedule(l, h, c);
    h->bytes += c->len;
    h->queued += c->len;
    *h->last = c;
    h->last = &c->next;
    return true;
}

static size_t allowed(half *h, size_t want, uint64_t now)
{
    if (!g_conduct.rate)
        return want;
    h->allowance += (double)(now - h->paid_ms) * (double)g_conduct.rate / 1000.0;
    h->paid_ms = now;
    if (h->allowance > CHUNK_BYTES)
        h->allowance = CHUNK_BYTES;
    return (double)want < h->allowance ? want : (size_t)h->allowance;
}

/** @return false when the other side is gone. */
static bool give(half *h)
{
    const uint64_t now = now_ms();
    chunk *c;
    size_t want;
    ssize_t n;

    while ((c = h->first) && c->due_ms <= now) {
        if (!(want = allowed(h, c->len - c->sent, now)))
            return true;
        n = send(h->to, c->data + c->sent, want, MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        if (g_conduct.rate)
            h->allowance -= (double)n;
        c->sent += (size_t)n;
        h->queued -= (size_t)n;
        if (c->sent < c->len)
            continue;
        if (!(h->first = c->next))
            h->last = &h->first;
        free(c);
    }
    if (h->ended && !h->first && !h->shut) {
        h->shut = true;
        (void)shutdown(h->to, SHUT_WR);
    }
    return true;
}

/** @return whether the connection lives. */
static bool serve(line *l, const struct pollfd *in, const struct pollfd *out)
{
    if (g_conduct.stall)
        return true;
    if (in->revents && !l->up.ended && l->up.queued < QUEUE_BYTES && !take(l, &l->up))
        return line_cut(l), false;
    if (out->revents && !l->down.ended && l->down.queued < QUEUE_BYTES && !take(l, &l->down))
        return line_cut(l), false;
    if (give(&l->up) && give(&l->down) && !(l->up.shut && l->down.shut))
        return true;
    line_close(l);
    return false;
}

static struct pollfd interest(const half *h)
{
    const bool deaf = g_conduct.stall || h->ended || h->queued >= QUEUE_BYTES;

    return (struct pollfd){ .fd = deaf ? -1 : h->from, .events = POLLIN };
}

static void turn(void)
{
    struct pollfd p[DOORS_MAX + 2 * LINES_MAX];
    const size_t lines = g_line_count;
    bool waiting = false;
    size_t kept = 0;

    read_conduct();
    for (size_t i = 0; i < g_door_count; i++)
        p[i] = (struct pollfd){ .fd = g_doors[i].socket, .events = POLLIN };
    for (size_t i = 0; i < lines; i++) {
        p[g_door_count + 2 * i] = interest(&g_lines[i]->up);
        p[g_door_count + 2 * i + 1] = interest(&g_lines[i]->down);
        waiting = waiting || g_lines[i]->up.first || g_lines[i]->down.first;
    }
    if (poll(p, (nfds_t)(g_door_count + 2 * lines), waiting ? 2 : 20) < 0 && errno != EINTR)
        die("poll");
    for (size_t i = 0; i < lines; i++)
        if (serve(g_lines[i], &p[g_door_count + 2 * i], &p[g_door_count + 2 * i + 1]))
            g_lines[kept++] = g_lines[i];
    g_line_count = kept;
    for (size_t i = 0; i < g_door_count; i++)
        if (p[i].revents && !g_conduct.stall)
            line_open(&g_doors[i]);
}

/* ---- replay ---- */

/* Standard output: how many bytes were sent, how many answered, whether the line was closed. */
static int replay(const char *path, const char *to)
{
    const struct timeval patience = { .tv_sec = 3 };
    const struct sockaddr_in a = address(to);
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), file = open(path, O_RDONLY | O_CLOEXEC);
    uint8_t data[65536], back[4096];
    ssize_t len, n = 0;
    size_t answered = 0;

    if (s < 0 || file < 0 || (len = read(file, data, sizeof data)) <= 0 ||
        connect(s, (const struct sockaddr *)&a, sizeof a) != 0 ||
        setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0)
        die(path);
    /* Piece by piece, so that the other side has answered before the next. */
    for (ssize_t at = 0; at < len; at += n) {
        const struct timespec pause = { .tv_nsec = 2 * 1000000L };

        n = send(s, data + at, (size_t)(len - at < 64 ? len - at : 64), MSG_NOSIGNAL);
        if (n <= 0)
            break;
        (void)nanosleep(&pause, NULL);
    }
    while ((n = recv(s, back, sizeof back, 0)) > 0)
        answered += (size_t)n;
    printf("sent %zd answered %zu %s\n", len, answered,
           n == 0 || errno == ECONNRESET ? "closed" : "open");
    close(file);
    close(s);
    return 0;
}

/* ---- */

static void door_open(char *pair)
{
    char *to = strchr(pair, '=');
    const int on = 1;
    struct sockaddr_in at;
    door *d = &g_doors[g_door_count];

    if (!to || g_door_count == DOORS_MAX)
        die(pair);
    *to = '\0';
    at = address(pair);
    d->to = address(to + 1);
    d->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (d->socket < 0 || setsockopt(d->socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(d->socket, (const struct sockaddr *)&at, sizeof at) != 0 || listen(d->socket, 64) != 0)
        die(pair);
    g_door_count++;
}

int main(int argc, char **argv)
{
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    (void)signal(SIGPIPE, SIG_IGN);
    srandom(1);
    if (argc == 4 && strcmp(argv[1], "replay") == 0)
        return replay(argv[2], argv[3]);
    if (argc < 4) {
        fprintf(stderr, "usage: e2e-relay CONTROL RECORD LISTEN=CONNECT...\n");
        return 2;
    }
    g_control = argv[1];
    g_record = argv[2];
    for (int i = 3; i < argc; i++)
        door_open(argv[i]);
    printf("ready\n");
    for (;;)
        turn();
}
