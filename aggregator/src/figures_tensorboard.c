/*
 * TensorBoard's event file: records of length u64le | masked CRC-32C of it | data | masked CRC-32C of
 * the data; data is an Event of event.proto.
 * @source TFRecord format, https://www.tensorflow.org/tutorials/load_data/tfrecord
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event.pb-c.h"
#include "fedmoe/aggregator/directory.h"
#include "fedmoe/base/file.h"
#include "figures.h"

#define CASTAGNOLI 0x82f63b78u /* reflected */
#define FIGURES_MODE 0644
#define FOLDER_MODE 0755

static uint32_t masked_crc(const uint8_t *data, size_t len)
{
    uint32_t crc = ~0u;

    for (size_t i = 0; i < len; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (crc & 1u ? CASTAGNOLI : 0u);
    }
    crc = ~crc;
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

static fm_status put_record(fm_buf *out, const uint8_t *data, size_t len)
{
    uint8_t head[12], tail[4];
    fm_status st;

    fm_put_u64le(head, len);
    fm_put_u32le(head + 8, masked_crc(head, 8));
    fm_put_u32le(tail, masked_crc(data, len));
    if ((st = fm_buf_append(out, head, sizeof head)) != FM_OK ||
        (st = fm_buf_append(out, data, len)) != FM_OK)
        return st;
    return fm_buf_append(out, tail, sizeof tail);
}

static fm_status put_event(fm_buf *out, const Events__Event *e)
{
    uint8_t bytes[256];

    if (events__event__get_packed_size(e) > sizeof bytes)
        return fm_fail(FM_EINTERNAL, "an event is longer than %zu bytes", sizeof bytes);
    return put_record(out, bytes, events__event__pack(e, bytes));
}

static fm_status put_figure(fm_buf *out, const fm_figure *f)
{
    Events__Value value = EVENTS__VALUE__INIT, *values = &value;
    Events__Summary summary = EVENTS__SUMMARY__INIT;
    Events__Event e = EVENTS__EVENT__INIT;
    char tag[64];

    (void)snprintf(tag, sizeof tag, "%s", f->name);
    value.tag = tag;
    value.simple_value = (float)f->value;
    summary.n_value = 1;
    summary.value = &values;
    e.wall_time = (double)f->time_s;
    e.step = (int64_t)f->round;
    e.summary = &summary;
    return put_event(out, &e);
}

static fm_status put_all(fm_buf *out, const fm_figures *f)
{
    char version[] = "brain.Event:2";
    Events__Event first = EVENTS__EVENT__INIT;
    fm_status st;

    first.wall_time = (double)f->first_s;
    first.file_version = version;
    st = put_event(out, &first);
    for (size_t i = 0; st == FM_OK && i < f->count; i++)
        st = put_figure(out, &f->at[i]);
    return st;
}

/* One file a run, by the plan: the next export takes its place. */
static fm_status write_file(const char *to, const fm_figures *f)
{
    char hex[2 * FM_HASH_BYTES + 1], name[128], *path = NULL;
    fm_buf bytes = { 0 };
    fm_status st;

    fm_hash_hex(&f->plan, hex);
    (void)snprintf(name, sizeof name, "events.out.tfevents.%lld.fedmoe-%.16s",
                   (long long)f->first_s, hex);
    if ((st = put_all(&bytes, f)) == FM_OK && (st = fm_dir_make(to, FOLDER_MODE)) == FM_OK &&
        (st = fm_path_join(to, name, &path)) == FM_OK)
        st = fm_file_replace(path, bytes.data, bytes.len, FIGURES_MODE);
    free(path);
    fm_buf_fini(&bytes);
    return st;
}

fm_status fm_aggregator_export_tensorboard(const char *dir, const char *to, uint64_t *rounds)
{
    fm_figures f;
    fm_status st;

    if (!dir || !to || !rounds)
        return fm_fail(FM_EINVAL, "export: an argument is missing");
    if ((st = fm_figures_read(dir, &f)) == FM_OK && (st = write_file(to, &f)) == FM_OK)
        *rounds = f.finished;
    fm_figures_fini(&f);
    return st;
}
