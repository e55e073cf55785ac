# shellcheck shell=sh disable=SC2154,SC2034 # install.sh shares its variables
# Part of install.sh: finds each Klipper of this machine.
# An instance is a line: Klipper's folder | its environment | its configuration.

instances=''

add_instance() {
    case $NEWLINE$instances$NEWLINE in
        *"$NEWLINE$1|$2|$3$NEWLINE"*) return 0 ;;
    esac
    instances=${instances:+$instances$NEWLINE}$1\|$2\|$3
}

# Only service files say where an environment is, if it is in an unusual place. The
# printers of vendors have init scripts instead, which name the same three paths.
find_by_services() {
    for file in "$units"/klipper*.service "$system"/etc/init.d/*klipper*; do
        case $file in
            *mcu*) continue ;; # the Linux firmware
        esac
        [ -f "$file" ] && read_service "$file"
    done
    return 0
}

read_service() {
    case $1 in
        *.service) words=$(sed -n 's/^ExecStart=//p' "$1") ;;
        *) words=$(tr "=\"'" '   ' <"$1") ;;
    esac
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
    [ -d "$config" ] || config=''
    if [ -n "$klipper" ] && [ -d "$klipper/klippy/extras" ]; then
        add_instance "$klipper" "$env" "$config"
    fi
}

# Searches the home folder, and the folders where vendors put Klipper and its data.
find_at_usual_places() {
    for folder in "$HOME" "$system/usr/share" "$system/usr/data" "$system/userdata"; do
        klipper=$folder/klipper
        [ -d "$klipper/klippy/extras" ] || continue
        case $NEWLINE$instances in
            *"$NEWLINE$klipper|"*) continue ;; # a service file says more about it
        esac
        add_with_data "$klipper" "$(environment_near "$folder")" "$folder"
    done
}

environment_near() {
    for folder in "$1" "$HOME" "$system/usr/data" "$system/userdata" "$system/usr/share"; do
        if [ -x "$folder/klippy-env/bin/python" ]; then
            echo "$folder/klippy-env"
            return 0
        fi
    done
}

# add_with_data KLIPPER ENV FOLDER: adds an instance for each configuration folder.
add_with_data() {
    seen=false
    for folder in "$3" "$system/usr/data" "$system/userdata"; do
        for config in "$folder/printer_data/config" "$folder"/printer_*_data/config; do
            if [ -d "$config" ]; then
                add_instance "$1" "$2" "$config"
                seen=true
            fi
        done
    done
    $seen || add_instance "$1" "$2" ''
}

find_instances() {
    if [ -n "$given_klipper" ]; then
        [ -d "$given_klipper/klippy/extras" ] ||
            fail "--klipper $given_klipper: there is no klippy/extras in it"
        add_instance "$given_klipper" "$given_env" "$given_config"
        return 0
    fi
    find_by_services
    find_at_usual_places
    [ -n "$instances" ] || fail \
        "no Klipper was found. Name it: --klipper DIR --env DIR --config DIR"
}

# Prints the different values of a column of the instances, one on each line.
column() { printf '%s\n' "$instances" | cut -d '|' -f "$1" | sed '/^$/d' | sort -u; }
