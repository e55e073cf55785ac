#!/bin/sh
# Installs Klipper Upkeep for each Klipper of this machine, or uninstalls it.
#
# It links a folder, installs one Python package into Klipper's own environment, and
# tells Moonraker where updates come from. It makes a backup of each file before it
# changes the file.

set -eu

usage() {
    cat <<'EOF'
Usage: ./install.sh [options]

Installs Klipper Upkeep for every Klipper that it finds. It searches the services of
this machine, and the usual places in the home folder (klipper, klippy-env,
printer_data, printer_1_data ...). You can run it again at any time.

  --preset MACHINE  write a starter maintain.cfg without a question; "none" writes none
  --list-presets    show the machines that have presets
  --page            let Moonraker serve the page, and put entries for it into
                    Mainsail's sidebar and KlipperScreen's menu, without a question
  --no-page         install no page, without a question
  --uninstall       uninstall everything; counts and maintain.cfg stay
  --dry-run         only show what the installer would do
  --yes             ask nothing
  --klipper DIR     the folder of Klipper, if the installer shall not search for it
  --env DIR         Klipper's Python environment (with --klipper)
  --config DIR      the folder of printer.cfg and moonraker.conf (with --klipper)
  --units DIR       the folder of the service files (default: /etc/systemd/system)
  --system DIR      the root folder of another system, such as an image in the making
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
system='' units=''
preset='' page='' given_klipper='' given_env='' given_config=''
uninstall=false dry_run=false ask=true pip=true moonraker=true
changed=false moonraker_changed=false

# Messages

say() { printf '%s\n' "$*"; }
did() { changed=true; say "  $*"; }
kept() { say "  $* (as it was)"; }
fail() {
    printf 'install.sh: %s\n' "$*" >&2
    exit 1
}

# Run a command, but do nothing with --dry-run.
run() {
    if $dry_run; then return 0; fi
    "$@"
}

# Copy a file to the folder of backups, with its whole path, before it is changed.
back_up() {
    copy=$backups/$stamp$1
    run mkdir -p "$(dirname "$copy")"
    run cp -p "$1" "$copy"
    say "  backup: $1 -> $copy"
}

# Replace a file's contents by standard input, in one step. The file keeps its rights.
# A link stays a link: the file behind it gets the contents.
rewrite() {
    if $dry_run; then
        cat >/dev/null
        return 0
    fi
    file=$(readlink -f "$1")
    if cp -p "$file" "$file.$NAME.new" 2>/dev/null; then
        cat >"$file.$NAME.new"
        mv "$file.$NAME.new" "$file"
    else
        cat >"$file" # its folder is read-only
    fi
}

# shellcheck source=deploy/install/find.sh
. "$here/deploy/install/find.sh"
# shellcheck source=deploy/install/check.sh
. "$here/deploy/install/check.sh"
# shellcheck source=deploy/install/moonraker.sh
. "$here/deploy/install/moonraker.sh"
# shellcheck source=deploy/install/page.sh
. "$here/deploy/install/page.sh"

# Installing

for_each_line() {
    function=$1
    printf '%s\n' "$2" | sed '/^$/d' >"$lines"
    while IFS= read -r line <&3; do
        "$function" "$line"
    done 3<"$lines"
}

install_package() {
    python=$1/bin/python
    [ -x "$python" ] || python=$1/bin/python3
    if has_paho "$python"; then
        kept "paho-mqtt in $1"
    elif run "$python" -m pip install --quiet --disable-pip-version-check \
        -r "$extra/requirements.txt"; then
        did "installed paho-mqtt into $1"
    else
        fail "pip could not install paho-mqtt into $1; nothing else was changed." \
            "To install without MQTT: ./install.sh --no-pip"
    fi
}

# Kalico has a folder for the modules of others beside `extras`, and it does not start
# if a module is in both.
extras_of() {
    if [ -d "$1/klippy/plugins" ]; then echo "$1/klippy/plugins"; else echo "$1/klippy/extras"; fi
}

is_ours() { [ -L "$1" ] && [ "$(readlink "$1")" = "$extra" ]; }

link_extra() {
    link=$(extras_of "$1")/maintain
    for folder in "$1/klippy/extras" "$1/klippy/plugins"; do
        # KlipperMaintenance's file: a hard link or a copy, which updates do not reach.
        set_aside "$folder/maintain.py"
        if [ "$folder/maintain" = "$link" ] && is_ours "$link"; then continue; fi
        if is_ours "$folder/maintain"; then
            run rm -f "$folder/maintain"
        else
            set_aside "$folder/maintain"
        fi
    done
    if is_ours "$link"; then
        kept "$link"
    else
        run ln -s "$extra" "$link"
        did "linked $link -> $extra"
    fi
}

# Move a file that is in the way to the backups. Uninstalling puts it back.
set_aside() {
    if [ ! -e "$1" ] && [ ! -L "$1" ]; then return 0; fi
    run mkdir -p "$backups/$stamp$(dirname "$1")"
    run mv "$1" "$backups/$stamp$1"
    did "moved $1 to $backups/$stamp$1, because Klipper Upkeep takes its place"
}

put_back() {
    if [ -e "$1" ] || [ -L "$1" ]; then return 0; fi
    newest=''
    for saved in "$backups"/*"$1"; do
        if [ -e "$saved" ] || [ -L "$saved" ]; then newest=$saved; fi
    done
    [ -n "$newest" ] || return 0
    run mv "$newest" "$1"
    did "put $1 back"
}

choose_preset() {
    [ -z "$preset" ] && $ask && [ -t 0 ] || return 0
    say
    say 'The installer can write a starter maintain.cfg for one of these machines:'
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
    link_extra "$klipper"
    if [ -n "$config" ]; then
        if $moonraker; then add_update_manager "$config"; fi
        if $page; then install_page "$config"; fi
        write_starter "$config"
    fi
}

tell_what_is_left() {
    say
    say 'You still have to do this:'
    for_each_line tell_include "$(column 3)"
    say '  - Restart Klipper as a service, because RESTART loads no new code:'
    say "      $(restarting klipper)"
    if $moonraker_changed; then
        say '  - Restart Moonraker, so that it reads its changed files:'
        say "      $(restarting moonraker)"
    fi
}

restarting() {
    if ! command -v systemctl >/dev/null; then
        echo "in the way of your printer; switching it off and on is enough"
    elif [ "$(id -u)" = 0 ]; then
        echo "systemctl restart $1"
    else
        echo "sudo systemctl restart $1"
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
    say "Klipper in $klipper${config:+, configured in $config}"
    for folder in "$klipper/klippy/extras" "$klipper/klippy/plugins"; do
        if is_ours "$folder/maintain"; then
            run rm -f "$folder/maintain"
            did "removed $folder/maintain"
        fi
        put_back "$folder/maintain"
        put_back "$folder/maintain.py"
    done
    if [ -n "$config" ] && $moonraker; then
        remove_update_manager "$config"
        remove_page "$config"
    fi
    if [ -n "$config" ] && grep -q '^\[include .*maintain\|^\[maintain' "$config/printer.cfg" 2>/dev/null; then
        say "  ! Klipper will not start while $config/printer.cfg has [maintain]:"
        say "    remove its sections, or the line that includes them."
    fi
}

# Start

while [ $# -gt 0 ]; do
    case $1 in
        --preset | --klipper | --env | --config | --units | --system)
            [ $# -gt 1 ] || fail "$1 needs a value; see --help"
            case $1 in
                --preset) preset=$2 ;;
                --klipper) given_klipper=${2%/} ;;
                --env) given_env=${2%/} ;;
                --config) given_config=${2%/} ;;
                --units) units=${2%/} ;;
                --system) system=${2%/} ;;
            esac
            shift
            ;;
        --uninstall) uninstall=true ;;
        --list-presets) list_presets=true ;;
        --dry-run) dry_run=true ;;
        --yes | -y) ask=false ;;
        --page) page=true ;;
        --no-page) page=false ;;
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

: "${HOME:=/root}"
backups=$HOME/klipper-upkeep-backup
[ -w "$HOME" ] || backups=$(dirname "$here")/klipper-upkeep-backup
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
lines=$scratch/lines text=$scratch/text
any_python=$(command -v python3 || command -v python || true)

if ${list_presets:-false}; then
    presets list
    exit 0
fi

units=${units:-$system/etc/systemd/system}
find_instances
any_python=${any_python:-$(column 2 | head -n 1)/bin/python}
check_all
if $dry_run; then say 'Nothing is changed. This is what the installer would do:'; fi

if $uninstall; then
    for_each_line uninstall_one "$instances"
    say
    say 'These stay as they are: maintain.cfg, the counts, paho-mqtt in the environment,'
    say "and the backups in $backups."
    say "Restart Klipper: $(restarting klipper)"
    exit 0
fi

origin=$(git -C "$here" remote get-url origin 2>/dev/null || true)
branch=$(git -C "$here" symbolic-ref --short HEAD 2>/dev/null || echo main)
choose_preset
choose_page
if [ -n "$preset" ] && [ "$preset" != none ]; then
    presets starter "$preset" >/dev/null 2>&1 ||
        fail "there is no preset for '$preset'; see --list-presets"
fi
if $pip; then for_each_line install_package "$(column 2)"; fi
for_each_line install_one "$instances"
if $changed; then tell_what_is_left; else say && say 'Everything was installed already.'; fi
