/* Making the aggregator's directory: whole, or not at all. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "directory_internal.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/yaml.h"
#include "fedmoe/dp/accountant.h"
#include "fedmoe/optim/auc.h"
#include "fedmoe/optim/robust.h"
#include "fedmoe/proto/link/link.h"
#include "fedmoe/replay/replay.h"

#define SMALL_FILE_MAX ((size_t)1 << 20)
#define MODEL_FILE_MAX ((size_t)FM_MAX_PARAMETERS * 4 + FM_SAFETENSORS_MAX_HEADER)
#define PRIVATE_FILE 0600
#define PUBLIC_FILE 0644

/* ---- checks before anything is written ---- */

static fm_status check_empty(const char *dir)
{
    DIR *d = opendir(dir);
    bool empty = true;

    if (!d && errno == ENOENT)
        return FM_OK;
    if (!d)
        return fm_fail(errno == ENOTDIR ? FM_EEXIST : FM_EIO, "%s: %s", dir, strerror(errno));
    for (struct dirent *e; empty && (e = readdir(d));)
        empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
    (void)closedir(d);
    return empty ? FM_OK
                 : fm_fail(FM_EEXIST,
                           "%s is there already and is not empty; nothing was changed. A new run "
                           "needs a new directory",
                           dir);
}

/* The identity is an aggregator's of this federation, and its own CA would admit it now. */
static fm_status check_identity(const char *dir, const fm_plan *p)
{
    fm_identity *id = NULL;
    fm_trust *trust = NULL;
    fm_peer *self = NULL;
    const fm_cert_info *info;
    fm_status st;

    if ((st = fm_identity_load(dir, &id)) != FM_OK || (st = fm_trust_load(dir, &trust)) != FM_OK)
        goto done;
    info = fm_identity_info(id);
    if (info->role != FM_ROLE_AGGREGATOR)
        st = fm_fail(FM_EAUTH, "%s: '%s' is a %s, not an aggregator; fedmoe-certs issue makes one",
                     dir, info->name, fm_role_name(info->role));
    else if (strcmp(fm_trust_federation(trust), p->federation) != 0)
        st = fm_fail(FM_EAUTH, "%s: the CA is of the federation '%s', federation.yaml says '%s'",
                     dir, fm_trust_federation(trust), p->federation);
    else if ((st = fm_peer_verify_self(trust, id, FM_ROLE_AGGREGATOR, fm_clock_wall_s(), &self)) !=
             FM_OK)
        (void)fm_fail_context(st, "%s: ", dir);
done:
    fm_peer_free(&self);
    fm_trust_free(&trust);
    fm_identity_free(&id);
    return st;
}

/* ---- the files ---- */

static fm_status create(const char *dir, const char *name, const void *data, size_t len,
                        mode_t mode)
{
    char *path = NULL;
    fm_status st = fm_path_join(dir, name, &path);

    if (st == FM_OK)
        st = fm_file_create(path, data, len, mode);
    free(path);
    return st;
}

/* @param mode  PRIVATE_FILE also asks it of the original. */
static fm_status copy(const char *from, const char *dir, const char *name, size_t limit,
                      mode_t mode)
{
    fm_buf data = { 0 };
    fm_status st = mode == PRIVATE_FILE ? fm_file_read_private(from, limit, &data)
                                        : fm_file_read(from, limit, &data);

    if (st == FM_OK)
        st = create(dir, name, data.data, data.len, mode);
    fm_buf_fini(&data);
    return st;
}

static fm_status copy_from(const char *from_dir, const char *dir, const char *name, size_t limit,
                           mode_t mode)
{
    char *from = NULL;
    fm_status st = fm_path_join(from_dir, name, &from);

    if (st == FM_OK)
        st = copy(from, dir, name, limit, mode);
    free(from);
    return st;
}

/* A file that not every identity has. */
static fm_status copy_if_there(const char *from, const char *dir, const char *name, size_t limit,
                               mode_t mode)
{
    fm_status st = copy_from(from, dir, name, limit, mode);

    if (st != FM_ENOTFOUND)
        return st;
    fm_error_clear();
    return FM_OK;
}

/* The key is a file, or in a token that identity.uri names; fm_identity_load wants one of both. */
static fm_status copy_identity(const char *from, const char *dir)
{
    fm_status st;

    if ((st = copy_if_there(from, dir, "identity.key", SMALL_FILE_MAX, PRIVATE_FILE)) != FM_OK ||
        (st = copy_if_there(from, dir, "identity.uri", SMALL_FILE_MAX, PUBLIC_FILE)) != FM_OK ||
        (st = copy_from(from, dir, "identity.crt", SMALL_FILE_MAX, PUBLIC_FILE)) != FM_OK ||
        (st = copy_from(from, dir, "ca.crt", SMALL_FILE_MAX, PUBLIC_FILE)) != FM_OK ||
        (st = copy_if_there(from, dir, "federation", SMALL_FILE_MAX, PUBLIC_FILE)) != FM_OK)
        return st;
    return copy_if_there(from, dir, "crl.pem", (size_t)FM_BUF_DEFAULT_LIMIT, PUBLIC_FILE);
}

static fm_status make_door_key(const char *dir, char public_text[41])
{
    uint8_t public_key[FM_CURVE_KEY_BYTES], *secret = sodium_malloc(FM_CURVE_KEY_BYTES);
    char text[42];
    fm_status st;

    if (!secret)
        return fm_fail(FM_ENOMEM, "no guarded memory for the door key");
    if ((st = fm_curve_keypair(public_key, secret)) == FM_OK) {
        fm_curve_text(public_key, public_text);
        fm_curve_text(secret, text);
        text[40] = '\n';
        st = create(dir, "door.key", text, 41, PRIVATE_FILE);
    }
    sodium_memzero(text, sizeof text);
    sodium_free(secret);
    return st;
}

static fm_status write_plan(const char *dir, const fm_plan *p, fm_hash *hash)
{
    fm_buf buf = { 0 };
    fm_status st = fm_plan_encode(p, &buf);

    if (st == FM_OK && (st = create(dir, "plan.bin", buf.data, buf.len, PUBLIC_FILE)) == FM_OK)
        *hash = fm_plan_hash(buf.data, buf.len);
    fm_buf_fini(&buf);
    return st;
}

/* What federation.yaml names: the model, or the schema; the query. */
static fm_status copy_named(const fm_aggregator_config *c, const char *dir)
{
    const char *const names[] = { c->model_file, c->schema_file, c->query_file };
    fm_status st = FM_OK;

    for (size_t i = 0; st == FM_OK && i < sizeof names / sizeof names[0]; i++)
        if (names[i])
            st = copy_from(c->dir, dir, names[i], MODEL_FILE_MAX, PUBLIC_FILE);
    return st;
}

static fm_status fill(const char *dir, const fm_aggregator_init_options *o,
                      const fm_aggregator_config *c, fm_aggregator_init_report *out)
{
    fm_status st;

    if ((st = copy(o->config, dir, "federation.yaml", FM_YAML_MAX_BYTES, PUBLIC_FILE)) != FM_OK ||
        (st = copy_named(c, dir)) != FM_OK || (st = copy_identity(o->identity, dir)) != FM_OK ||
        (st = make_door_key(dir, out->door_key)) != FM_OK ||
        (c->plan.task == FM_TASK_TRAINING && (st = fm_directory_put_policy(c->dir, dir)) != FM_OK))
        return st;
    return write_plan(dir, &c->plan, &out->plan);
}

/* ---- under another name, then renamed ---- */

static void remove_all(const char *dir)
{
    DIR *d = opendir(dir);

    if (!d)
        return;
    for (struct dirent *e; (e = readdir(d));)
        (void)unlinkat(dirfd(d), e->d_name, 0); /* plain files only; "." and ".." refuse */
    (void)closedir(d);
    (void)rmdir(dir);
}

static fm_status sync_parent(const char *dir)
{
    char *parent = NULL;
    int fd = -1;
    fm_status st = fm_path_dir(dir, &parent);

    if (st == FM_OK && ((fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 ||
                        (fsync(fd) != 0 && errno != EINVAL)))
        st = fm_fail(FM_EIO, "%s: cannot be synced: %s", parent, strerror(errno));
    if (fd >= 0)
        (void)close(fd);
    free(parent);
    return st;
}

/* "DIR" without slashes at its end; its parent is made. */
static fm_status clean_path(const char *dir, char **out)
{
    char *clean = NULL, *parent = NULL;
    fm_status st = fm_strdup(dir, &clean);

    for (size_t len = clean ? strlen(clean) : 0; len > 1 && clean[len - 1] == '/'; len--)
        clean[len - 1] = '\0';
    if (st == FM_OK && (st = fm_path_dir(clean, &parent)) == FM_OK)
        st = fm_dir_make(parent, 0755);
    free(parent);
    if (st == FM_OK)
        *out = clean;
    else
        free(clean);
    return st;
}

static fm_status make_directory(const char *dir, const fm_aggregator_init_options *o,
                                const fm_aggregator_config *c, fm_aggregator_init_report *out)
{
    char *temp = NULL;
    fm_status st;

    if (asprintf(&temp, "%s.XXXXXX", dir) < 0)
        return fm_fail(FM_ENOMEM, "no memory for a temporary name of %s", dir);
    if (!mkdtemp(temp)) { /* mode 0700 */
        st = fm_fail(FM_EIO, "%s: cannot be made: %s", temp, strerror(errno));
        free(temp);
        return st;
    }
    if ((st = fill(temp, o, c, out)) == FM_OK && rename(temp, dir) != 0)
        st = errno == ENOTEMPTY || errno == EEXIST
                 ? fm_fail(FM_EEXIST, "%s is there already", dir)
                 : fm_fail(FM_EIO, "%s: cannot be made: %s", dir, strerror(errno));
    if (st == FM_OK)
        st = sync_parent(dir);
    else
        remove_all(temp);
    free(temp);
    return st;
}

/* A vote of the largest loss and one of none are two clip norms apart; or, where the scores have half of
 * the bound's square, the root of two. */
static double held_noise(const fm_plan *p)
{
    const double votes = p->held_share * p->sampling_rate * p->expected_units;
    const double most = p->clip_norm / (p->held_bins > 0 ? sqrt(2.0) : 1.0);

    return p->patience == 0 ? 0.0 : fm_replay_noise(p) / (2.0 * most * votes) / sqrt(p->patience);
}

/* Of a window's AUC, with this share of the units in one of the classes. */
static double auc_noise(const fm_plan *p, double share)
{
    const double units = p->held_share * p->sampling_rate * p->expected_units;
    const double of_class[2] = { units * (1.0 - share), units * share };
    const double vote = p->clip_norm / sqrt(2.0);

    return p->held_bins == 0
               ? 0.0
               : fm_auc_expected_deviation(
                     p->held_bins, fm_replay_most_noise(p) / vote / sqrt(p->patience), of_class);
}

static fm_status report(const fm_aggregator_config *c, fm_aggregator_init_report *out)
{
    const fm_plan *p = &c->plan;
    const fm_dp_graph graph = fm_replay_graph(p);
    const fm_dp_mechanism m = fm_replay_mechanism(p, p->rounds);

    memcpy(out->federation, p->federation, sizeof out->federation);
    (void)snprintf(out->door, sizeof out->door, "%s", c->door);
    out->noise_multiplier = p->noise_multiplier;
    out->delta = p->delta;
    out->expected_units = p->expected_units;
    out->rounds = p->rounds;
    out->parameters = p->parameters;
    out->update_words = fm_plan_update_words(p);
    out->word_bits = p->word_bits;
    out->max_nodes = p->max_nodes;
    out->mask_density = p->mask_density;
    out->groups = p->robust_groups;
    out->group_quorum = p->robust_quorum;
    out->mean = p->robust_mean;
    out->noise_times = p->robust_groups > 0 && p->noise != FM_NOISE_LOCAL
                           ? fm_robust_noise((fm_robust_rule)p->robust_mean, p->robust_groups)
                           : 1.0;
    out->held_noise = held_noise(p);
    out->auc_noise[0] = auc_noise(p, 0.5);
    out->auc_noise[1] = auc_noise(p, 0.1);
    out->held = fm_dp_graph_colluders(&graph);
    out->honest = p->quorum - fm_dp_graph_coalition(&graph);
    out->log2_apart = fm_dp_graph_log2_failure(p->max_nodes, out->honest, p->mask_density);
    if (p->task == FM_TASK_TRAINING) {
        out->training = *p;
        out->training.model_text = out->training.schema_text = out->training.query_text = NULL;
        out->chosen = c->chosen;
    }
    out->epsilon = INFINITY;
    return p->noise_multiplier > 0.0 ? fm_dp_epsilon(&m, 1, p->delta, &out->epsilon) : FM_OK;
}

fm_status fm_aggregator_init(const fm_aggregator_init_options *o, fm_aggregator_init_report *out)
{
    fm_aggregator_init_report r = { 0 };
    fm_aggregator_config c = { 0 };
    char *dir = NULL;
    fm_status st;

    if (!o || !o->dir || !*o->dir || !o->config || !o->identity || !out)
        return fm_fail(FM_EINVAL, "init: an argument is missing");
    if ((st = check_empty(o->dir)) != FM_OK ||
        (st = fm_aggregator_config_load(o->config, &c)) != FM_OK ||
        (st = check_identity(o->identity, &c.plan)) != FM_OK || (st = report(&c, &r)) != FM_OK ||
        (st = clean_path(o->dir, &dir)) != FM_OK || (st = make_directory(dir, o, &c, &r)) != FM_OK)
        goto done;
    *out = r;
done:
    free(dir);
    fm_aggregator_config_fini(&c);
    return st;
}
