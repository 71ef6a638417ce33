/* Who is a member of this run: whoever has been let in since its start, by a certificate that still
 * counts. */
#include <stdlib.h>

#include "fedmoe/base/clock.h"
#include "run_internal.h"

static void forget(run_member *m)
{
    fm_credential_pack_free(&m->credential);
    m->admission = 0;
}

fm_status fm_run_admit(fm_run *r, run_member *m, const fm_credential *credential)
{
    fm_packed_credential *fresh = NULL;
    const fm_status st = fm_credential_pack(credential, &fresh);

    if (st != FM_OK)
        return st;
    if (!m->credential)
        m->admission = ++r->admissions;
    fm_credential_pack_free(&m->credential);
    m->credential = fresh;
    return FM_OK;
}

void fm_run_judge_members(fm_run *r)
{
    for (size_t i = 0; i < r->member_count; i++) {
        run_member *m = &r->members[i];
        fm_credential credential;
        fm_peer *peer = NULL;

        if (!m->credential)
            continue;
        fm_credential_unpack(m->credential, &credential);
        if (fm_credential_peer(r->trust, &credential, FM_ROLE_NODE, fm_clock_wall_s(), &peer) ==
            FM_EAUTH)
            forget(m);
        fm_peer_free(&peer);
    }
}

void fm_run_members_fini(fm_run *r)
{
    for (size_t i = 0; i < r->member_count; i++)
        forget(&r->members[i]);
    free(r->members);
    r->members = NULL;
    r->member_count = 0;
}
