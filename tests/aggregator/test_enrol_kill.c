/*
 * kill -9 at every call of an enrolment that changes a file: a traced child answers one request,
 * and is killed before its k-th such call, for every k there is. Whatever it had done by then, the
 * key that used the code gets one certificate, and another key none.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "enrol_desk.h"
#include "suites.h"

/* As the kernel has it; not every libc's header does, or one that clashes with its own. */
#define GET_SYSCALL_INFO 0x420e
typedef struct {
    uint8_t op; /* 1: entry */
    uint8_t pad[3];
    uint32_t arch;
    uint64_t instruction, stack, number, args[6];
    uint64_t more[8];
} syscall_info;

/* Answers one request. Never returns. */
static void work(const desk *d, const fm_buf *r)
{
    fm_enroller *e = NULL;
    fm_msg_enrolled out;
    const fm_msg_enrol m = desk_message(d, r);

    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0 || raise(SIGSTOP) != 0)
        _exit(9);
    if (fm_enroller_new(d->agg, d->ca, &e) != FM_OK ||
        fm_enroller_take(e, &m, d->now_s, &out) != FM_OK)
        _exit(1);
    _exit(0);
}

static bool changes_a_file(const syscall_info *i)
{
    static const long calls[] = { SYS_write,   SYS_pwrite64, SYS_fsync,     SYS_fdatasync,
                                  SYS_rename,  SYS_unlink,   SYS_renameat2, SYS_unlinkat,
                                  SYS_mkdir,   SYS_link,     SYS_linkat,    SYS_ftruncate,
                                  SYS_renameat };

    for (size_t k = 0; i->op == 1 && k < sizeof calls / sizeof calls[0]; k++)
        if ((long)i->number == calls[k])
            return true;
    return false;
}

/* @return whether the child was killed before its k-th call; else it has ended, and well. */
static bool kill_at(pid_t child, unsigned k)
{
    unsigned seen = 0;
    int status = 0;

    need(waitpid(child, &status, 0) == child && WIFSTOPPED(status), "a stopped child");
    need(ptrace(PTRACE_SETOPTIONS, child, NULL,
                (void *)(uintptr_t)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)) == 0,
         "tracing");
    for (;;) {
        syscall_info info = { .op = 0 };

        need(ptrace(PTRACE_SYSCALL, child, NULL, NULL) == 0 && waitpid(child, &status, 0) == child,
             "tracing");
        if (WIFEXITED(status)) {
            CU_ASSERT_EQUAL(WEXITSTATUS(status), 0);
            return false;
        }
        if (!WIFSTOPPED(status) || WSTOPSIG(status) != (SIGTRAP | 0x80))
            continue;
        need(ptrace(GET_SYSCALL_INFO, child, (void *)sizeof info, &info) > 0, "a call's number");
        if (!changes_a_file(&info) || ++seen < k)
            continue;
        need(kill(child, SIGKILL) == 0 && waitpid(child, &status, 0) == child, "a kill");
        return true;
    }
}

/* How far it had come. */
typedef enum { UNTOUCHED, BOUND, SIGNED, NOTED, STATES } state;

static fm_status look(void *ctx, const uint8_t key[FM_INVITATION_KEY_BYTES], const fm_invited *i)
{
    (void)key;
    *(fm_invited *)ctx = *i;
    return FM_OK;
}

static state state_of(const desk *d)
{
    fm_invitations *s = NULL;
    fm_invited i = { .bound = false };

    need(fm_invitations_open(d->agg, false, &s) == FM_OK &&
             fm_invitations_each(s, look, &i) == FM_OK,
         "the store after a kill");
    fm_invitations_close(&s);
    if (i.issued)
        return NOTED;
    if (desk_issued(d, "alpha") > 0)
        return SIGNED;
    return i.bound ? BOUND : UNTOUCHED;
}

static void killed_anywhere_one_key_gets_one_certificate(void)
{
    unsigned came[STATES] = { 0 };
    bool killed = true;

    for (unsigned k = 1; killed; k++) {
        fm_msg_enrolled out;
        fm_buf r, thief;
        pid_t pid;
        desk d;

        desk_make(&d, true);
        r = desk_request(&d, "alpha", "heart", "alpha");
        thief = desk_request(&d, "thief", "heart", "alpha");
        fm_enroller_free(&d.e);
        if ((pid = fork()) == 0)
            work(&d, &r);
        need(pid > 0, "fork");
        killed = kill_at(pid, k);
        came[state_of(&d)]++;
        desk_open(&d, true);
        CU_ASSERT_EQUAL(desk_take(&d, &r, &out), FM_OK);
        CU_ASSERT_TRUE(out.certificate.len > 0);
        CU_ASSERT_EQUAL(desk_issued(&d, "alpha"), 1);
        desk_refused(&d, &thief, "used already, with another key");
        CU_ASSERT_EQUAL(desk_issued(&d, "alpha"), 1);
        fm_buf_fini(&r);
        fm_buf_fini(&thief);
        desk_end(&d);
    }
    for (state i = UNTOUCHED; i < STATES; i++)
        CU_ASSERT_TRUE(came[i] > 0); /* else what is between was not tried */
}

/* Without a kill: the CA has signed, the store not noted. */
static void what_the_ca_signed_before_a_kill_is_answered(void)
{
    uint8_t key[FM_INVITATION_KEY_BYTES];
    fm_msg_enrolled out;
    fm_invitations *s = NULL;
    fm_request_info info;
    fm_buf r, cert;
    desk d;

    desk_make(&d, true);
    r = desk_request(&d, "alpha", "heart", "alpha");
    need(fm_request_check(r.data, r.len, &info) == FM_OK &&
             fm_enrol_public(d.token, key) == FM_OK &&
             fm_invitations_open(d.agg, false, &s) == FM_OK &&
             fm_invitations_bind(s, key, &info.key, r.data, r.len) == FM_OK &&
             fm_ca_sign_request(d.ca, r.data, r.len, 30, &cert) == FM_OK,
         "half of an enrolment");
    CU_ASSERT_EQUAL(fm_invitations_bind(s, key, &info.key, r.data, r.len), FM_EEXIST);
    fm_invitations_close(&s);
    CU_ASSERT_EQUAL_FATAL(desk_take(&d, &r, &out), FM_OK);
    CU_ASSERT_TRUE(desk_same(out.certificate, &cert));
    CU_ASSERT_EQUAL(desk_issued(&d, "alpha"), 1);
    fm_buf_fini(&cert);
    fm_buf_fini(&r);
    desk_end(&d);
}

static const fm_test tests[] = {
    { "killed anywhere, one key gets one certificate",
      killed_anywhere_one_key_gets_one_certificate },
    { "what the CA signed before a kill is answered",
      what_the_ca_signed_before_a_kill_is_answered },
};
const fm_test_suite suite_enrol_kill = { "aggregator.enrol_kill", tests, FM_TEST_COUNT(tests) };
