/* The way out: one message to one, to some of the roster, or fitted to what each knows. */
#include "round_internal.h"

static fm_status send_to_peers(fm_coordinator *m, uint32_t count, const fm_message *msg)
{
    return count ? m->c.ports.send(m->c.ports.ctx, m->peers, count, msg) : FM_OK;
}

fm_status fm_coord_send(fm_coordinator *m, const member *who, const fm_message *msg)
{
    m->peers[0] = who->peer;
    return send_to_peers(m, 1, msg);
}

fm_status fm_coord_send_all(fm_coordinator *m, const uint32_t *indices, uint32_t count,
                            const fm_message *msg)
{
    uint32_t here = 0;

    for (uint32_t i = 0; i < count; i++)
        if (m->roster_members[indices[i]])
            m->peers[here++] = m->roster_members[indices[i]]->peer;
    return send_to_peers(m, here, msg);
}

fm_status fm_coord_send_revocations(fm_coordinator *m, member *const *list, uint32_t count)
{
    const fm_succession s = fm_trust_succession(m->c.trust);
    fm_status st = FM_OK;

    for (size_t k = 0; st == FM_OK && k < fm_trust_list_count(m->c.trust); k++) {
        fm_message msg = { .type = FM_MSG_REVOCATIONS };
        fm_crl_view crl;

        fm_trust_list(m->c.trust, k, &crl);
        if (crl.len > FM_CRL_MAX_BYTES || crl.number == 0) {
            fm_coord_note(m, "a list in crl.pem is too long to be sent, or has no number: the "
                             "nodes keep theirs");
            continue;
        }
        msg.revocations.list = (fm_bytes){ crl.der, crl.len };
        msg.revocations.path = crl.path;
        if (crl.of_successor) {
            msg.revocations.successor.authority = (fm_bytes){ s.ca, s.ca_len };
            msg.revocations.successor.signature = (fm_bytes){ s.signature, s.signature_len };
        }
        for (uint32_t i = 0; i < count; i++)
            m->peers[i] = list[i]->peer;
        st = send_to_peers(m, count, &msg);
    }
    return st;
}

fm_status fm_coord_send_fitted(fm_coordinator *m, member *const *list, uint32_t count,
                               void (*fit)(fm_coordinator *m, const member *who, fm_message *msg),
                               fm_message *msg)
{
    fm_status st = FM_OK;

    for (uint32_t i = 0; i < count; i++)
        list[i]->told = false;
    for (uint32_t i = 0; st == FM_OK && i < count; i++) {
        uint32_t same = 0;

        if (list[i]->told)
            continue;
        for (uint32_t k = i; k < count; k++) {
            if (list[k]->told || list[k]->known_round != list[i]->known_round)
                continue;
            list[k]->told = true;
            m->peers[same++] = list[k]->peer;
        }
        fit(m, list[i], msg);
        st = send_to_peers(m, same, msg);
    }
    return st;
}
