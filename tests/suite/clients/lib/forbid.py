#!/usr/bin/env python3
"""Runs a program for which system calls are forbidden, as a container's seccomp profile forbids them:
forbid.py NUMBER,NUMBER PROGRAM ARGUMENTS..."""

import ctypes
import errno
import os
import struct
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
# Classic BPF: load a word, skip the next instruction unless it is equal, return.
LOAD, UNLESS_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def main():
    instructions = [struct.pack("HBBI", LOAD, 0, 0, 0)]
    for number in map(int, sys.argv[1].split(",")):
        instructions.append(struct.pack("HBBI", UNLESS_EQUAL, 0, 1, number))
        instructions.append(struct.pack("HBBI", RETURN, 0, 0, REFUSE))
    instructions.append(struct.pack("HBBI", RETURN, 0, 0, ALLOW))
    program = Program(len(instructions), b"".join(instructions))
    libc = ctypes.CDLL(None, use_errno=True)
    for call in [(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0)]:
        if libc.prctl(*call):
            sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    os.execvp(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
