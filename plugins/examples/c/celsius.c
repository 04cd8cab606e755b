// The example in C: tells each temperature in degrees Celsius as well, marks those above a limit, and refuses what is no number.
// ../rust and ../javascript do the same, under one and the same test; what is in ../python no hub runs.
//
// `filter.h` is what `wit-bindgen c` makes of the contract. What is given to a function is freed by it; what is given back, the
// hub frees. An allocation that fails ends the plugin (runtime/runtime.c), so nothing here asks.

#include <stdlib.h>
#include <string.h>

#include "filter.h"

// Uncertain, reason range; see `quality` in the contract.
enum { GOOD = 0, OUT_OF_RANGE = 5 << 2 | 1 };
// The kinds of values of the contract.
enum { NONE = 0, INTEGER = 2, FLOAT = 3 };
// A plugin has at most 256 points of its own.
enum { POINTS = 256 };

static double limit;
static struct point {
    uint32_t id, own;
    char name[68]; // device/point, 32 bytes each at most
} points[POINTS];
static size_t count;

// Name, version and settings, read by `curb check` without running anything.
__asm__(".section \".custom_section.curb-plugin\",\"\",@\n.incbin \"manifest.json\"\n");

// Reads "limit" from the settings, which are `{"limit":90.0}` or nothing that this plugin takes. There is no JSON library here.
static bool read_limit(const filter_string_t *config) {
    static const char key[] = "\"limit\":";
    const char *at = (const char *)config->ptr, *end = at + config->len;
    while (end - at > (ptrdiff_t)strlen(key) && memcmp(at, key, strlen(key)) != 0) at++;
    at += strlen(key);
    if (at >= end) return false;
    const bool negative = *at == '-';
    if (negative) at++;
    const char *first = at;
    double value = 0, scale = 1;
    for (; at < end && *at >= '0' && *at <= '9'; at++) value = value * 10 + (*at - '0');
    if (at == first) return false;
    if (at < end && *at == '.')
        for (at++; at < end && *at >= '0' && *at <= '9'; at++) value = value * 10 + (*at - '0'), scale *= 10;
    if (at >= end || (*at != ',' && *at != '}')) return false;
    limit = (negative ? -value : value) / scale;
    return true;
}

// Fills in what to say when a bad setting is refused.
static bool refuse(filter_string_t *error, const char *text) {
    filter_string_dup(error, text);
    return false;
}

// Declares the point that is told beside `input`: air/temp becomes air-temp.
static bool declare(struct point *point, const curb_plugin_types_point_t *input, filter_string_t *error) {
    if (input->name.len >= sizeof point->name) return refuse(error, "a name is too long");
    point->id = input->id;
    memcpy(point->name, input->name.ptr, input->name.len);
    char dashed[sizeof point->name] = {0};
    for (size_t i = 0; i < input->name.len; i++) dashed[i] = point->name[i] == '/' ? '-' : point->name[i];
    filter_string_t name, unit, output;
    filter_string_set(&name, dashed);
    filter_string_set(&unit, "Cel");
    filter_string_set(&output, "values");
    return curb_plugin_points_declare(&name, &unit, &output, CURB_PLUGIN_POINTS_CLASS_DATA, &point->own, error);
}

bool exports_curb_plugin_transform_init(exports_curb_plugin_transform_setup_t *setup,
                                        exports_curb_plugin_transform_plan_t *plan, filter_string_t *error) {
    bool fine = read_limit(&setup->config);
    if (!fine) refuse(error, "limit: expected a number, in degrees Fahrenheit");
    if (fine && setup->inputs.len > POINTS) fine = refuse(error, "too many points");
    for (size_t i = 0; fine && i < setup->inputs.len; i++) fine = declare(&points[count++], &setup->inputs.ptr[i], error);
    exports_curb_plugin_transform_setup_free(setup);
    plan->tick_ms = 0;
    return fine;
}

// Lists with room for `rows`. A list that stays empty is not freed by the hub: `drop_empty`.
static void make_columns(curb_plugin_types_columns_t *columns, size_t rows) {
    *columns = (curb_plugin_types_columns_t){0};
    if (rows == 0) return;
    columns->points.ptr = malloc(rows * sizeof *columns->points.ptr);
    columns->times.ptr = malloc(rows * sizeof *columns->times.ptr);
    columns->values.ptr = malloc(rows * sizeof *columns->values.ptr);
    columns->kinds.ptr = malloc(rows);
    columns->quality.ptr = malloc(rows);
}

// Adds a number, in the order of the times: a batch need not be in it.
static void add(curb_plugin_types_columns_t *columns, uint32_t point, int64_t time, double value, uint8_t quality) {
    size_t row = columns->points.len;
    for (; row > 0 && columns->times.ptr[row - 1] > time; row--) {
        columns->points.ptr[row] = columns->points.ptr[row - 1];
        columns->times.ptr[row] = columns->times.ptr[row - 1];
        columns->values.ptr[row] = columns->values.ptr[row - 1];
        columns->quality.ptr[row] = columns->quality.ptr[row - 1];
    }
    columns->points.ptr[row] = point;
    columns->times.ptr[row] = time;
    columns->values.ptr[row] = value;
    columns->quality.ptr[row] = quality;
    columns->kinds.ptr[columns->kinds.len] = FLOAT;
    columns->points.len = columns->times.len = columns->values.len = columns->kinds.len = columns->quality.len =
        columns->points.len + 1;
}

static void drop_empty(curb_plugin_types_emission_t *emission) {
    if (emission->keep.len == 0) free(emission->keep.ptr);
    if (emission->remark.len == 0) free(emission->remark.ptr);
    if (emission->rejects.len == 0) free(emission->rejects.ptr);
    if (emission->add.points.len > 0) return;
    free(emission->add.points.ptr);
    free(emission->add.times.ptr);
    free(emission->add.values.ptr);
    free(emission->add.kinds.ptr);
    free(emission->add.quality.ptr);
}

static void warn(const char *name) {
    static const char words[] = " is above the limit";
    char text[sizeof points->name + sizeof words];
    memcpy(text, name, strlen(name));
    memcpy(text + strlen(name), words, sizeof words);
    filter_string_t message;
    filter_string_set(&message, text);
    curb_plugin_log_log(CURB_PLUGIN_LOG_LEVEL_WARN, &message);
}

bool exports_curb_plugin_transform_process(exports_curb_plugin_transform_now_t *now,
                                           exports_curb_plugin_transform_columns_t *readings,
                                           exports_curb_plugin_transform_emission_t *emission, filter_string_t *error) {
    (void)now, (void)error;
    const size_t rows = readings->points.len;
    make_columns(&emission->add, rows);
    emission->keep = (filter_list_u32_t){rows ? malloc(rows * sizeof *emission->keep.ptr) : NULL, 0};
    emission->remark = (curb_plugin_types_list_mark_t){rows ? malloc(rows * sizeof *emission->remark.ptr) : NULL, 0};
    emission->rejects = (curb_plugin_types_list_reject_t){rows ? malloc(rows * sizeof *emission->rejects.ptr) : NULL, 0};
    uint64_t above = 0;
    for (uint32_t row = 0; row < rows; row++) {
        const struct point *point = points;
        while (point < points + count && point->id != readings->points.ptr[row]) point++;
        const uint8_t kind = readings->kinds.ptr[row];
        uint8_t quality = readings->quality.ptr[row];
        if (kind == NONE) { // bad: there is nothing to tell in other degrees
            emission->keep.ptr[emission->keep.len++] = row;
        } else if (kind == INTEGER || kind == FLOAT) {
            const double fahrenheit = readings->values.ptr[row];
            if (fahrenheit > limit && quality == GOOD) {
                warn(point->name);
                above++;
                quality = OUT_OF_RANGE;
                emission->remark.ptr[emission->remark.len++] = (curb_plugin_types_mark_t){row, quality};
            } else {
                emission->keep.ptr[emission->keep.len++] = row;
            }
            add(&emission->add, point->own, readings->times.ptr[row], (fahrenheit - 32) * 5 / 9, quality);
        } else {
            curb_plugin_types_reject_t *reject = &emission->rejects.ptr[emission->rejects.len++];
            reject->row = row;
            filter_string_dup(&reject->reason, "expected a number");
        }
    }
    drop_empty(emission);
    exports_curb_plugin_transform_columns_free(readings);
    if (above > 0) {
        filter_string_t name;
        filter_string_set(&name, "above");
        curb_plugin_metrics_counter_add(&name, above);
    }
    return true;
}

bool exports_curb_plugin_transform_tick(exports_curb_plugin_transform_now_t *now,
                                        exports_curb_plugin_transform_columns_t *added, filter_string_t *error) {
    (void)now, (void)error;
    make_columns(added, 0);
    return true;
}

bool exports_curb_plugin_transform_finish(exports_curb_plugin_transform_now_t *now,
                                          exports_curb_plugin_transform_columns_t *added, filter_string_t *error) {
    (void)now, (void)error;
    make_columns(added, 0);
    return true;
}
