# Runs under Python 2.7: Autobahn|Testsuite's fuzzing client with two changes. It writes a line of
# JSON for every finished case to $CASES (the suite itself writes its report at the very end, or
# never when it is killed), and it waits at most $PATIENCE seconds where a case would wait up to a
# thousand for a server that has lost its message.
import json
import os

from autobahntestsuite.wstest import run  # chooses the reactor: must be imported first
from autobahntestsuite.fuzzing import FuzzingFactory, FuzzingProtocol

FIELDS = ("id", "behavior", "behaviorClose", "remoteCloseCode", "expectedClose", "result", "resultClose")
PATIENCE = float(os.environ["PATIENCE"])
cases = open(os.environ["CASES"], "a", 1)
log_case = FuzzingFactory.logCase


def log_case_at_once(factory, case):
    cases.write(json.dumps(dict((field, case[field]) for field in FIELDS)) + "\n")
    return log_case(factory, case)


def impatient(method):
    return lambda protocol, delay: method(protocol, min(delay, PATIENCE))


FuzzingFactory.logCase = log_case_at_once
FuzzingProtocol.closeAfter = impatient(FuzzingProtocol.closeAfter.im_func)
FuzzingProtocol.killAfter = impatient(FuzzingProtocol.killAfter.im_func)
run()
