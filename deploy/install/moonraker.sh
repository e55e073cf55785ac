# shellcheck shell=sh disable=SC2154,SC2034 # install.sh shares its variables
# Part of install.sh: the section of the update manager in moonraker.conf.

has_section() { grep -q "^\[update_manager $NAME\]" "$1" 2>/dev/null; }

add_update_manager() {
    conf=$1/moonraker.conf
    if [ ! -f "$conf" ]; then
        say "  there is no moonraker.conf in $1, so you have to install updates yourself"
        return 0
    fi
    if has_section "$conf"; then
        kept "[update_manager $NAME] in $conf"
        return 0
    fi
    if [ -z "$origin" ]; then
        say "  $conf is not changed: this folder is no git checkout, so Moonraker cannot update it"
        return 0
    fi
    back_up "$conf"
    {
        cat "$conf"
        # An empty line comes before the section. If the last line had no end, only that
        # end is added, so that removing the section can restore the line as it was.
        if [ -s "$conf" ]; then echo; fi
        printf '[update_manager %s]\n' "$NAME"
        printf 'type: git_repo\npath: %s\norigin: %s\n' "$here" "$origin"
        printf 'primary_branch: %s\nmanaged_services: klipper\n' "$branch"
        case $env in
            '' | /usr | /usr/local) ;; # the system's Python is no virtualenv
            *) printf 'virtualenv: %s\nrequirements: klippy_extra/requirements.txt\n' "$env" ;;
        esac
    } >"$text"
    rewrite "$conf" <"$text"
    did "added [update_manager $NAME] to $conf"
    moonraker_changed=true
}

remove_update_manager() {
    conf=$1/moonraker.conf
    if ! has_section "$conf"; then return 0; fi
    back_up "$conf"
    # Removes everything from the section's name to the next section. Comments directly
    # above the next section stay.
    awk -v name="[update_manager $NAME]" '
        { line[NR] = $0 }
        index($0, name) == 1 { first = NR }
        first && !last && NR > first && /^\[/ {
            for (last = NR; line[last - 1] ~ /^[#;]/; last--) { }
        }
        END {
            at_the_end = !last
            if (at_the_end) last = NR + 1
            before = first - 1
            if (at_the_end && line[before] == "" && before > 0) before--
            else if (at_the_end) unended = 1
            for (i = 1; i <= before; i++)
                printf "%s%s", line[i], (unended && i == before) ? "" : "\n"
            for (i = last; i <= NR; i++) print line[i]
        }
    ' "$conf" >"$text"
    rewrite "$conf" <"$text"
    did "removed [update_manager $NAME] from $conf"
}
