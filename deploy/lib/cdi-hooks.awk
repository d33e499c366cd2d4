# How many hooks of a CDI description bring no variables of their own, as a number. The file is
# YAML as nvidia-ctk writes it (blocks, each key on its own line), or JSON.

{ whole = whole $0 "\n" }

END {
    print substr(whole, match(whole, /[^ \t\n]/), 1) == "{" ? in_json() : in_yaml()
}

# A hook has lists in it and no other objects, so it is what stands between the nearest braces.
function in_json(    rest, hook, found) {
    rest = whole
    while (match(rest, /[{][^{}]*"hookName"[^{}]*[}]/)) {
        hook = substr(rest, RSTART, RLENGTH)
        if (hook !~ /"env"[ \t\n]*:[ \t\n]*\[[ \t\n]*"/) found++
        rest = substr(rest, RSTART + RLENGTH)
    }
    return found + 0
}

function in_yaml(    lines, count, number, indent, text, base, inside, pending, found) {
    count = split(whole, lines, "\n")
    for (number = 1; number <= count; number++) {
        text = lines[number]
        if (text ~ /^[ \t]*(#.*)?$/) continue
        match(text, /^ */)
        indent = RLENGTH
        text = substr(text, indent + 1)
        if (inside && base < 0) base = indent
        if (inside && (indent < base || (indent == base && text !~ /^- /))) {
            found += pending
            inside = pending = 0
        }
        if (inside && indent == base) {
            found += pending
            pending = 1
            text = substr(text, 3)
            indent += 2
        }
        if (inside && indent == base + 2 && text ~ /^env: *($|\[ *[^] ])/) pending = 0
        if (text ~ /^(- )?hooks: *$/) {
            inside = 1
            base = -1
            pending = 0
        }
    }
    return found + pending + 0
}
