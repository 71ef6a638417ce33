/*
 * Many records: writes them, and measures what a program takes to read them.
 *   bench-rows [N]                       all of rows.sh, with N records (10 million)
 *   bench-rows generate N [SEED]         N records of rows.yaml's 14 columns, as CSV, to standard output
 *   bench-rows measure WHAT COMMAND...   runs it; prints seconds and the most that it had in memory
 */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* splitmix64: Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators". */
static uint64_t g_state;
static uint64_t draw(void)
{
    uint64_t z = g_state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}
static unsigned below(unsigned n)
{
    return (unsigned)((draw() >> 32) * n >> 32);
}

static int generate(uint64_t rows, uint64_t seed)
{
    static const char *const kinds[] = { "none", "mild", "strong", "severe" };

    g_state = seed;
    puts("id,age,sex,admitted,pain,sugar,pressure,rate,vessels,stay,weight,ward,chol,outcome");
    for (uint64_t i = 0; i < rows; i++) {
        const unsigned age = 18 + below(80), pain = below(4), vessels = below(4);
        const unsigned pressure = 90 + below(110), sugar = 40 + below(300);
        const double z =
            0.05 * (double)age + 0.7 * pain + 0.4 * vessels + 0.01 * (double)pressure - 6.5;
        const bool ill = (double)below(1u << 20) / (1u << 20) < 1.0 / (1.0 + exp(-z));

        printf("%llu,%u,%c,20%02u-%02u-%02u,%s,%u.%u,%u,%u,%u,%u,%u.%u,w%02u,",
               (unsigned long long)i, age, below(2) ? 'f' : 'm', below(25), 1 + below(12),
               1 + below(28), kinds[pain], sugar, below(10), pressure, 50 + below(120), vessels,
               below(40), 45 + below(90), below(10), below(24));
        if (below(10) == 0)
            printf(",%d\n", ill);
        else
            printf("%u,%d\n", 120 + below(300), ill);
    }
    return fflush(stdout) == 0 ? 0 : 1;
}

static double now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int measure(const char *what, char **command)
{
    const double start = now();
    const pid_t child = fork();
    struct rusage used;
    int status = 0;

    if (child == 0) {
        (void)execvp(command[0], command);
        perror(command[0]);
        _exit(127);
    }
    if (child < 0 || wait4(child, &status, 0, &used) != child) {
        perror("rows");
        return 1;
    }
    fprintf(stderr, "%-44s %8.1f s %8.1f MiB\n", what, now() - start,
            (double)used.ru_maxrss / 1024.0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv)
{
    char dir[4096];
    const ssize_t n = readlink("/proc/self/exe", dir, sizeof dir - 1);

    if (argc >= 3 && argc <= 4 && strcmp(argv[1], "generate") == 0)
        return generate(strtoull(argv[2], NULL, 10), argc > 3 ? strtoull(argv[3], NULL, 10) : 1);
    if (argc >= 4 && strcmp(argv[1], "measure") == 0)
        return measure(argv[2], argv + 3);
    if (argc > 2 || n <= 0) {
        fputs("usage: bench-rows [N] | generate N [SEED] | measure WHAT COMMAND...\n", stderr);
        return 2;
    }
    dir[n] = '\0';
    *strrchr(dir, '/') = '\0';
    (void)setenv("BIN", dir, 1);
    (void)execlp("bash", "bash", BENCH_SCRIPT, argc > 1 ? argv[1] : "10000000", (char *)NULL);
    perror("bash");
    return 1;
}
