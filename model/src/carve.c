#include "fedmoe/model/carve.h"

void *fm_carve(fm_carver *c, size_t rows, size_t columns, size_t size)
{
    size_t count;
    void *out = NULL;

    if (!c->st)
        c->st = fm_mul_size(rows, columns, &count);
    if (!c->st)
        c->st = c->arena ? fm_arena_take(c->arena, count, size, &out)
                         : fm_arena_plan(&c->total, count, size);
    return out;
}

float *fm_carve_floats(fm_carver *c, size_t rows, size_t columns)
{
    return fm_carve(c, rows, columns, sizeof(float));
}

fm_status fm_carve_all(fm_carve_list *list, void *object, fm_arena **out)
{
    fm_carver plan = { 0 }, take = { 0 };
    fm_status st;

    *out = NULL;
    list(&plan, object);
    if ((st = plan.st) || (st = fm_arena_new(plan.total, &take.arena)))
        return st;
    list(&take, object);
    if (take.st)
        fm_arena_free(&take.arena);
    *out = take.arena;
    return take.st;
}
