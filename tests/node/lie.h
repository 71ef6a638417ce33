/* A test of one lie: LIE(name, kind of message, word of the refusal, what to change in it). */
#ifndef FEDMOE_TESTS_NODE_LIE_H
#define FEDMOE_TESTS_NODE_LIE_H

#include "bench.h"

#define LIE(name, what, word, ...)                        \
    static void name##_change(bench *b, bench_message *o) \
    {                                                     \
        (void)b;                                          \
        __VA_ARGS__                                       \
    }                                                     \
    static void name(void)                                \
    {                                                     \
        check_lie(what, word, name##_change);             \
    }

#endif
