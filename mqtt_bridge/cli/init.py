"""`upkeep-bridge init`: writes a settings file that explains each line."""

from __future__ import annotations

import sys
from pathlib import Path

TEXT = """\
# Settings of upkeep-bridge. What is commented out shows the default.
# Each but the rules may be set in the environment (UPKEEP_BROKER_HOST) or by a
# flag (--set broker.host=10.0.0.5), too. "upkeep-bridge check" tries them.

# language = "de"              # of messages to people; else English

[broker]
host = "localhost"
# port = 1883                  # 8883 with TLS
# version = "3.1.1"            # or "5"
# base = "klipper_upkeep"      # base_topic of the printers
# base = ["farm/hall-1", "farm/hall-2"]    # or several of them
# keepalive = 30               # seconds
# client_id = "upkeep-bridge"  # else the broker chooses one
# transport = "tcp"            # or "websockets"
# path = "/mqtt"               # of the websocket
# server_name = "broker.lan"   # in the certificate, where it is not the host
# A file with the lines "username: NAME" and "password: WORD".
# credentials = "$CREDENTIALS_DIRECTORY/broker"
# tls = true
# ca = "/etc/upkeep-bridge/ca.pem"      # else the system's authorities
# certificate = "/etc/upkeep-bridge/bridge.pem"
# key = "/etc/upkeep-bridge/bridge.key"

[store]
# name = "upkeep"              # items are upkeep.<printer>.<task>.<field>
# alias = "mqtt"               # another for each bridge of the store
# read_only = false            # true: mKTL clients can set nothing
# interface = "127.0.0.1"      # "0.0.0.0" lets other machines in
# allow = ["192.168.1.0/24"]   # and only these
registry = true                # the bridge runs mKTL's registry, unless one answers
# printers = ["voron"]         # only these, by their slugs
# share = { of = 4, index = 0 }    # or the first quarter of all printers
# role = "only"                # "main" has a standby; "standby" takes its place

# [push]                       # pip install 'klipper-upkeep[push]'
# quiet = "22:00-07:00"        # what happens then is told afterwards
# digest = "08:00"             # once a day instead of at once
# state = "/var/lib/upkeep-bridge/push.db"   # in place of the state directory

# [[push.rule]]
# to = ["ntfy://ntfy.sh/my-printers"]      # addresses of Apprise
# printers = ["*"]
# tasks = ["*"]
# events = ["due"]             # soon, due, done, skipped, snoozed, ...
# title = "{printer}: {label}"
# text = "{what}. {message}"
# buttons = false              # Done and Later, where the service has buttons

# [http]                       # the links behind the buttons
# listen = "127.0.0.1:8126"
# url = "https://upkeep.example.org"       # what a phone reaches it by
# expire = 48                  # hours

# [web]                        # pip install 'klipper-upkeep[web]'
# listen = "127.0.0.1:8128"    # the page for people; "0.0.0.0:8128" for the network
# token_file = "/etc/upkeep-bridge/web-token"  # the word that people enter
# open = false                 # true: no token, everybody who reaches it is let in
# read_only = false            # true: the page changes nothing
# hosts = ["upkeep.local"]     # names that an open page is reached by
# prefix = "/upkeep"           # where a proxy has it
# certificate = "/etc/upkeep-bridge/web.pem"   # https, without a proxy
# key = "/etc/upkeep-bridge/web.key"

# [metrics]
# listen = "127.0.0.1:9763"
"""


def init(file: str) -> int:
    """Write the template to *file*, which must not be there. Return the exit code."""
    try:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        with Path(file).open("x", encoding="utf-8") as out:
            out.write(TEXT)
    except OSError as error:
        reason = error.strerror or error
        print(f"upkeep-bridge: {file} is not written: {reason}", file=sys.stderr)
        return 1
    print(f"{file} is written; edit it, then: upkeep-bridge -c {file} check")
    return 0
