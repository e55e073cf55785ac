# shellcheck shell=sh disable=SC2154,SC2034 # install.sh shares its variables
# Part of install.sh: lets Moonraker serve the page, and adds entries that open it.

component=$here/deploy/moonraker/upkeep.py
panel=$here/deploy/klipperscreen/maintenance.py

# Prints the folder of a checkout in the home folder or at a vendor's place, if any.
checkout_of() {
    for folder in "$system$HOME/$1" "$system/usr/data/$1" "$system/userdata/$1" \
        "$system/usr/share/$1" "$system/opt/$1"; do
        if [ -d "$folder/$2" ]; then
            echo "$folder"
            return 0
        fi
    done
}

choose_page() {
    [ -z "$page" ] || return 0
    page=false
    if $uninstall; then return 0; fi
    $ask && [ -t 0 ] || return 0
    [ -n "$(checkout_of moonraker moonraker/components)" ] || return 0
    say
    say 'A page in the browser can show the tasks, and Mainsail and Fluidd can announce'
    printf 'due tasks. Shall Moonraker serve this page? (Y/n) '
    read -r answer || answer=n
    case $answer in [nN]*) ;; *) page=true ;; esac
}

# Puts our link into the checkout of another project, and hides it from that git.
link_into() {
    link=$1/$2
    if [ -L "$link" ] && [ "$(readlink "$link")" = "$3" ]; then
        kept "$link"
        return 0
    fi
    set_aside "$link"
    run ln -s "$3" "$link"
    did "linked $link -> $3"
    exclude=$1/.git/info/exclude
    if [ -d "$1/.git/info" ] && ! grep -qx "/$2" "$exclude" 2>/dev/null && ! $dry_run; then
        printf '/%s\n' "$2" >>"$exclude"
    fi
}

# change_file add|remove WHAT FILE NAME: let page.py change a file, after a backup.
change_file() {
    file=$3
    if [ "$1" = remove ] && [ ! -f "$file" ]; then return 0; fi
    if ! { [ ! -f "$file" ] || cat "$file"; } |
        "$any_python" "$here/deploy/install/page.py" "$1" "$2" >"$text" 2>/dev/null; then
        say "  ! $file is not changed: it does not have the expected content"
        return 0
    fi
    if [ -f "$file" ] && cmp -s "$file" "$text"; then
        if [ "$1" = add ]; then kept "$4 in $file"; fi
        return 0
    fi
    if [ -f "$file" ]; then
        back_up "$file"
        rewrite "$file" <"$text"
    else
        run mkdir -p "$(dirname "$file")"
        run cp "$text" "$file"
    fi
    case $1 in
        add) did "added $4 to $file" ;;
        *) did "removed $4 from $file" ;;
    esac
    moonraker_changed=true
}

# The page needs segno for its QR codes. Everything else works without it.
install_segno() {
    python=$(checkout_of moonraker-env bin)/bin/python
    if ! $pip || [ ! -x "$python" ]; then return 0; fi
    if "$python" -c 'import segno' 2>/dev/null; then
        kept "segno in ${python%/bin/python}"
    elif run "$python" -m pip install --quiet --disable-pip-version-check 'segno>=1.5'; then
        did "installed segno into ${python%/bin/python}"
    else
        say '  ! pip could not install segno: the page has no QR codes'
    fi
}

# install_page CONFIG
install_page() {
    [ -f "$1/moonraker.conf" ] || return 0
    folder=$(checkout_of moonraker moonraker/components)
    if [ -z "$folder" ]; then
        say '  ! no Moonraker was found for the page: see docs/page.md'
        return 0
    fi
    link_into "$folder" moonraker/components/upkeep.py "$component"
    install_segno
    change_file add section "$1/moonraker.conf" '[upkeep]'
    if [ -n "$(checkout_of mainsail .)" ] || [ -d "$1/.theme" ]; then
        change_file add sidebar "$1/.theme/navi.json" 'an entry'
    fi
    screen=$(checkout_of KlipperScreen panels)
    if [ -n "$screen" ]; then
        link_into "$screen" panels/maintenance.py "$panel"
        change_file add menu "$1/KlipperScreen.conf" 'an entry'
    fi
}

remove_page() {
    folder=$(checkout_of moonraker moonraker/components)
    unlink_from "$folder" moonraker/components/upkeep.py
    unlink_from "$(checkout_of KlipperScreen panels)" panels/maintenance.py
    change_file remove section "$1/moonraker.conf" '[upkeep]'
    change_file remove sidebar "$1/.theme/navi.json" 'our entry'
    change_file remove menu "$1/KlipperScreen.conf" 'our entry'
}

unlink_from() {
    if [ -n "$1" ] && [ -L "$1/$2" ]; then
        case $(readlink "$1/$2") in
            "$here"/*)
                run rm -f "$1/$2"
                did "removed $1/$2"
                ;;
        esac
    fi
}
