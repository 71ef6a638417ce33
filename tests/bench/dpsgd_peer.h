/* The peers of dpsgd, in PyTorch (dpsgd_peer.py): a child process that measures when it is told to,
 * so that peers and own steps take turns on the machine. */
#ifndef FEDMOE_BENCH_DPSGD_PEER_H
#define FEDMOE_BENCH_DPSGD_PEER_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

typedef struct {
    pid_t child;
    FILE *to, *from;
    char about[256]; /* version, BLAS and its core type */
} dpsgd_peer;

typedef struct {
    double best_s, median_s; /* of a step */
    double plainest_s;       /* best of the way in which most would write it */
    char way[64];            /* the fastest way */
} dpsgd_peer_time;

/** False, with the reason on standard output, when there is no PyTorch. */
bool dpsgd_peer_start(dpsgd_peer *p, const char *python, size_t experts);
/** @param model "mlp", "moe". @param step "plain", "private". False: the child gave no answer. */
bool dpsgd_peer_measure(dpsgd_peer *p, const char *model, const char *step, double seconds,
                        dpsgd_peer_time *out);
void dpsgd_peer_stop(dpsgd_peer *p);

#endif
