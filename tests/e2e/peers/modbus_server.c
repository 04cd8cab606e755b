/* A Modbus server that we did not write: libmodbus, with registers that are known.
 *
 * usage: modbus_server tcp HOST PORT | modbus_server rtu DEVICE UNIT      (19,200 8E1)
 * build: cc -o modbus_server modbus_server.c -lmodbus
 *
 * Holding and input register n hold n * 10; coil and discrete input n hold n odd. From holding register 100 on: 230.1 as
 * f32 in ABCD, the same in CDAB, -5 as i16, -70000 as i32 in ABCD, 3000000000 as u32 in CDAB. What lies beyond is refused
 * with exception 2. The same map as pymodbus_server.py.
 */
#include <errno.h>
#include <modbus/modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PLAIN = 100, REGISTERS = 109, BITS = 100 };

static void put_u32(uint16_t *registers, uint32_t value, int low_word_first)
{
    registers[low_word_first] = value >> 16;
    registers[!low_word_first] = value & 0xFFFF;
}

static modbus_mapping_t *known_registers(void)
{
    modbus_mapping_t *map = modbus_mapping_new(BITS, BITS, REGISTERS, REGISTERS);
    if (map == NULL)
        return NULL;
    for (int n = 0; n < BITS; n++)
        map->tab_bits[n] = map->tab_input_bits[n] = n % 2;
    for (int n = 0; n < PLAIN; n++)
        map->tab_registers[n] = map->tab_input_registers[n] = n * 10;
    uint16_t *known = map->tab_registers + PLAIN;
    /* Not modbus_set_float_abcd: in libmodbus 3.1.6 it swaps the bytes within each register. */
    float number = 230.1f;
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    put_u32(known, bits, 0);
    put_u32(known + 2, bits, 1);
    known[4] = (uint16_t)-5;
    put_u32(known + 5, (uint32_t)-70000, 0);
    put_u32(known + 7, 3000000000u, 1);
    memcpy(map->tab_input_registers + PLAIN, known, (REGISTERS - PLAIN) * sizeof *known);
    return map;
}

/* Answers until the peer hangs up; on a serial line for ever, past frames that are not for this unit. */
static void answer(modbus_t *modbus, modbus_mapping_t *map, int serial)
{
    uint8_t request[MODBUS_TCP_MAX_ADU_LENGTH];
    for (;;) {
        int length = modbus_receive(modbus, request);
        if (length > 0)
            modbus_reply(modbus, request, length, map);
        else if (length < 0 && (!serial || errno == EIO || errno == EBADF))
            return;
    }
}

int main(int argc, char **argv)
{
    if (argc != 4 || (strcmp(argv[1], "tcp") != 0 && strcmp(argv[1], "rtu") != 0)) {
        fprintf(stderr, "usage: modbus_server tcp HOST PORT | modbus_server rtu DEVICE UNIT\n");
        return 2;
    }
    modbus_mapping_t *map = known_registers();
    int serial = strcmp(argv[1], "rtu") == 0;
    modbus_t *modbus = serial ? modbus_new_rtu(argv[2], 19200, 'E', 8, 1) : modbus_new_tcp(argv[2], atoi(argv[3]));
    if (map == NULL || modbus == NULL) {
        perror("modbus_server");
        return 3;
    }
    if (serial) {
        if (modbus_set_slave(modbus, atoi(argv[3])) != 0 || modbus_connect(modbus) != 0) {
            perror(argv[2]);
            return 3;
        }
        answer(modbus, map, serial);
        return 0;
    }
    int listener = modbus_tcp_listen(modbus, 4);
    if (listener < 0) {
        perror("modbus_server: listen");
        return 3;
    }
    /* One connection at a time: who hangs up makes room for the next. */
    while (modbus_tcp_accept(modbus, &listener) >= 0) {
        answer(modbus, map, serial);
        modbus_close(modbus);
    }
    perror("modbus_server: accept");
    return 3;
}
