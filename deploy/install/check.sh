# shellcheck shell=sh disable=SC2154,SC2034 # install.sh shares its variables
# Part of install.sh: checks that every change is possible, before the first one. If one
# is not, the run ends with an error that names the option which leaves it out.

check_all() {
    for_each_line check_klipper "$(column 1)"
    if $uninstall; then return 0; fi
    if $pip; then
        for_each_line check_instance "$instances"
        for_each_line check_environment "$(column 2)"
    fi
    if $moonraker; then for_each_line check_moonraker "$(column 3)"; fi
}

check_klipper() {
    folder=$(extras_of "$1")
    if [ -w "$folder" ] && [ -O "$folder" ]; then return 0; fi
    owner=$(owner_of "$folder")
    if [ "$owner" = "$(id -un 2>/dev/null || id -u)" ]; then
        fail "$folder is read-only. Copy Klipper to a folder that can be written," \
            "let its service run the copy, and name the copy: --klipper DIR"
    fi
    fail "$1 belongs to $owner: run this as that user, without sudo"
}

# shellcheck disable=SC2012 # the name of an owner has no spaces, and find may be small
owner_of() { ls -ld "$1" | awk '{ print $3 }'; }

check_instance() {
    rest=${1#*|}
    [ -n "${rest%%|*}" ] || fail "the Python environment of ${1%%|*} was not found;" \
        "nothing was changed. Name it: --env DIR (with --klipper)." \
        "To install without MQTT: --no-pip"
}

check_environment() {
    python=$1/bin/python
    [ -x "$python" ] || python=$1/bin/python3
    [ -x "$python" ] || fail "$1 has no bin/python; nothing was changed." \
        "Name Klipper's environment: --env DIR. To install without MQTT: --no-pip"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 7))' ||
        fail "$python is older than 3.7: set Klipper up with a newer Python first"
    if has_paho "$python"; then return 0; fi
    "$python" -c 'import pip' 2>/dev/null || fail "$1 has no pip and no paho-mqtt;" \
        "nothing was changed. To install without MQTT: --no-pip"
    ! "$python" -c 'import os, sys, sysconfig
managed = os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")
sys.exit(sys.prefix != sys.base_prefix or not os.path.exists(managed))' ||
        fail "$python is the system's, and pip may not change it;" \
            "nothing was changed. Install python3-paho-mqtt 2.1 or newer." \
            "To install without MQTT: --no-pip"
}

has_paho() {
    "$1" -c 'import paho.mqtt.client, sys
version = tuple(map(int, paho.mqtt.__version__.split(".")[:2]))
sys.exit(not (2, 1) <= version < (3, 0))
' 2>/dev/null
}

check_moonraker() {
    file=$(readlink -f "$1/moonraker.conf") || return 0
    [ -f "$file" ] || return 0
    if has_section "$file" || [ -w "$file" ]; then return 0; fi
    fail "$file cannot be written; nothing was changed." \
        "To leave this file alone: --no-moonraker"
}
