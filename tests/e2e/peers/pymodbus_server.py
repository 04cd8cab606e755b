"""A Modbus TCP server that we did not write: pymodbus, unit 1, on loopback.

usage: pymodbus_server.py PORT

Holding and input register n hold n * 10; coil and discrete input n hold n odd. From holding register 100 on: 230.1 as
f32 in ABCD, the same in CDAB, -5 as i16, -70000 as i32 in ABCD, 3000000000 as u32 in CDAB.
"""

import struct
import sys

from pymodbus.datastore import ModbusDeviceContext, ModbusSequentialDataBlock, ModbusServerContext
from pymodbus.server import StartTcpServer


def words(data):
    return list(struct.unpack(f">{len(data) // 2}H", data))


f32 = words(struct.pack(">f", 230.1))
u32 = words(struct.pack(">I", 3_000_000_000))
known = f32 + f32[::-1] + words(struct.pack(">h", -5)) + words(struct.pack(">i", -70_000)) + u32[::-1]
registers = [n * 10 for n in range(100)] + known
bits = [bool(n % 2) for n in range(100)]
# pymodbus counts its blocks from 1.
device = ModbusDeviceContext(
    hr=ModbusSequentialDataBlock(1, registers),
    ir=ModbusSequentialDataBlock(1, registers),
    co=ModbusSequentialDataBlock(1, bits),
    di=ModbusSequentialDataBlock(1, bits),
)
StartTcpServer(
    context=ModbusServerContext(devices={1: device}, single=False),
    address=("127.0.0.1", int(sys.argv[1])),
)
