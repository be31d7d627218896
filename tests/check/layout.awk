# Makes a C program out of pages of the reference (plugin-api/reference.awk): it prints where each member of each struct stands, its size
# and type, and the value of each constant, one a line. Types are text without the names of parameters, which may change.
#   S struct sizeof | M struct member offset size type | E name value | D name text | T type sizeof text

function squeeze(text) { gsub(/[ \t\n]+/, " ", text); sub(/^ /, "", text); sub(/ $/, "", text); return text }

# "void (*)(void *arg, int status)" -> "void (*)(void *,int)"
function unnamed(text, out, part) {
  gsub(/\(\*[a-z_0-9]+\)/, "(*)", text)
  out = ""
  while (match(text, /[(),]/)) {
    part = nameless(substr(text, 1, RSTART - 1))
    out = out part substr(text, RSTART, 1)
    text = substr(text, RSTART + 1)
  }
  return out nameless(text)
}

function nameless(part) {
  part = squeeze(part)
  if (part ~ /\*[a-z_0-9]+$/) sub(/[a-z_0-9]+$/, "", part)
  else if (part ~ /^(const )?(struct|enum) [a-z_0-9]+ [a-z_0-9]+$/) sub(/ [a-z_0-9]+$/, "", part)
  else if (part ~ /^[a-z_0-9]+ [a-z_0-9]+$/ && part !~ /^(struct|enum|const|unsigned) /) sub(/ [a-z_0-9]+$/, "", part)
  return part
}

function member(name, type) {
  printf "  printf(\"M %s %s %%zu %%zu %s\\n\", offsetof(struct %s, %s), sizeof(((struct %s *)0)->%s));\n", \
    here, name, type, here, name, here, name
}

# "const char *method, *url;" -> two members
function members(code, n, i, parts, base, name, type) {
  sub(/;$/, "", code)
  if (match(code, /\(\*[a-z_0-9]+\)/)) {
    member(substr(code, RSTART + 2, RLENGTH - 3), unnamed(code))
    return
  }
  n = split(code, parts, ",")
  for (i = 1; i <= n; i++) {
    parts[i] = squeeze(parts[i])
    match(parts[i], /[a-z_0-9]+$/)
    name = substr(parts[i], RSTART)
    type = squeeze(substr(parts[i], 1, RSTART - 1))
    if (i == 1) { base = type; sub(/[* ]+$/, "", base) } else type = squeeze(base " " type)
    member(name, type)
  }
}

function constants(text, n, i, parts, name) {
  gsub(/\/\*([^*]|\*[^\/])*\*\//, "", text)
  if (text ~ /^typedef/) {
    text = squeeze(text); sub(/;$/, "", text)
    match(text, /[a-z_0-9]+$/); name = substr(text, RSTART)
    printf "  printf(\"T %s %%zu %s\\n\", sizeof(%s));\n", name, text, name
    return
  }
  sub(/^[^{]*\{/, "", text); sub(/\}.*/, "", text)
  n = split(text, parts, ",")
  for (i = 1; i <= n; i++) {
    name = parts[i]; sub(/=.*/, "", name); name = squeeze(name)
    if (name != "") printf "  printf(\"E %s %%lld\\n\", (long long)%s);\n", name, name
  }
}

BEGIN {
  n = split(headers, list, " ")
  for (i = 1; i <= n; i++) print "#include <berth/" list[i] ">"
  print "#include <stdio.h>\nint main(void) {"
}
/^```c/ { inside = 1; block = ""; next }
/^```/ { inside = 0; constants(block); next }
inside { block = block "\n" $0; sub(/^\n/, "", block); next }
/^### struct / { here = $3; printf "  printf(\"S %s %%zu\\n\", sizeof(struct %s));\n", here, here; next }
/^- `.*`/ {
  code = $0; sub(/^- `/, "", code); sub(/`( .*)?$/, "", code)
  if (code ~ /^struct [a-z_0-9]+;$/) next
  if (code ~ /;$/) members(code)
  else if (code ~ /^BERTH_[A-Z_0-9]+ "/) { name = code; sub(/ .*/, "", name); printf "  printf(\"D %s %%s\\n\", %s);\n", name, name }
  else if (code ~ /^BERTH_[A-Z_0-9]+ [0-9]+$/) { name = code; sub(/ .*/, "", name); printf "  printf(\"D %s %%d\\n\", %s);\n", name, name }
}
END { print "  return 0;\n}" }
