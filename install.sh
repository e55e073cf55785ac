#!/bin/sh
# Installs Klipper Upkeep into the Klipper(s) of this machine, or takes it out again.
#
# It links a folder, installs one Python package into Klipper's own environment, and
# tells Moonraker where updates come from. What it changes it first copies away.

set -eu

usage() {
    cat <<'EOF'
Usage: ./install.sh [options]

Installs Klipper Upkeep for every Klipper it finds: by the services of this machine,
and by the usual places in the home folder (klipper, klippy-env, printer_data,
printer_1_data ...). It may be run again at any time.

  --preset MACHINE  write a starter maintain.cfg, and do not ask; "none" for none
  --list-presets    show the machines there are presets for
  --uninstall       take everything out again; counts and maintain.cfg stay
  --dry-run         only say what would be done
  --yes             ask nothing
  --klipper DIR     Klipper's checkout, instead of looking for it
  --env DIR         Klipper's Python environment (with --klipper)
  --config DIR      the folder of printer.cfg and moonraker.conf (with --klipper)
  --units DIR       where service files are (default: /etc/systemd/system)
  --no-pip          leave Klipper's Python environment alone
  --no-moonraker    leave moonraker.conf alone
  --help            show this
EOF
}

NAME=klipper_upkeep
NEWLINE='
'

here=$(cd "$(dirname "$0")" && pwd -P)
extra=$here/klippy_extra
stamp=$(date +%Y%m%d-%H%M%S)
backups=$HOME/klipper-upkeep-backup
units=/etc/systemd/system
preset='' given_klipper='' given_env='' given_config=''
uninstall=false dry_run=false ask=true pip=true moonraker=true
changed=false moonraker_changed=false problems=0

# Telling

say() { printf '%s\n' "$*"; }
did() { changed=true; say "  $*"; }
kept() { say "  $* (as it was)"; }
fail() {
    printf 'install.sh: %s\n' "$*" >&2
    exit 1
}
problem() {
    problems=$((problems + 1))
    printf '  ! %s\n' "$*" >&2
}

# Run a command, or with --dry-run only its absence.
run() {
    if $dry_run; then return 0; fi
    "$@"
}

# Copy what is about to be changed to the folder of backups, under its whole path.
back_up() {
    copy=$backups/$stamp$1
    run mkdir -p "$(dirname "$copy")"
    run cp -P -p "$1" "$copy"
    say "  backup: $1 -> $copy"
}

# Replace a file's contents by standard input, in one step and with its rights.
rewrite() {
    if $dry_run; then
        cat >/dev/null
        return 0
    fi
    cp -p "$1" "$1.$NAME.new"
    cat >"$1.$NAME.new"
    mv "$1.$NAME.new" "$1"
}

# Finding. An instance is a line: Klipper's checkout | its environment | its config.

instances=''

add_instance() {
    case $NEWLINE$instances$NEWLINE in
        *"$NEWLINE$1|$2|$3$NEWLINE"*) return 0 ;;
    esac
    instances=${instances:+$instances$NEWLINE}$1\|$2\|$3
}

# Read Klipper's service files: the one place that knows an environment elsewhere.
find_by_services() {
    for unit in "$units"/klipper*.service; do
        case $unit in
            *mcu*) continue ;; # klipper-mcu.service is the Linux firmware
        esac
        [ -f "$unit" ] && read_service "$unit"
    done
    return 0
}

read_service() {
    words=$(sed -n 's/^ExecStart=//p' "$1")
    environment=$(sed -n 's/^EnvironmentFile=-\{0,1\}//p' "$1" | head -n 1)
    if [ -n "$environment" ] && [ -r "$environment" ]; then
        words="$words $(sed -n 's/^KLIPPER_ARGS=//p' "$environment" | tr -d \"\')"
    fi
    klipper='' env='' config=''
    set -f
    for word in $words; do
        case $word in
            */klippy/klippy.py) klipper=${word%/klippy/klippy.py} ;;
            */bin/python*) env=${word%/bin/python*} ;;
            *.cfg) config=$(dirname "$word") ;;
        esac
    done
    set +f
    if [ -n "$klipper" ] && [ -d "$klipper/klippy/extras" ]; then
        add_instance "$klipper" "$env" "$config"
    fi
}

find_at_home() {
    klipper=$HOME/klipper
    [ -d "$klipper/klippy/extras" ] || return 0
    case $instances in
        *"$klipper|"*) return 0 ;; # a service has told more
    esac
    env=$HOME/klippy-env
    [ -x "$env/bin/python" ] || env=''
    found=false
    for config in "$HOME/printer_data/config" "$HOME"/printer_*_data/config; do
        if [ -d "$config" ]; then
            add_instance "$klipper" "$env" "$config"
            found=true
        fi
    done
    $found || add_instance "$klipper" "$env" ''
}

find_instances() {
    if [ -n "$given_klipper" ]; then
        [ -d "$given_klipper/klippy/extras" ] ||
            fail "--klipper $given_klipper: there is no klippy/extras in it"
        add_instance "$given_klipper" "$given_env" "$given_config"
        return 0
    fi
    find_by_services
    find_at_home
    [ -n "$instances" ] || fail \
        "no Klipper was found. Name it: --klipper DIR --env DIR --config DIR"
}

# Each different value of a column of the instances, by line.
column() { printf '%s\n' "$instances" | cut -d '|' -f "$1" | sed '/^$/d' | sort -u; }

# Installing

check_owner() {
    for_each_line check_one_owner "$(column 1)"
}

check_one_owner() {
    if [ ! -w "$1/klippy/extras" ] || [ ! -O "$1/klippy/extras" ]; then
        fail "$1 belongs to $(owner "$1"): run this as that user, without sudo"
    fi
}

owner() { find "$1" -maxdepth 0 -printf '%u' 2>/dev/null || echo somebody else; }

for_each_line() {
    function=$1
    printf '%s\n' "$2" | sed '/^$/d' >"$lines"
    while IFS= read -r line <&3; do
        "$function" "$line"
    done 3<"$lines"
}

install_package() {
    python=$1/bin/python
    if [ ! -x "$python" ]; then
        problem "$1 has no bin/python: install paho-mqtt into Klipper's Python by hand"
    elif ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 7))'; then
        fail "$python is older than 3.7: set Klipper up with a newer Python first"
    elif "$python" -c 'import paho.mqtt.client, sys
version = tuple(map(int, paho.mqtt.__version__.split(".")[:2]))
sys.exit(not (2, 1) <= version < (3, 0))
' 2>/dev/null; then
        kept "paho-mqtt in $1"
    elif run "$python" -m pip install --quiet --disable-pip-version-check \
        -r "$extra/requirements.txt"; then
        did "installed paho-mqtt into $1"
    else
        fail "pip could not install paho-mqtt into $1; nothing else was changed." \
            "Without MQTT: ./install.sh --no-pip"
    fi
}

link_extra() {
    extras=$1/klippy/extras
    link=$extras/maintain
    # The ancestor's: a hard link or a copy, which an update leaves stale.
    if [ -e "$extras/maintain.py" ] || [ -L "$extras/maintain.py" ]; then
        back_up "$extras/maintain.py"
        run rm -f "$extras/maintain.py"
        did "removed $extras/maintain.py: this takes its place"
    fi
    if [ -L "$link" ] && [ "$(readlink "$link")" = "$extra" ]; then
        kept "$link"
    else
        if [ -L "$link" ]; then
            back_up "$link"
            run rm -f "$link"
        elif [ -e "$link" ]; then
            say "  backup: $link -> $backups/$stamp$link"
            run mkdir -p "$backups/$stamp$extras"
            run mv "$link" "$backups/$stamp$link"
        fi
        run ln -s "$extra" "$link"
        did "linked $link -> $extra"
    fi
}

add_update_manager() {
    conf=$1/moonraker.conf
    if [ ! -f "$conf" ]; then
        say "  no moonraker.conf in $1: updates are yours to do"
        return 0
    fi
    if grep -q "^\[update_manager $NAME\]" "$conf"; then
        kept "[update_manager $NAME] in $conf"
        return 0
    fi
    if [ -z "$origin" ]; then
        say "  $conf is left alone: this folder is no git checkout to update"
        return 0
    fi
    back_up "$conf"
    {
        cat "$conf"
        # A last line without an end would swallow the section's name.
        [ -z "$(tail -c 1 "$conf")" ] || echo
        printf '\n[update_manager %s]\n' "$NAME"
        printf 'type: git_repo\npath: %s\norigin: %s\n' "$here" "$origin"
        printf 'primary_branch: %s\nmanaged_services: klipper\n' "$branch"
        if [ -n "$env" ]; then
            printf 'virtualenv: %s\nrequirements: klippy_extra/requirements.txt\n' "$env"
        fi
    } >"$text"
    rewrite "$conf" <"$text"
    did "added [update_manager $NAME] to $conf"
    moonraker_changed=true
}

choose_preset() {
    [ -z "$preset" ] && $ask && [ -t 0 ] || return 0
    say
    say 'A starter maintain.cfg can be written for one of these machines:'
    presets list | sed 's/^/  /'
    printf 'Which one? (Enter for none) '
    read -r preset || preset=''
}

presets() { "$any_python" "$extra/presets.py" "$@"; }

write_starter() {
    [ -n "$preset" ] && [ "$preset" != none ] || return 0
    file=$1/maintain.cfg
    if [ -e "$file" ]; then
        kept "$file"
        return 0
    fi
    presets starter "$preset" >"$text"
    run cp "$text" "$file"
    did "wrote $file"
}

install_one() {
    klipper=${1%%|*} rest=${1#*|}
    env=${rest%%|*} config=${rest#*|}
    say "Klipper in $klipper${config:+, configured in $config}"
    if [ -z "$env" ]; then
        $pip && problem "its Python environment was not found: name it with --env DIR"
    elif $pip; then
        install_package "$env"
    fi
    link_extra "$klipper"
    if [ -n "$config" ]; then
        if $moonraker; then add_update_manager "$config"; fi
        write_starter "$config"
    fi
}

tell_what_is_left() {
    say
    say 'What is left for you:'
    for_each_line tell_include "$(column 3)"
    say '  - Restart Klipper as a service, since RESTART loads no new code:'
    say '      sudo systemctl restart klipper'
    if $moonraker_changed; then
        say '  - Restart Moonraker, so that it shows the updates:'
        say '      sudo systemctl restart moonraker'
    fi
}

tell_include() {
    if [ -f "$1/printer.cfg" ] && grep -q '^\[\(include .*maintain\|maintain\)' "$1/printer.cfg"; then
        return 0
    fi
    if [ -e "$1/maintain.cfg" ]; then
        say "  - Put this line into $1/printer.cfg:"
        say '      [include maintain.cfg]'
    else
        say "  - Put [maintain] and a section for each task into $1/printer.cfg:"
        say "    see $here/docs/configuration.md"
    fi
}

# Uninstalling

uninstall_one() {
    klipper=${1%%|*} rest=${1#*|}
    config=${rest#*|}
    link=$klipper/klippy/extras/maintain
    say "Klipper in $klipper${config:+, configured in $config}"
    if [ -L "$link" ] && [ "$(readlink "$link")" = "$extra" ]; then
        run rm -f "$link"
        did "removed $link"
    else
        kept "no link of this folder's at $link"
    fi
    if [ -n "$config" ] && $moonraker; then remove_update_manager "$config"; fi
    restore_ancestor "$klipper/klippy/extras/maintain.py"
    if [ -n "$config" ] && grep -q '^\[include .*maintain\|^\[maintain' "$config/printer.cfg" 2>/dev/null; then
        say "  ! Klipper will not start while $config/printer.cfg asks for [maintain]:"
        say "    take its sections, or the line that includes them, out."
    fi
}

remove_update_manager() {
    conf=$1/moonraker.conf
    if ! grep -q "^\[update_manager $NAME\]" "$conf" 2>/dev/null; then
        return 0
    fi
    back_up "$conf"
    # From the section's name up to the next one, with the empty line before it.
    awk -v name="[update_manager $NAME]" '
        index($0, name) == 1 { ours = 1; next }
        ours && !/^\[/ { next }
        { ours = 0 }
        /^[ \t]*$/ { held = held $0 "\n"; next }
        { printf "%s%s\n", held, $0; held = "" }
        END { if (!ours) printf "%s", held }
    ' "$conf" >"$text"
    rewrite "$conf" <"$text"
    did "removed [update_manager $NAME] from $conf"
}

restore_ancestor() {
    if [ -e "$1" ] || [ -L "$1" ]; then return 0; fi
    for saved in "$backups"/*"$1"; do
        [ -e "$saved" ] || [ -L "$saved" ] || continue
        newest=$saved
    done
    [ -n "${newest:-}" ] || return 0
    run cp -P -p "$newest" "$1"
    did "put $1 back, as it was before"
    newest=''
}

# Beginning

while [ $# -gt 0 ]; do
    case $1 in
        --preset | --klipper | --env | --config | --units)
            [ $# -gt 1 ] || fail "$1 needs a value; see --help"
            case $1 in
                --preset) preset=$2 ;;
                --klipper) given_klipper=${2%/} ;;
                --env) given_env=${2%/} ;;
                --config) given_config=${2%/} ;;
                --units) units=${2%/} ;;
            esac
            shift
            ;;
        --uninstall) uninstall=true ;;
        --list-presets) list_presets=true ;;
        --dry-run) dry_run=true ;;
        --yes | -y) ask=false ;;
        --no-pip) pip=false ;;
        --no-moonraker) moonraker=false ;;
        --help | -h)
            usage
            exit 0
            ;;
        *) fail "there is no option '$1'; see --help" ;;
    esac
    shift
done

if [ -n "$given_env$given_config" ] && [ -z "$given_klipper" ]; then
    fail '--env and --config belong to --klipper DIR'
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
lines=$scratch/lines text=$scratch/text
any_python=$(command -v python3 || command -v python || true)

if ${list_presets:-false}; then
    presets list
    exit 0
fi

find_instances
check_owner
if $dry_run; then say 'Nothing is changed: this is what would be done.'; fi

if $uninstall; then
    for_each_line uninstall_one "$instances"
    say
    say 'Left as they are: maintain.cfg, what was counted, paho-mqtt in the environment,'
    say "and the backups in $backups."
    say 'Restart Klipper: sudo systemctl restart klipper'
    exit 0
fi

origin=$(git -C "$here" remote get-url origin 2>/dev/null || true)
branch=$(git -C "$here" symbolic-ref --short HEAD 2>/dev/null || echo main)
choose_preset
if [ -n "$preset" ] && [ "$preset" != none ]; then
    presets starter "$preset" >/dev/null 2>&1 ||
        fail "there is no preset for '$preset'; see --list-presets"
fi
for_each_line install_one "$instances"
if $changed; then tell_what_is_left; else say && say 'Everything was in place already.'; fi
[ "$problems" -eq 0 ] || exit 1
