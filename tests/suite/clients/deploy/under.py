"""Runs a command under a seccomp profile as container runtimes read it: under.py PROFILE COMMAND..."""

import json
import os
import sys

import pyseccomp as seccomp

ACTIONS = {"SCMP_ACT_ALLOW": lambda rule: seccomp.ALLOW, "SCMP_ACT_ERRNO": lambda rule: seccomp.ERRNO(rule.get("errnoRet", 1))}
OPERATORS = {"SCMP_CMP_MASKED_EQ": seccomp.MASKED_EQ}


def argument(condition):
    """A condition on one argument of a system call."""
    return seccomp.Arg(
        condition["index"], OPERATORS[condition["op"]], condition["value"], condition.get("valueTwo", 0)
    )


def load(profile):
    """Puts this process, and all that it becomes, under the profile."""
    rules = seccomp.SyscallFilter(ACTIONS[profile["defaultAction"]]({"errnoRet": profile["defaultErrnoRet"]}))
    for rule in profile["syscalls"]:
        for name in rule["names"]:
            try:
                rules.add_rule(ACTIONS[rule["action"]](rule), name, *map(argument, rule.get("args", [])))
            except ValueError:
                pass  # not a call of this architecture, as runtimes see it, too
    rules.load()


with open(sys.argv[1], encoding="utf-8") as file:
    load(json.load(file))
os.execvp(sys.argv[2], sys.argv[2:])
