"""`upkeep-bridge init` writes a settings file that explains each line."""

from __future__ import annotations

import sys
from pathlib import Path

TEXT = """\
# The settings of upkeep-bridge. Lines that are commented out show the defaults, or
# examples where the default is nothing.
# All settings but the rules can also be set in the environment (UPKEEP_BROKER_HOST)
# or by a flag (--set broker.host=10.0.0.5). "upkeep-bridge check" tries them.

# language = "de"              # the language of messages to people; default: English

[broker]
host = "localhost"
# port = 1883                  # 8883 with TLS
# version = "3.1.1"            # or "5"
# base = "klipper_upkeep"      # base_topic of the printers
# base = ["farm/hall-1", "farm/hall-2"]    # or several of them
# keepalive = 30               # seconds
# client_id = "upkeep-bridge"  # default: the broker chooses one
# transport = "tcp"            # or "websockets"
# path = "/mqtt"               # the path of the WebSocket
# server_name = "broker.lan"   # the certificate's name, if it is not the host
# A file with the lines "username: NAME" and "password: WORD".
# credentials = "$CREDENTIALS_DIRECTORY/broker"
# tls = true
# ca = "/etc/upkeep-bridge/ca.pem"      # default: the system's authorities
# certificate = "/etc/upkeep-bridge/bridge.pem"
# key = "/etc/upkeep-bridge/bridge.key"

[store]
# name = "upkeep"              # items are upkeep.<printer>.<task>.<field>
# alias = "mqtt"               # each bridge of the store needs another alias
# read_only = false            # true: mKTL clients cannot change anything
# interface = "127.0.0.1"      # "0.0.0.0": other machines can connect too
# allow = ["192.168.1.0/24"]   # only these networks can connect
registry = true                # the bridge runs mKTL's registry, unless one answers
# printers = ["voron"]         # only these printers, by their slugs
# share = { of = 4, index = 0 }    # or the first quarter of all printers
# role = "only"                # "main" has a standby; "standby" takes its place

# [push]                       # pip install 'klipper-upkeep[push]'
# quiet = "22:00-07:00"        # messages of this time are sent afterwards
# digest = "08:00"             # send messages once a day instead of at once
# state = "/var/lib/upkeep-bridge/push.db"   # default: in the state directory

# [[push.rule]]
# to = ["ntfy://ntfy.sh/my-printers"]      # addresses of Apprise
# printers = ["*"]
# tasks = ["*"]
# events = ["due"]             # soon, due, done, skipped, snoozed, ...
# title = "{printer}: {label}"
# text = "{what}. {message}"
# buttons = false              # true: Done and Later, if the service has buttons

# [http]                       # the links behind the buttons
# listen = "127.0.0.1:8126"
# url = "https://upkeep.example.org"       # the address that a phone uses for it
# expire = 48                  # hours

# [web]                        # pip install 'klipper-upkeep[web]'
# listen = "127.0.0.1:8128"    # the page for people; "0.0.0.0:8128" for the network
# token_file = "/etc/upkeep-bridge/web-token"  # has the word that people enter
# open = false                 # true: nobody needs a token
# read_only = false            # true: the page changes nothing
# hosts = ["upkeep.local"]     # the names under which browsers use an open page
# prefix = "/upkeep"           # the page's path behind a proxy
# certificate = "/etc/upkeep-bridge/web.pem"   # for https without a proxy
# key = "/etc/upkeep-bridge/web.key"

# [metrics]
# listen = "127.0.0.1:9763"
"""


def init(file: str) -> int:
    """Write the template to *file*, which must not exist. Return the exit code."""
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
