/* The next certificate before this one ends, while the process goes on. */
#include "fedmoe/base/clock.h"
#include "fedmoe/base/log.h"
#include "fedmoe/certs/succession.h"
#include "run_internal.h"

#define AGAIN_MS ((uint64_t)3600 * 1000)

static fm_status ask(const fm_node_driver *d, const fm_buf *request)
{
    const fm_link_client_config c = {
        .door = d->config.door,
        .door_public = d->config.door_public,
        .identity = d->identity,
        .trust = d->trust,
        .x25519_public = fm_dp_keypair_public(d->keypair),
    };
    fm_message *m = NULL;
    fm_status st = fm_link_renew(&c, (fm_bytes){ request->data, request->len }, &m);

    if (st == FM_OK)
        st = fm_identity_renew(d->config.identity_dir, d->identity, d->trust,
                               m->enrolled.certificate.data, m->enrolled.certificate.len,
                               fm_clock_wall_s());
    fm_message_free(&m);
    return st;
}

static bool is_time(const fm_node_driver *d)
{
    fm_node_phase phase = fm_node_round_phase(d->machine);

    return !d->renewed &&
           (fm_cert_is_due(fm_identity_info(d->identity), fm_clock_wall_s()) ||
            fm_trust_is_superseded(d->trust, d->identity)) &&
           fm_clock_now_ms() >= d->renew_after_ms &&
           (phase == FM_NODE_WAIT_ROSTER || phase == FM_NODE_WAIT_START);
}

void fm_node_driver_renew(fm_node_driver *d)
{
    char end[32];
    fm_buf request = { 0 };
    fm_status st;

    if (!is_time(d))
        return;
    d->renew_after_ms = fm_clock_now_ms() + AGAIN_MS;
    if ((st = fm_identity_request(d->identity, &request)) == FM_OK)
        st = ask(d, &request);
    fm_buf_fini(&request);
    fm_clock_format(fm_identity_info(d->identity)->not_after_s, end, sizeof end);
    if (st != FM_OK) {
        fm_log(FM_LOG_WARN, "this node's certificate ends on %s and is not renewed yet: %s", end,
               fm_error_text());
        return;
    }
    d->renewed = true;
    fm_log(FM_LOG_INFO, "this node's certificate, which ends on %s, was renewed", end);
}

fm_status fm_node_driver_use_renewed(fm_node_driver *d)
{
    fm_identity *fresh = NULL;
    fm_status st;

    if (!d->renewed)
        return FM_OK;
    if ((st = fm_identity_load(d->config.identity_dir, &fresh)) != FM_OK)
        return st;
    fm_identity_free(&d->identity);
    d->identity = fresh;
    d->renewed = false;
    d->renew_after_ms = 0;
    return FM_OK;
}
