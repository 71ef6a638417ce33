/* Runs never allocate. The linker sends this program's allocations through the counter below. */
#include <stdatomic.h>
#include <stdlib.h>

#include "rig.h"
#include "suites.h"
#include "text_rig.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *p, size_t size);
int __real_posix_memalign(void **out, size_t alignment, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *p, size_t size);
int __wrap_posix_memalign(void **out, size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

static atomic_size_t g_allocations; /* by any thread */

void *__wrap_malloc(size_t size)
{
    atomic_fetch_add(&g_allocations, 1);
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    atomic_fetch_add(&g_allocations, 1);
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *p, size_t size)
{
    atomic_fetch_add(&g_allocations, 1);
    return __real_realloc(p, size);
}

int __wrap_posix_memalign(void **out, size_t alignment, size_t size)
{
    atomic_fetch_add(&g_allocations, 1);
    return __real_posix_memalign(out, alignment, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    atomic_fetch_add(&g_allocations, 1);
    return __real_aligned_alloc(alignment, size);
}

static void runs_never_allocate(void)
{
    for (int encoding = FM_DP_EXACT; encoding <= FM_DP_FAST; encoding++)
        for (unsigned threads = 1; threads <= 3; threads++) {
            fm_rng rng = fm_rng_system();
            fm_dp_sum *sum = NULL;
            fm_train_step *s;
            rig r;

            rig_open(&r, 700, 9, (fm_dp_encoding)encoding, true);
            const fm_train_step_input in = { .state = r.state, .rng = &rng };

            r.spec.sampling_rate = 0.8;
            atomic_store(&g_allocations, 0);
            s = rig_step(&r, threads);
            CU_ASSERT(atomic_load(&g_allocations) > 0); /* the counter counts */
            atomic_store(&g_allocations, 0);
            for (int i = 0; i < 5; i++)
                CU_ASSERT_EQUAL(fm_train_step_run(s, &in, &sum), FM_OK);
            CU_ASSERT_EQUAL(atomic_load(&g_allocations), 0);
            fm_train_step_free(&s);
            rig_close(&r);
        }
}

static void runs_on_texts_never_allocate(void)
{
    for (size_t k = 0; k < 5; k++) { /* the last two with a teacher */
        const text_rig_plan p = {
            4, 60, 3, .all = k >= 2, .tail = true, .encoding = k == 0 ? FM_DP_FAST : FM_DP_EXACT
        };
        fm_rng rng = fm_rng_system();
        fm_train_step_input in = { .rng = &rng };
        const fm_teaching teaching = { 0.5, 2.0, 8, k == 3 ? 0 : (size_t)1 << 28 };
        fm_dp_sum *sum = NULL;
        fm_teacher *teacher = NULL;
        fm_train_step *s;
        text_rig r;

        text_rig_open(&r, &p);
        r.spec.sampling_rate = 0.8;
        in.state = r.state;
        if (k >= 3) { /* itself: any model of the vocabulary will do */
            CU_ASSERT_EQUAL_FATAL(fm_teacher_new(r.d, &r.corpus, &teaching, &teacher), FM_OK);
            r.spec.learner = fm_learner_taught(r.d, &r.corpus, teacher);
        }
        s = text_rig_step(&r, 3);
        atomic_store(&g_allocations, 0);
        for (int i = 0; i < 3; i++)
            CU_ASSERT_EQUAL(fm_train_step_run(s, &in, &sum), FM_OK);
        CU_ASSERT_EQUAL(atomic_load(&g_allocations), 0);
        fm_train_step_free(&s);
        fm_teacher_free(&teacher);
        text_rig_close(&r);
    }
}

static const fm_test tests[] = {
    { "runs never allocate", runs_never_allocate },
    { "runs on texts never allocate", runs_on_texts_never_allocate },
};

const fm_test_suite suite_memory = { "train.memory", tests, FM_TEST_COUNT(tests) };
