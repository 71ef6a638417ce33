/*
 * Moving updates: seconds of processor for a GB at each end, through a session as nodes and the
 * aggregator have it, and through bare ZeroMQ sockets with and without CURVE in messages of several
 * sizes, all in one run. Each end is a process of its own; all of its threads count.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <zmq.h>

#include "fedmoe/base/cli.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/random.h"
#include "fedmoe/certs/identity.h"
#include "fedmoe/proto/link/link.h"

#define AHEAD 16u /* messages that may be under way: as a window has them */

typedef struct {
    double send_s, receive_s; /* processor, for a GB */
} cost;

typedef struct {
    size_t total, piece;
    uint8_t *bytes; /* [piece] */
} load;

static double cpu_s(void)
{
    struct rusage u;

    (void)getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void need(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "bench-wire: %s: %s\n", what, fm_error_text());
    exit(1);
}

/* ---- bare sockets ---- */

typedef struct {
    char public_key[41], secret_key[41];
} curve_pair;

static void option(void *socket, int name, const void *value, size_t len)
{
    need(zmq_setsockopt(socket, name, value, len) == 0, "a socket's option");
}

static void *bare_socket(void *context, int type, bool curve, const curve_pair *own,
                         const char *server_key)
{
    const int queue = (int)AHEAD, linger = 1000, yes = 1;
    void *s = zmq_socket(context, type);

    option(s, ZMQ_SNDHWM, &queue, sizeof queue);
    option(s, ZMQ_RCVHWM, &queue, sizeof queue);
    option(s, ZMQ_LINGER, &linger, sizeof linger);
    if (!curve)
        return s;
    if (!server_key)
        option(s, ZMQ_CURVE_SERVER, &yes, sizeof yes);
    else
        option(s, ZMQ_CURVE_SERVERKEY, server_key, strlen(server_key));
    if (server_key)
        option(s, ZMQ_CURVE_PUBLICKEY, own->public_key, strlen(own->public_key));
    option(s, ZMQ_CURVE_SECRETKEY, own->secret_key, strlen(own->secret_key));
    return s;
}

static void bare_send(const load *l, bool curve, const char *endpoint, const curve_pair *keys,
                      double *cpu)
{
    void *context = zmq_ctx_new();
    void *s = bare_socket(context, ZMQ_DEALER, curve, &keys[1], keys[0].public_key);
    double begun;
    char word;

    need(zmq_connect(s, endpoint) == 0, "connecting");
    need(zmq_send(s, "", 0, 0) == 0 && zmq_recv(s, &word, 1, 0) >= 0, "the first word");
    begun = cpu_s();
    for (size_t sent = 0; sent < l->total; sent += l->piece)
        need(zmq_send(s, l->bytes, l->piece, 0) == (int)l->piece, "a message");
    need(zmq_recv(s, &word, 1, 0) >= 0, "the last word");
    *cpu = cpu_s() - begun;
    (void)zmq_close(s);
    (void)zmq_ctx_term(context);
}

static double bare_receive(const load *l, bool curve, int ready, const curve_pair *keys)
{
    void *context = zmq_ctx_new();
    void *s = bare_socket(context, ZMQ_DEALER, curve, &keys[0], NULL);
    char endpoint[256] = "";
    size_t len = sizeof endpoint, got = 0;
    double begun;

    need(zmq_bind(s, "tcp://127.0.0.1:*") == 0 &&
             zmq_getsockopt(s, ZMQ_LAST_ENDPOINT, endpoint, &len) == 0 &&
             write(ready, endpoint, sizeof endpoint) == (ssize_t)sizeof endpoint,
         "listening");
    for (begun = 0.0; got < l->total;) {
        zmq_msg_t m;

        need(zmq_msg_init(&m) == 0 && zmq_msg_recv(&m, s, 0) >= 0, "receiving");
        if (begun == 0.0) { /* the first one only opens the line */
            begun = cpu_s();
            need(zmq_send(s, "", 0, 0) == 0, "the first word");
        }
        got += zmq_msg_size(&m);
        (void)zmq_msg_close(&m);
    }
    begun = cpu_s() - begun;
    need(zmq_send(s, "", 0, 0) == 0, "the last word");
    (void)zmq_close(s);
    (void)zmq_ctx_term(context);
    return begun;
}

/* ---- a session ---- */

typedef struct {
    fm_identity *hub, *node;
    fm_trust *trust;
    uint8_t door_public[FM_CURVE_KEY_BYTES], door_secret[FM_CURVE_KEY_BYTES];
} people;

static void make_people(people *p, const char *dir)
{
    const fm_ca_request
        hub = { .role = FM_ROLE_AGGREGATOR, .name = "hub", .type = FM_KEY_ED25519, .days = 2 },
        node = { .role = FM_ROLE_NODE, .name = "node", .type = FM_KEY_ED25519, .days = 2 };
    char ca[256], hub_dir[256], node_dir[256];

    (void)snprintf(ca, sizeof ca, "%s/ca", dir);
    (void)snprintf(hub_dir, sizeof hub_dir, "%s/hub", dir);
    (void)snprintf(node_dir, sizeof node_dir, "%s/node", dir);
    need(fm_ca_new(ca, "wire", FM_KEY_ED25519, 9) == FM_OK &&
             fm_ca_issue(ca, &hub, hub_dir) == FM_OK && fm_ca_issue(ca, &node, node_dir) == FM_OK &&
             fm_identity_load(hub_dir, &p->hub) == FM_OK &&
             fm_identity_load(node_dir, &p->node) == FM_OK &&
             fm_trust_load(hub_dir, &p->trust) == FM_OK &&
             fm_curve_keypair(p->door_public, p->door_secret) == FM_OK,
         "two parties");
}

/* As the protocol has it: no more than a window beyond what the other end has asked for. */
static void session_send(const load *l, const people *p, const char *door, double *cpu)
{
    uint8_t key[FM_SESSION_KEY_BYTES];
    const fm_link_client_config c = { .door = door,
                                      .door_public = p->door_public,
                                      .identity = p->node,
                                      .trust = p->trust,
                                      .x25519_public = key };
    fm_link_client *link = NULL;
    uint64_t until = AHEAD * l->piece; /* UpdateWant counts pieces here, not bytes */
    double begun;

    fm_random_bytes(key, sizeof key);
    need(fm_link_client_connect(&c, &link) == FM_OK, "connecting");
    begun = cpu_s();
    for (uint64_t at = 0; at < l->total;) {
        fm_message m = { .type = FM_MSG_UPDATE_PIECE };
        fm_link_event e = { 0 };

        if (at < until) {
            m.update_piece = (fm_msg_update_piece){ 1, at % l->piece, { l->bytes, l->piece } };
            need(fm_link_client_send(link, &m) == FM_OK, "a piece");
            at += l->piece;
            continue;
        }
        need(fm_link_client_poll(link, 1000, &e) == FM_OK, "the line");
        if (e.kind == FM_LINK_MESSAGE)
            until = e.message->update_want.until * l->piece;
        fm_message_free(&e.message);
    }
    for (uint64_t have = 0; have < l->total / l->piece;) {
        fm_link_event e = { 0 };

        need(fm_link_client_poll(link, 1000, &e) == FM_OK, "the line");
        if (e.kind == FM_LINK_MESSAGE)
            have = e.message->update_want.until - AHEAD;
        fm_message_free(&e.message);
    }
    *cpu = cpu_s() - begun;
    fm_link_client_free(&link);
}

static double session_receive(const load *l, const people *p, int ready)
{
    const fm_link_server_config c = { .door = "tcp://127.0.0.1:*",
                                      .door_secret = p->door_secret,
                                      .identity = p->hub,
                                      .trust = p->trust };
    fm_message want = { .type = FM_MSG_UPDATE_WANT };
    fm_link_server *link = NULL;
    char endpoint[256] = "";
    uint64_t got = 0;
    double begun = 0.0;

    need(fm_link_server_new(&c, &link) == FM_OK, "listening");
    (void)snprintf(endpoint, sizeof endpoint, "%s", fm_link_server_door(link));
    need(write(ready, endpoint, sizeof endpoint) == (ssize_t)sizeof endpoint, "telling where");
    while (got < l->total) {
        fm_link_event e = { 0 };

        need(fm_link_server_poll(link, 1000, &e) == FM_OK, "the line");
        if (e.kind == FM_LINK_JOINED)
            begun = cpu_s();
        if (e.kind == FM_LINK_MESSAGE) {
            got += e.message->update_piece.piece.len;
            want.update_want = (fm_msg_update_want){ 1, got / l->piece + AHEAD };
            if (got / l->piece % (AHEAD / 4) == 0 || got >= l->total)
                need(fm_link_server_send(link, e.peer, &want) == FM_OK, "asking on");
        }
        fm_message_free(&e.message);
    }
    begun = cpu_s() - begun;
    for (int i = 0; i < 20; i++) { /* the last word leaves */
        fm_link_event e = { 0 };

        need(fm_link_server_poll(link, 10, &e) == FM_OK, "the line");
        fm_message_free(&e.message);
    }
    fm_link_server_free(&link);
    return begun;
}

/* ---- one measurement: the receiver in a process of its own ---- */

typedef enum { PLAIN, CURVE, SESSION } manner;

static cost measure(const load *l, manner how, const people *p)
{
    curve_pair keys[2];
    char endpoint[256] = "";
    int ready[2], result[2];
    double sent = 0.0, received = 0.0;
    pid_t child;

    for (int i = 0; i < 2; i++)
        need(zmq_curve_keypair(keys[i].public_key, keys[i].secret_key) == 0, "keys");
    need(pipe(ready) == 0 && pipe(result) == 0, "pipes");
    if ((child = fork()) == 0) {
        received = how == SESSION ? session_receive(l, p, ready[1])
                                  : bare_receive(l, how == CURVE, ready[1], keys);
        _exit(write(result[1], &received, sizeof received) == (ssize_t)sizeof received ? 0 : 1);
    }
    need(read(ready[0], endpoint, sizeof endpoint) == (ssize_t)sizeof endpoint, "the other end");
    if (how == SESSION)
        session_send(l, p, endpoint, &sent);
    else
        bare_send(l, how == CURVE, endpoint, keys, &sent);
    need(read(result[0], &received, sizeof received) == (ssize_t)sizeof received, "its figure");
    (void)waitpid(child, NULL, 0);
    for (int i = 0; i < 2; i++) {
        (void)close(ready[i]);
        (void)close(result[i]);
    }
    return (cost){ 1e9 * sent / (double)l->total, 1e9 * received / (double)l->total };
}

static cost best_of(const load *l, manner how, const people *p, uint64_t tries)
{
    cost best = { 1e9, 1e9 };

    for (uint64_t i = 0; i < tries; i++) {
        const cost c = measure(l, how, p);

        if (c.send_s + c.receive_s < best.send_s + best.receive_s)
            best = c;
    }
    return best;
}

static double gcm_s(const load *l)
{
    uint8_t key[32] = { 1 }, iv[12] = { 2 }, *out = malloc(l->piece);
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    double begun;
    int n = 0;

    need(out && c && EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, iv) == 1, "AES-256-GCM");
    begun = cpu_s();
    for (size_t done = 0; done < l->total; done += l->piece)
        need(EVP_EncryptUpdate(c, out, &n, l->bytes, (int)l->piece) == 1, "AES-256-GCM");
    begun = cpu_s() - begun;
    EVP_CIPHER_CTX_free(c);
    free(out);
    return 1e9 * begun / (double)l->total;
}

static void print(const char *what, size_t piece, cost c)
{
    printf("  %-22s %5zu KiB   %6.3f + %6.3f = %6.3f\n", what, piece >> 10, c.send_s, c.receive_s,
           c.send_s + c.receive_s);
}

static void run(uint64_t megabytes, uint64_t tries, const people *p)
{
    static const size_t pieces[] = { 64u << 10, 256u << 10, 1u << 20, 4u << 20 };
    double best = 1e9, session = 1e9;
    load l = { .bytes = calloc(1, 4u << 20) };

    need(l.bytes != NULL, "memory");
    printf("seconds of processor for a GB: sending + receiving, best of %llu\n",
           (unsigned long long)tries);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        cost plain, curve;

        l.piece = pieces[i];
        l.total = (size_t)(megabytes << 20) / l.piece * l.piece;
        plain = best_of(&l, PLAIN, p, tries);
        curve = best_of(&l, CURVE, p, tries);
        print("ZeroMQ, plain", l.piece, plain);
        print("ZeroMQ, CURVE", l.piece, curve);
        best = curve.send_s + curve.receive_s < best ? curve.send_s + curve.receive_s : best;
        if (l.piece <= FM_MAX_PIECE_BYTES) {
            const cost c = best_of(&l, SESSION, p, tries);

            print("session, UpdatePiece", l.piece, c);
            session = c.send_s + c.receive_s < session ? c.send_s + c.receive_s : session;
        }
    }
    printf("  AES-256-GCM alone, a pass              %6.3f\n"
           "  session / CURVE at its best: %.2f\n",
           gcm_s(&l), session / best);
    free(l.bytes);
}

int main(int argc, char **argv)
{
    uint64_t megabytes = 1024, tries = 2;
    const fm_cli_option list[] = {
        { "megabytes", FM_CLI_U64, &megabytes, "N", "moved each time; default 1024", false, 4,
          65536 },
        { "tries", FM_CLI_U64, &tries, "N", "the best of them counts; default 2", false, 1, 100 },
    };
    const fm_cli_spec spec = { .program = "bench-wire",
                               .summary = "What moving updates costs at each end.",
                               .examples = "./dev bench wire --megabytes 4096",
                               .options = list,
                               .option_count = sizeof list / sizeof list[0] };
    const char *tmp = getenv("TMPDIR");
    char dir[96], command[128];
    people p = { 0 };
    int first = 0, code = 1;

    if (fm_random_init() != FM_OK || !fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    (void)snprintf(dir, sizeof dir, "%.60s/fedmoe-wire-XXXXXX", tmp ? tmp : "/tmp");
    need(mkdtemp(dir) != NULL, "a temporary directory");
    make_people(&p, dir);
    run(megabytes, tries, &p);
    fm_identity_free(&p.hub);
    fm_identity_free(&p.node);
    fm_trust_free(&p.trust);
    (void)snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command) == 0 ? 0 : 1;
}
