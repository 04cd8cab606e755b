/* The peer of the benchmarks: what one writes in an afternoon. Reads the registers of some Modbus devices at a fixed
 * rate and publishes the bare numbers of each device, comma-separated, with QoS 1 over mutual TLS 1.3. One thread.
 *
 * Deliberately absent: everything that costs a gateway something. No names, units, times and quality, no store, no
 * number on a message, no silence on a serial line, no reconnecting.
 *
 *   loop --version
 *   loop ID CORE-PORT ROOTS CERT KEY PERIOD-MS REGISTERS tcp PORT...
 *   loop ID CORE-PORT ROOTS CERT KEY PERIOD-MS REGISTERS rtu PATH BAUD UNIT...
 *
 *   loop ID CORE-PORT ROOTS CERT KEY PERIOD-MS REGISTERS tcp-each PORT...
 *   loop ID CORE-PORT ROOTS CERT KEY COUNT BYTES flood -
 *
 * tcp-each: a JSON message for each register, as many gateways send them. flood: COUNT messages of BYTES at once, 16 of
 * them in flight, and no device.
 * PERIOD-MS 0: the next round follows the last one at once. A serial line is 8E1. Ends when it is killed.
 */
#include <errno.h>
#include <modbus/modbus.h>
#include <mosquitto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_DEVICES = 64, NUMBER = sizeof "65535," - 1, IN_FLIGHT = 16 };

static void fail(const char *act, const char *why)
{
    fprintf(stderr, "failed to %s: %s\n", act, why);
    exit(3);
}

static void check(int code, const char *act)
{
    if (code != MOSQ_ERR_SUCCESS)
        fail(act, mosquitto_strerror(code));
}

static void on_connect(struct mosquitto *core, void *connected, int code)
{
    (void)core;
    if (code != 0)
        fail("connect to the core", mosquitto_connack_string(code));
    *(int *)connected = 1;
}

static struct mosquitto *connect_core(char **arguments)
{
    static int connected;
    mosquitto_lib_init();
    struct mosquitto *core = mosquitto_new(arguments[0], 1, &connected);
    if (core == NULL)
        fail("make a client", strerror(errno));
    check(mosquitto_tls_set(core, arguments[2], NULL, arguments[3], arguments[4], NULL), "use the certificates");
    check(mosquitto_tls_opts_set(core, 1, "tlsv1.3", NULL), "ask for TLS 1.3");
    mosquitto_connect_callback_set(core, on_connect);
    check(mosquitto_connect(core, "localhost", atoi(arguments[1]), 60), "connect to the core");
    while (!connected)
        check(mosquitto_loop(core, 1000, 1), "connect to the core");
    return core;
}

static modbus_t *open_device(modbus_t *device, int unit)
{
    if (device == NULL || modbus_set_slave(device, unit) == -1)
        fail("set up a device", modbus_strerror(errno));
    return device;
}

/* Serves the core until the moment comes. */
static void wait_until(struct mosquitto *core, const struct timespec *moment)
{
    for (;;) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        long long rest = (moment->tv_sec - now.tv_sec) * 1000000000LL + (moment->tv_nsec - now.tv_nsec);
        if (rest < 1000000)
            break;
        check(mosquitto_loop(core, (int)(rest / 1000000), 1), "serve the core");
    }
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, moment, NULL);
}

static void on_publish(struct mosquitto *core, void *taken, int id)
{
    (void)core, (void)id;
    ++*(long *)taken;
}

/* Sends messages until the core has acknowledged all of them, then stays connected. */
static void flood(struct mosquitto *core, long count, size_t bytes)
{
    long sent = 0, taken = 0;
    char *payload = malloc(bytes);
    if (payload == NULL)
        fail("make a payload", strerror(errno));
    memset(payload, '0', bytes);
    mosquitto_user_data_set(core, &taken);
    mosquitto_publish_callback_set(core, on_publish);
    check(mosquitto_max_inflight_messages_set(core, IN_FLIGHT), "set what is in flight");
    for (;;) {
        while (sent < count && sent - taken < IN_FLIGHT) {
            check(mosquitto_publish(core, NULL, "loop/flood", (int)bytes, payload, 1, false), "publish");
            sent++;
        }
        check(mosquitto_loop(core, 1000, 1), "serve the core");
    }
}

static void publish_each(struct mosquitto *core, int device, const uint16_t *values, int registers)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    for (int r = 0; r < registers; r++) {
        char topic[64], payload[128];
        snprintf(topic, sizeof topic, "loop/hub/b%du1/r%d", device, r);
        int length = snprintf(payload, sizeof payload, "{\"n\":\"b%du1/r%d\",\"u\":\"W\",\"t\":%lld.%03ld,\"v\":%u}", device, r,
                              (long long)now.tv_sec, now.tv_nsec / 1000000, values[r]);
        check(mosquitto_publish(core, NULL, topic, length, payload, 1, false), "publish");
    }
}

int main(int count, char **arguments)
{
    if (count == 2 && strcmp(arguments[1], "--version") == 0) {
        int major, minor, patch;
        mosquitto_lib_version(&major, &minor, &patch);
        printf("libmodbus %s, libmosquitto %d.%d.%d\n", LIBMODBUS_VERSION_STRING, major, minor, patch);
        return 0;
    }
    if (count < 10 || count > 10 + MAX_DEVICES || (strcmp(arguments[8], "rtu") == 0 && count < 12))
        fail("read the command line", "see the head of loop.c");
    struct mosquitto *core = connect_core(arguments + 1);
    if (strcmp(arguments[8], "flood") == 0)
        flood(core, atol(arguments[6]), (size_t)atol(arguments[7]));
    long period_ms = atol(arguments[6]);
    int registers = atoi(arguments[7]), each = strcmp(arguments[8], "tcp-each") == 0;
    if (registers < 1 || registers > MODBUS_MAX_READ_REGISTERS)
        fail("read the command line", "1 to 125 registers");

    modbus_t *devices[MAX_DEVICES];
    int units[MAX_DEVICES], device_count = 0, serial = strcmp(arguments[8], "rtu") == 0;
    if (serial) {
        modbus_t *line = open_device(modbus_new_rtu(arguments[9], atoi(arguments[10]), 'E', 8, 1), 1);
        if (modbus_connect(line) == -1)
            fail("open the line", modbus_strerror(errno));
        for (int i = 11; i < count; i++, device_count++) {
            devices[device_count] = line;
            units[device_count] = atoi(arguments[i]);
        }
    } else {
        for (int i = 9; i < count; i++, device_count++) {
            devices[device_count] = open_device(modbus_new_tcp("127.0.0.1", atoi(arguments[i])), 1);
            units[device_count] = 1;
            if (modbus_connect(devices[device_count]) == -1)
                fail("connect to a device", modbus_strerror(errno));
        }
    }

    struct timespec next;
    clock_gettime(CLOCK_MONOTONIC, &next);
    for (;;) {
        for (int i = 0; i < device_count; i++) {
            uint16_t values[MODBUS_MAX_READ_REGISTERS];
            char topic[32], payload[MODBUS_MAX_READ_REGISTERS * NUMBER + 1];
            modbus_set_slave(devices[i], units[i]);
            if (modbus_read_input_registers(devices[i], 0, registers, values) != registers) {
                /* A unit may be dead; a device behind TCP, or a port that is gone, ends the program. */
                if (!serial || errno == EIO)
                    fail("read a device", modbus_strerror(errno));
                modbus_flush(devices[i]);
                check(mosquitto_loop(core, 0, 1), "serve the core");
                continue;
            }
            if (each) {
                publish_each(core, i, values, registers);
                continue;
            }
            size_t length = 0;
            for (int r = 0; r < registers; r++)
                length += (size_t)sprintf(payload + length, r == 0 ? "%u" : ",%u", values[r]);
            snprintf(topic, sizeof topic, "loop/%d", i);
            check(mosquitto_publish(core, NULL, topic, (int)length, payload, 1, false), "publish");
            if (period_ms == 0)
                check(mosquitto_loop(core, 0, 1), "serve the core");
        }
        if (period_ms != 0) {
            next.tv_nsec += period_ms % 1000 * 1000000;
            next.tv_sec += period_ms / 1000 + next.tv_nsec / 1000000000;
            next.tv_nsec %= 1000000000;
            wait_until(core, &next);
        }
    }
}
