# Merges pip configuration files, later ones winning, into one a build can use: what names a path of
# this host is dropped (certificates come separately, local packages do not exist in a build).
function remember(text) { if (keep) value[section, key] = value[section, key] text "\n" }
{ gsub(/file:\/\/[^[:space:]]*/, "") }
/^[[:space:]]*([#;].*)?$/ { next }
/^\[/ {
    section = $1
    if (!(section in known)) { known[section] = 1; sections[++section_count] = section }
    keep = 0
    next
}
/^[[:space:]]/ { if ($1 !~ /^\//) remember($0); next }
{
    key = $0
    sub(/[[:space:]]*[=:].*/, "", key)
    gsub(/_/, "-", key)
    keep = key !~ /^(cert|client-cert|find-links|cache-dir|log|target|prefix|root|user)$/ && $0 !~ /=[[:space:]]*\//
    if (!((section, key) in value)) keys[section] = keys[section] " " key
    value[section, key] = ""
    remember($0)
}
END {
    for (i = 1; i <= section_count; i++) {
        print sections[i]
        count = split(keys[sections[i]], names, " ")
        for (j = 1; j <= count; j++) printf "%s", value[sections[i], names[j]]
    }
}
