#include "samples.h"

#include <string.h>

static fm_credential g_credentials[3];
static fm_transcript_entry g_entries[2];
static uint8_t g_model[32], g_signature[64], g_masked[24], g_plan[40];
static const uint32_t g_indices[] = { 0, 3, 200, 1023 };
static fm_hash g_hashes[4];
static fm_bytes g_signatures[4];
static uint8_t g_seeds[4][FM_SEED_BYTES], g_surplus[3][FM_SEED_BYTES];

fm_hash sample_hash(uint8_t first)
{
    fm_hash h;

    for (int i = 0; i < FM_HASH_BYTES; i++)
        h.bytes[i] = (uint8_t)(first + i);
    return h;
}

static void fill(uint8_t *p, size_t len, unsigned first)
{
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)(first + 7 * i);
}

static void fill_shared(void)
{
    for (unsigned i = 0; i < 3; i++) {
        fm_credential *c = &g_credentials[i];

        memset(c, 0, sizeof *c);
        c->cert_len = 50 + i;
        c->statement_len = 20 + i;
        c->signature_len = 64;
        fill(c->cert, c->cert_len, i + 1);
        fill(c->statement, c->statement_len, i + 2);
        fill(c->signature, c->signature_len, i + 3);
    }
    for (unsigned i = 0; i < 2; i++)
        g_entries[i] = (fm_transcript_entry){ 3 + i, sample_hash((uint8_t)(40 + i)),
                                              sample_hash((uint8_t)(50 + i)) };
    fill(g_model, sizeof g_model, 5);
    fill(g_signature, sizeof g_signature, 9);
    fill(g_masked, sizeof g_masked, 11);
    fill(g_plan, sizeof g_plan, 13);
    for (unsigned i = 0; i < 4; i++) {
        g_hashes[i] = sample_hash((uint8_t)(60 + i));
        g_signatures[i] = (fm_bytes){ g_signature, 64 - i };
        fill(g_seeds[i], FM_SEED_BYTES, 70 + i);
    }
    for (unsigned i = 0; i < 3; i++)
        fill(g_surplus[i], FM_SEED_BYTES, 30 + i);
}

static void fill_session(fm_message *m)
{
    fm_bytes sig = { g_signature, sizeof g_signature };

    switch (m->type) {
    case FM_MSG_JOIN:
        m->join = (fm_msg_join){ 12, sample_hash(1) };
        break;
    case FM_MSG_PLAN_OFFER:
        m->plan_offer.plan = (fm_bytes){ g_plan, sizeof g_plan };
        m->plan_offer.mark = (fm_ledger_mark){ 6, sample_hash(10), sig };
        break;
    case FM_MSG_PLAN_ANSWER:
        m->plan_answer = (fm_msg_plan_answer){ sample_hash(2), true, "zu teuer: \xc3\xa9psilon" };
        break;
    case FM_MSG_ROSTER:
        fill(m->roster.session.bytes, FM_SESSION_BYTES, 80);
        m->roster.members = g_credentials;
        m->roster.count = 3;
        break;
    case FM_MSG_ROSTER_ANSWER:
        m->roster_answer.roster_hash = sample_hash(3);
        break;
    case FM_MSG_FINISH:
        m->finish = (fm_msg_finish){ 9, sample_hash(4), sample_hash(5), g_entries, 2, sig };
        break;
    case FM_MSG_MODEL_WANT:
        m->model_want = (fm_msg_model_want){ sample_hash(8), 20 };
        break;
    case FM_MSG_MODEL_PIECE:
        m->model_piece = (fm_msg_model_piece){ sample_hash(8), 20, { g_model, sizeof g_model } };
        break;
    case FM_MSG_UPDATE_PIECE:
        m->update_piece = (fm_msg_update_piece){ 7, 40, { g_masked, sizeof g_masked } };
        break;
    case FM_MSG_UPDATE_WANT:
        m->update_want = (fm_msg_update_want){ 7, 64 };
        break;
    default:
        break;
    }
}

static void fill_round(fm_message *m)
{
    fm_bytes sig = { g_signature, sizeof g_signature };

    switch (m->type) {
    case FM_MSG_ROUND_START:
        m->round_start = (fm_msg_round_start){
            .round = 7,
            .roster_hash = sample_hash(6),
            .plan_hash = sample_hash(7),
            .model_hash = sample_hash(8),
            .participants = g_indices,
            .participant_count = 4,
            .head = sample_hash(9),
            .entries = g_entries,
            .entry_count = 2,
            .signature = sig,
        };
        fill(m->round_start.session.bytes, FM_SESSION_BYTES, 81);
        break;
    case FM_MSG_MASKED_UPDATE:
        m->masked_update = (fm_msg_masked_update){ 7, sig };
        break;
    case FM_MSG_SURVIVORS:
        m->survivors = (fm_msg_survivors){ 7, g_indices, g_hashes, g_signatures, 4 };
        break;
    case FM_MSG_COMMIT:
        m->commit = (fm_msg_commit){ 7, sig };
        break;
    case FM_MSG_COMMITS:
        m->commits = (fm_msg_commits){ 7, g_signatures, 4 };
        break;
    case FM_MSG_RELEASE:
        m->release = (fm_msg_release){ .round = 7,
                                       .lost = g_indices,
                                       .lost_count = 4,
                                       .pair_seeds = (const uint8_t(*)[FM_SEED_BYTES])g_seeds,
                                       .surplus_seeds = (const uint8_t(*)[FM_SEED_BYTES])g_surplus,
                                       .surplus_count = 3,
                                       .ledger_head = sample_hash(11),
                                       .ledger_signature = sig };
        fill(m->release.self_seed, FM_SEED_BYTES, 90);
        break;
    case FM_MSG_ABANDON:
        m->abandon = (fm_msg_abandon){ 7, "node riga is lost", true };
        break;
    default:
        break;
    }
}

static void fill_door(fm_message *m)
{
    switch (m->type) {
    case FM_MSG_HELLO:
        m->hello = (fm_msg_hello){ FM_PROTO_VERSION, g_credentials[0] };
        break;
    case FM_MSG_WELCOME:
        m->welcome = (fm_msg_welcome){ FM_PROTO_VERSION, g_credentials[1], g_signatures[1] };
        break;
    case FM_MSG_REFUSAL:
        m->refusal = (fm_msg_refusal){ "the certificate has expired" };
        break;
    case FM_MSG_PING:
        m->ping = (fm_msg_ping){ 0x0102030405060708u };
        break;
    default:
        break;
    }
}

static void fill_enrolment(fm_message *m)
{
    const fm_bytes a = { g_plan, sizeof g_plan }, b = { g_masked, sizeof g_masked };

    switch (m->type) {
    case FM_MSG_ENROL:
        m->enrol = (fm_msg_enrol){ .version = FM_PROTO_VERSION, .request = a };
        fill(m->enrol.invitation, sizeof m->enrol.invitation, 15);
        fill(m->enrol.proof, sizeof m->enrol.proof, 17);
        break;
    case FM_MSG_ENROLLED:
        m->enrolled = (fm_msg_enrolled){ .certificate = a,
                                         .authority = b,
                                         .revocations = { g_model, sizeof g_model } };
        break;
    case FM_MSG_RENEW:
        m->renew = (fm_msg_renew){ FM_PROTO_VERSION, g_credentials[2], a };
        break;
    case FM_MSG_REVOCATIONS:
        m->revocations = (fm_msg_revocations){ .list = b };
        break;
    default:
        break;
    }
}

const fm_message *sample_message(fm_msg_type t)
{
    static fm_message m;

    fill_shared();
    memset(&m, 0, sizeof m);
    m.type = t;
    fill_door(&m);
    fill_enrolment(&m);
    fill_session(&m);
    fill_round(&m);
    return &m;
}

fm_plan sample_plan(void)
{
    static char model[] = "kind: tabular-moe\nlayers: 2\n";
    static char schema[] = "columns:\n\t- name: age\r\n";

    return (fm_plan){
        .federation = "heart-2026",
        .purpose = "training: heart disease",
        .privacy_unit = "record",
        .max_unit_rows = 1,
        .task = FM_TASK_TRAINING,
        .noise = FM_NOISE_DISTRIBUTED,
        .epsilon = 4.0,
        .delta = 1e-5,
        .clip_norm = 1.0,
        .sampling_rate = 0.05,
        .noise_multiplier = 1.1,
        .rounds = 200,
        .max_units = 4096,
        .expected_units = 1024.5,
        .min_cohort = 3,
        .quorum = 4,
        .colluders = 1,
        .max_nodes = 5,
        .word_bits = 32,
        .mask_density = 256,
        .parameters = 12345,
        .model_text = model,
        .schema_text = schema,
        .initial_model = sample_hash(100),
        .optimizer = FM_OPTIMIZER_ADAM,
        .learning_rate = 1e-3,
        .momentum = 0.9,
        .beta2 = 0.999,
        .averaging = 0.99,
        .adam_epsilon = 1e-3,
        .encoding = FM_ENCODING_EXACT,
        .schedule = FM_SCHEDULE_CONSTANT,
        .run = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 },
    };
}

fm_plan sample_fast_plan(void)
{
    fm_plan p = sample_plan();

    p.encoding = FM_ENCODING_FAST;
    p.schedule = FM_SCHEDULE_COSINE;
    p.warmup = 0.05;
    p.final_rate = 0.1;
    p.load_groups = 2;
    p.load_experts = 8;
    p.load_share = 0.1;
    p.balance_rate = 0.01;
    p.clip_quantile = 0.5;
    p.clip_rate = 0.2;
    p.clip_share = 0.05;
    p.start_center = 11000;
    p.start_count = 300;
    p.start_bias = 40;
    p.start_scale = 0.3;
    return p;
}

fm_entry sample_entry(void)
{
    static const uint32_t participants[] = { 0, 2, 5 };
    static fm_hash updates[2];
    static uint8_t bytes[4][FM_SIGNATURE_MAX], certificate[40];
    static fm_bytes update_signatures[2], commit_signatures[2];

    fill(certificate, sizeof certificate, 17);
    for (unsigned i = 0; i < 2; i++) {
        updates[i] = sample_hash((uint8_t)(10 + i));
        fill(bytes[i], 64, 19 + i);
        fill(bytes[2 + i], 64, 23 + i);
        update_signatures[i] = (fm_bytes){ bytes[i], 64 - i };
        commit_signatures[i] = (fm_bytes){ bytes[2 + i], 64 - i };
    }
    return (fm_entry){
        .round = 7,
        .finished_s = 1767225600,
        .session = { { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 } },
        .roster = sample_hash(1),
        .plan = sample_hash(2),
        .model_before = sample_hash(3),
        .head_before = sample_hash(4),
        .model_after = sample_hash(5),
        .participants = participants,
        .participant_count = 3,
        .survivors = participants,
        .updates = updates,
        .update_signatures = update_signatures,
        .commit_signatures = commit_signatures,
        .survivor_count = 2,
        .certificate = { certificate, sizeof certificate },
        .signature = { bytes[0], 64 },
    };
}

fm_status sample_entry_bytes(fm_buf *out)
{
    const fm_entry e = sample_entry();
    fm_status st = fm_entry_encode_body(&e, out);

    return st == FM_OK ? fm_entry_encode_signature(e.signature, out) : st;
}

fm_bundle_seal sample_seal(void)
{
    const fm_entry e = sample_entry();

    return (fm_bundle_seal){ .entries = 1,
                             .head = sample_hash(6),
                             .made_s = 1767229200,
                             .certificate = e.certificate,
                             .signature = e.signature };
}
