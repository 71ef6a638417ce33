/* Two ends that mean well, over loopback TCP. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/clock.h"
#include "link_world.h"
#include "samples.h"
#include "suites.h"

static const fm_link_limits g_fast = { .heartbeat_ms = 50, .peer_timeout_ms = 400 };
static const fm_link_limits g_default = { 0 };

static void keys_are_written_as_z85_and_read_back(void)
{
    uint8_t pk[32], sk[32], derived[32], back[32];
    char text[41];

    CU_ASSERT_EQUAL_FATAL(fm_curve_keypair(pk, sk), FM_OK);
    CU_ASSERT_EQUAL(fm_curve_public(sk, derived), FM_OK);
    CU_ASSERT_EQUAL(memcmp(pk, derived, 32), 0);
    fm_curve_text(pk, text);
    CU_ASSERT_EQUAL(strlen(text), 40);
    CU_ASSERT_EQUAL(fm_curve_parse(text, back), FM_OK);
    CU_ASSERT_EQUAL(memcmp(pk, back, 32), 0);
    CU_ASSERT_EQUAL(fm_curve_parse("", back), FM_EPARSE);
    text[39] = '\0';
    CU_ASSERT_EQUAL(fm_curve_parse(text, back), FM_EPARSE);
    text[39] = '"';
    CU_ASSERT_EQUAL(fm_curve_parse(text, back), FM_EPARSE);
    text[39] = '\x80';
    CU_ASSERT_EQUAL(fm_curve_parse(text, back), FM_EPARSE);
    memset(text, '#', 40); /* above 2^32 in each group */
    CU_ASSERT_EQUAL(fm_curve_parse(text, back), FM_EPARSE);
}

static void a_node_joins_with_its_verified_credential(void)
{
    fm_link_server *s = world_server(g_default);
    fm_link_client_config c = world_client_config(s, "riga");
    fm_link_client *l = NULL;
    world_events e = { .count = 0 };
    fm_link_event *joined;

    CU_ASSERT_EQUAL_FATAL(world_connect(s, &c, &l, &e, NULL), FM_OK);
    world_poll(s, world_event(&e, FM_LINK_JOINED) ? 1 : 2000, FM_LINK_JOINED, &e);
    joined = world_event(&e, FM_LINK_JOINED);
    CU_ASSERT_PTR_NOT_NULL_FATAL(joined);
    CU_ASSERT_STRING_EQUAL(joined->statement->name, "riga");
    CU_ASSERT_STRING_EQUAL(joined->statement->federation, "heart");
    CU_ASSERT_EQUAL(joined->statement->x25519_public[0], 9);
    CU_ASSERT_EQUAL(
        memcmp(joined->credential, fm_link_client_credential(l), sizeof *joined->credential), 0);
    CU_ASSERT_STRING_EQUAL(fm_peer_info(fm_link_client_server(l))->name, "aggregator");
    world_events_free(&e);
    fm_link_client_free(&l);
    fm_link_server_free(&s);
}

static void messages_go_both_ways_and_are_counted(void)
{
    fm_link_server *s = world_server(g_default);
    uint64_t peer;
    fm_link_client *l = world_join(s, "riga", &peer);
    world_events e = { .count = 0 };
    fm_link_event got;
    fm_buf b = { .len = 0 };
    uint64_t before = fm_link_server_peer_counters(s, peer).bytes_received;

    CU_ASSERT_EQUAL(fm_link_client_send(l, sample_message(FM_MSG_JOIN)), FM_OK);
    world_poll(s, 2000, FM_LINK_MESSAGE, &e);
    CU_ASSERT_PTR_NOT_NULL_FATAL(world_event(&e, FM_LINK_MESSAGE));
    CU_ASSERT_EQUAL(world_event(&e, FM_LINK_MESSAGE)->peer, peer);
    CU_ASSERT_EQUAL(world_event(&e, FM_LINK_MESSAGE)->message->type, FM_MSG_JOIN);
    CU_ASSERT_EQUAL(world_event(&e, FM_LINK_MESSAGE)->message->join.finished_round, 12);
    CU_ASSERT_EQUAL(fm_message_encode(sample_message(FM_MSG_JOIN), &b), FM_OK);
    CU_ASSERT_EQUAL(fm_link_server_peer_counters(s, peer).bytes_received, before + b.len);
    CU_ASSERT_TRUE(fm_link_client_counters(l).bytes_sent > b.len);
    CU_ASSERT_EQUAL(fm_link_server_send(s, peer, sample_message(FM_MSG_COMMITS)), FM_OK);
    got = world_client_event(l, s, 2000, NULL);
    CU_ASSERT_EQUAL_FATAL(got.kind, FM_LINK_MESSAGE);
    CU_ASSERT_EQUAL(got.message->commits.count, 4);
    CU_ASSERT_EQUAL(got.peer, 0);
    CU_ASSERT_TRUE(fm_link_client_counters(l).messages_received >= 2);
    CU_ASSERT_TRUE(fm_link_server_counters(s).messages_received >= 3);
    CU_ASSERT_EQUAL(fm_link_server_peer_counters(s, 999).bytes_sent, 0);
    fm_message_free(&got.message);
    world_events_free(&e);
    fm_buf_fini(&b);
    fm_link_client_free(&l);
    fm_link_server_free(&s);
}

static void a_message_past_the_limits_is_the_senders_error(void)
{
    fm_link_server *s = world_server(g_default);
    uint64_t peer;
    fm_link_client *l = world_join(s, "riga", &peer);
    fm_message m = *sample_message(FM_MSG_COMMIT);

    m.commit.round = 0;
    CU_ASSERT_EQUAL(fm_link_client_send(l, &m), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_link_server_send(s, peer, &m), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_link_server_send(s, 999, sample_message(FM_MSG_COMMIT)), FM_ENOTFOUND);
    fm_link_client_free(&l);
    fm_link_server_free(&s);
}

static void the_longest_messages_go_both_ways(void)
{
    static uint8_t piece[FM_MAX_PIECE_BYTES];
    fm_link_server *s = world_server(g_default);
    uint64_t peer;
    fm_link_client *l = world_join(s, "riga", &peer);
    fm_message m = *sample_message(FM_MSG_MODEL_PIECE);
    world_events e = { .count = 0 };
    fm_link_event got;

    piece[0] = 1;
    piece[sizeof piece - 1] = 2;
    m.model_piece.piece = (fm_bytes){ piece, sizeof piece };
    CU_ASSERT_EQUAL(fm_link_server_broadcast(s, &peer, 1, &m), FM_OK);
    got = world_client_event(l, s, 30000, NULL);
    CU_ASSERT_EQUAL_FATAL(got.kind, FM_LINK_MESSAGE);
    CU_ASSERT_EQUAL_FATAL(got.message->model_piece.piece.len, sizeof piece);
    CU_ASSERT_EQUAL(memcmp(got.message->model_piece.piece.data, piece, sizeof piece), 0);
    fm_message_free(&got.message);
    m = *sample_message(FM_MSG_UPDATE_PIECE);
    m.update_piece.round = UINT64_MAX;
    m.update_piece.at = (uint64_t)4 * FM_MAX_PARAMETERS - sizeof piece;
    m.update_piece.piece = (fm_bytes){ piece, sizeof piece };
    CU_ASSERT_EQUAL(fm_link_client_send(l, &m), FM_OK);
    world_poll(s, 30000, FM_LINK_MESSAGE, &e);
    CU_ASSERT_PTR_NOT_NULL_FATAL(world_event(&e, FM_LINK_MESSAGE));
    CU_ASSERT_EQUAL(world_event(&e, FM_LINK_MESSAGE)->message->update_piece.piece.len,
                    sizeof piece);
    world_events_free(&e);
    fm_link_client_free(&l);
    fm_link_server_free(&s);
}

static void a_second_session_of_the_same_name_replaces_the_first(void)
{
    fm_link_server *s = world_server(g_default);
    uint64_t first, second;
    fm_link_client *a = world_join(s, "riga", &first), *b = NULL;
    fm_link_client_config c = world_client_config(s, "riga");
    world_events e = { .count = 0 };
    fm_link_event got;

    CU_ASSERT_EQUAL_FATAL(world_connect(s, &c, &b, &e, NULL), FM_OK);
    if (!world_event(&e, FM_LINK_JOINED))
        world_poll(s, 2000, FM_LINK_JOINED, &e);
    CU_ASSERT_EQUAL_FATAL(e.count, 2);
    CU_ASSERT_EQUAL(e.list[0].kind, FM_LINK_GONE);
    CU_ASSERT_EQUAL(e.list[0].peer, first);
    CU_ASSERT_EQUAL(e.list[1].kind, FM_LINK_JOINED);
    second = e.list[1].peer;
    CU_ASSERT_NOT_EQUAL(first, second);
    got = world_client_event(a, s, 2000, NULL);
    CU_ASSERT_EQUAL(got.kind, FM_LINK_GONE);
    CU_ASSERT_PTR_NOT_NULL(strstr(got.reason, "replaced"));
    /* What the first still says reaches nobody. */
    CU_ASSERT_EQUAL(fm_link_client_send(a, sample_message(FM_MSG_JOIN)), FM_ENOTFOUND);
    CU_ASSERT_EQUAL(fm_link_server_send(s, first, sample_message(FM_MSG_COMMIT)), FM_ENOTFOUND);
    CU_ASSERT_EQUAL(fm_link_server_send(s, second, sample_message(FM_MSG_COMMIT)), FM_OK);
    fm_link_client_free(&a);
    fm_link_client_free(&b);
    fm_link_server_free(&s);
}

static void a_silent_peer_is_gone_after_the_timeout(void)
{
    fm_link_server *s = world_server(g_fast);
    uint64_t peer, start;
    fm_link_client *l = world_join(s, "riga", &peer); /* and is never polled */
    world_events e = { .count = 0 };

    start = fm_clock_now_ms();
    world_poll(s, 3000, FM_LINK_GONE, &e);
    CU_ASSERT_PTR_NOT_NULL_FATAL(world_event(&e, FM_LINK_GONE));
    CU_ASSERT_EQUAL(world_event(&e, FM_LINK_GONE)->peer, peer);
    CU_ASSERT_PTR_NOT_NULL(strstr(world_event(&e, FM_LINK_GONE)->reason, "silent"));
    CU_ASSERT_TRUE(fm_clock_now_ms() - start >= 300);
    fm_link_client_free(&l);
    fm_link_server_free(&s);
}

static void a_silent_server_is_gone_after_the_timeout(void)
{
    fm_link_server *s = world_server(g_default);
    fm_link_client_config c = world_client_config(s, "riga");
    fm_link_client *l = NULL;
    fm_link_event got;

    c.limits = g_fast;
    CU_ASSERT_EQUAL_FATAL(world_connect(s, &c, &l, NULL, NULL), FM_OK);
    got = world_client_event(l, NULL, 3000, NULL);
    CU_ASSERT_EQUAL(got.kind, FM_LINK_GONE);
    CU_ASSERT_PTR_NOT_NULL(strstr(got.reason, "silent"));
    got = world_client_event(l, NULL, 100, NULL);
    CU_ASSERT_EQUAL(got.kind, FM_LINK_GONE); /* stays so */
    fm_link_client_free(&l);
    fm_link_server_free(&s);
}

static void pings_keep_an_idle_session_alive(void)
{
    fm_link_server *s = world_server(g_fast);
    fm_link_client_config c = world_client_config(s, "riga");
    fm_link_client *l = NULL;
    world_events e = { .count = 0 };
    uint64_t end = fm_clock_now_ms() + 1500;

    c.limits = g_fast;
    CU_ASSERT_EQUAL_FATAL(world_connect(s, &c, &l, &e, NULL), FM_OK);
    while (fm_clock_now_ms() < end) {
        fm_link_event got = world_client_event(l, s, 10, &e);

        CU_ASSERT_EQUAL_FATAL(got.kind, FM_LINK_NONE);
    }
    CU_ASSERT_PTR_NULL(world_event(&e, FM_LINK_GONE));
    /* keepalive alone does it too, without reading */
    end = fm_clock_now_ms() + 1000;
    while (fm_clock_now_ms() < end) {
        fm_link_client_keepalive(l);
        world_poll(s, 20, FM_LINK_NONE, &e);
    }
    CU_ASSERT_PTR_NULL(world_event(&e, FM_LINK_GONE));
    world_events_free(&e);
    fm_link_client_free(&l);
    fm_link_server_free(&s);
}

static void a_pause_of_the_program_is_not_taken_for_silence(void)
{
    fm_link_server *s = world_server(g_fast);
    fm_link_client_config c = world_client_config(s, "riga");
    fm_link_client *l = NULL;
    world_events e = { .count = 0 };
    fm_link_event got;

    c.limits = g_fast;
    CU_ASSERT_EQUAL_FATAL(world_connect(s, &c, &l, &e, NULL), FM_OK);
    world_poll(s, 20, FM_LINK_NONE, &e);
    (void)zmq_poll(NULL, 0, 1000); /* both ends compute, longer than the timeout */
    got = world_client_event(l, s, 300, &e);
    CU_ASSERT_EQUAL(got.kind, FM_LINK_NONE);
    CU_ASSERT_PTR_NULL(world_event(&e, FM_LINK_GONE));
    world_events_free(&e);
    fm_link_client_free(&l);
    fm_link_server_free(&s);
}

static void a_node_that_leaves_is_gone_at_once(void)
{
    fm_link_server *s = world_server(g_default);
    uint64_t riga, oslo, start;
    fm_link_client *l = world_join(s, "riga", &riga), *stays = world_join(s, "oslo", &oslo);
    world_events e = { .count = 0 };

    fm_link_client_free(&l);
    start = fm_clock_now_ms();
    world_poll(s, 5000, FM_LINK_GONE, &e);
    CU_ASSERT_PTR_NOT_NULL_FATAL(world_event(&e, FM_LINK_GONE));
    CU_ASSERT_EQUAL(world_event(&e, FM_LINK_GONE)->peer, riga);
    CU_ASSERT_TRUE(fm_clock_now_ms() - start < 500); /* not the timeout's ten seconds */
    fm_link_client_free(&stays);
    fm_link_server_free(&s);
}

static void a_dropped_peer_hears_why(void)
{
    fm_link_server *s = world_server(g_default);
    uint64_t peer;
    fm_link_client *l = world_join(s, "riga", &peer);
    world_events e = { .count = 0 };
    fm_link_event got;

    fm_link_server_drop(s, peer, "you are no longer invited");
    fm_link_server_drop(s, peer, "twice is nothing");
    got = world_client_event(l, s, 2000, &e);
    CU_ASSERT_EQUAL(got.kind, FM_LINK_GONE);
    CU_ASSERT_STRING_EQUAL(got.reason, "you are no longer invited");
    CU_ASSERT_EQUAL(e.count, 0); /* no GONE event for one's own doing */
    fm_link_client_free(&l);
    fm_link_server_free(&s);
}

static void a_client_sees_the_server_end_and_joins_its_successor(void)
{
    fm_link_server *s = world_server(g_default);
    fm_link_client *l = world_join(s, "riga", NULL);
    fm_link_server_config c = world_server_config(g_default);
    char door[256];
    fm_link_event got;
    uint64_t start;

    strcpy(door, fm_link_server_door(s));
    fm_link_server_free(&s);
    start = fm_clock_now_ms();
    got = world_client_event(l, NULL, 5000, NULL);
    CU_ASSERT_EQUAL(got.kind, FM_LINK_GONE);
    CU_ASSERT_TRUE(fm_clock_now_ms() - start < 500);
    CU_ASSERT_EQUAL(fm_link_client_send(l, sample_message(FM_MSG_JOIN)), FM_ENOTFOUND);
    fm_link_client_free(&l);
    c.door = door;
    CU_ASSERT_EQUAL_FATAL(fm_link_server_new(&c, &s), FM_OK);
    l = world_join(s, "riga", NULL);
    fm_link_client_free(&l);
    fm_link_server_free(&s);
}

static void the_last_words_of_a_server_arrive(void)
{
    fm_link_server *s = world_server(g_default);
    uint64_t peer;
    fm_link_client *l = world_join(s, "riga", &peer);
    fm_link_event got;

    CU_ASSERT_EQUAL(fm_link_server_send(s, peer, sample_message(FM_MSG_FINISH)), FM_OK);
    fm_link_server_free(&s);
    got = world_client_event(l, NULL, 2000, NULL);
    CU_ASSERT_EQUAL_FATAL(got.kind, FM_LINK_MESSAGE);
    CU_ASSERT_EQUAL(got.message->type, FM_MSG_FINISH);
    fm_message_free(&got.message);
    got = world_client_event(l, NULL, 2000, NULL);
    CU_ASSERT_EQUAL(got.kind, FM_LINK_GONE);
    fm_link_client_free(&l);
}

static void one_broadcast_reaches_all_and_passes_over_the_gone(void)
{
    fm_link_server *s = world_server(g_default);
    uint64_t peers[3] = { 12345 };
    fm_link_client *a = world_join(s, "riga", &peers[1]), *b = world_join(s, "oslo", &peers[2]);
    fm_link_event got;

    CU_ASSERT_EQUAL(fm_link_server_broadcast(s, peers, 3, sample_message(FM_MSG_SURVIVORS)), FM_OK);
    got = world_client_event(a, s, 2000, NULL);
    CU_ASSERT_EQUAL(got.kind, FM_LINK_MESSAGE);
    fm_message_free(&got.message);
    got = world_client_event(b, s, 2000, NULL);
    CU_ASSERT_EQUAL(got.kind, FM_LINK_MESSAGE);
    fm_message_free(&got.message);
    fm_link_client_free(&a);
    fm_link_client_free(&b);
    fm_link_server_free(&s);
}

typedef struct {
    fm_link_client *client;
    const fm_message *answer;
    int messages;
} echo;

static void answer_all(void *arg)
{
    echo *e = arg;

    while (e->messages > 0) {
        fm_link_event got;

        if (fm_link_client_poll(e->client, 1000, &got) != FM_OK || got.kind == FM_LINK_GONE)
            break;
        if (got.kind != FM_LINK_MESSAGE)
            continue;
        if (fm_link_client_send(e->client, e->answer) != FM_OK)
            break;
        e->messages--;
        fm_message_free(&got.message);
    }
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* No poll interval and no sleep may stand in the way: a median far above the wakeups' cost. */
static void a_message_there_and_back_takes_no_fixed_time(void)
{
    fm_link_server *s = world_server(g_default);
    uint64_t peer, ns[301];
    fm_link_client *l = world_join(s, "riga", &peer);
    fm_message m = *sample_message(FM_MSG_COMMIT);
    echo e = { l, &m, 301 };
    void *thread = zmq_threadstart(answer_all, &e);

    for (int i = 0; i < 301; i++) {
        uint64_t start = fm_clock_now_ns();
        world_events got = { .count = 0 };

        CU_ASSERT_EQUAL(fm_link_server_send(s, peer, &m), FM_OK);
        world_poll(s, 2000, FM_LINK_MESSAGE, &got);
        CU_ASSERT_EQUAL(got.count, 1);
        ns[i] = fm_clock_now_ns() - start;
        world_events_free(&got);
    }
    zmq_threadclose(thread);
    qsort(ns, 301, sizeof ns[0], by_value);
    printf(" there and back: median %.0f us, 90%% %.0f us ", (double)ns[150] / 1e3,
           (double)ns[270] / 1e3);
    CU_ASSERT_TRUE(ns[150] < 20u * 1000 * 1000);
    fm_link_client_free(&l);
    fm_link_server_free(&s);
}

static void ipv6_addresses_work(void)
{
    fm_link_server_config c = world_server_config(g_default);
    fm_link_server *s = NULL;
    fm_link_client *l;

    c.door = "tcp://[::1]:*";
    if (fm_link_server_new(&c, &s) != FM_OK) {
        fm_test_skip("this machine has no IPv6 loopback");
        return;
    }
    l = world_join(s, "riga", NULL);
    fm_link_client_free(&l);
    fm_link_server_free(&s);
}

static void bad_arguments_are_refused(void)
{
    fm_link_server_config c = world_server_config(g_default);
    fm_link_client_config n = { 0 };
    fm_link_server *s = NULL;
    fm_link_client *l = NULL;

    CU_ASSERT_EQUAL(fm_link_client_connect(&n, &l), FM_EINVAL);
    c.limits.max_peers = FM_MAX_NODES + 1;
    CU_ASSERT_EQUAL(fm_link_server_new(&c, &s), FM_EINVAL);
    c.limits.max_peers = 0;
    c.door = "tcp://nowhere";
    CU_ASSERT_EQUAL(fm_link_server_new(&c, &s), FM_EIO);
    c.door = "tcp://127.0.0.1:*";
    c.identity = world_identity("riga"); /* a node cannot be the aggregator */
    CU_ASSERT_NOT_EQUAL(fm_link_server_new(&c, &s), FM_OK);
    CU_ASSERT_PTR_NULL(s);
    fm_link_server_free(&s);
    fm_link_client_free(&l);
}

static const fm_test tests[] = {
    { "keys are written as Z85 and read back", keys_are_written_as_z85_and_read_back },
    { "a node joins with its verified credential", a_node_joins_with_its_verified_credential },
    { "messages go both ways and are counted", messages_go_both_ways_and_are_counted },
    { "a message past the limits is the sender's error",
      a_message_past_the_limits_is_the_senders_error },
    { "the longest messages go both ways", the_longest_messages_go_both_ways },
    { "a second session of the same name replaces the first",
      a_second_session_of_the_same_name_replaces_the_first },
    { "a silent peer is gone after the timeout", a_silent_peer_is_gone_after_the_timeout },
    { "a silent server is gone after the timeout", a_silent_server_is_gone_after_the_timeout },
    { "pings keep an idle session alive", pings_keep_an_idle_session_alive },
    { "a pause of the program is not taken for silence",
      a_pause_of_the_program_is_not_taken_for_silence },
    { "a node that leaves is gone at once", a_node_that_leaves_is_gone_at_once },
    { "a dropped peer hears why", a_dropped_peer_hears_why },
    { "a client sees the server end and joins its successor",
      a_client_sees_the_server_end_and_joins_its_successor },
    { "the last words of a server arrive", the_last_words_of_a_server_arrive },
    { "one broadcast reaches all and passes over the gone",
      one_broadcast_reaches_all_and_passes_over_the_gone },
    { "a message there and back takes no fixed time",
      a_message_there_and_back_takes_no_fixed_time },
    { "IPv6 addresses work", ipv6_addresses_work },
    { "bad arguments are refused", bad_arguments_are_refused },
};

const fm_test_suite suite_link = { "link.session", tests, FM_TEST_COUNT(tests) };
