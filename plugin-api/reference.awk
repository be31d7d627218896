# Makes a page of the reference out of a public header: awk -v name=berth/host.h -f reference.awk include/berth/host.h
# The headers are the source: what a function does, its units, who owns what, its errors and its thread stand in their
# comments. This knows just enough C for the style they are written in.

function squeeze(text) { gsub(/[ \t\n]+/, " ", text); sub(/^ /, "", text); sub(/ $/, "", text); return text }

# The text between the comment's marks; " *  - " lines become list items.
function prose(text, n, lines, i, line, out, item) {
  sub(/^[ \t]*\/\*+/, "", text); sub(/\*+\/[ \t]*$/, "", text)
  n = split(text, lines, "\n"); out = ""
  for (i = 1; i <= n; i++) {
    line = lines[i]
    sub(/^[ \t]*\*/, "", line); sub(/[ \t]+$/, "", line)
    if (line ~ /^ *$/) { out = out "\n\n"; item = 0; continue }
    if (line ~ /^ +- /) { sub(/^ +- /, "- ", line); out = out "\n" line; item = 1; continue }
    sub(/^ +/, item ? "  " : "", line)
    out = out (out ~ /\n\n$/ || out == "" ? "" : "\n") line
  }
  sub(/^\n+/, "", out); sub(/\n+$/, "", out)
  return out
}

function flat(text) { return squeeze(prose(text)) }

function take_doc() { text = doc; doc = ""; return text }

# A whole comment that begins on this line; the rest of its last line is left in rest.
function whole(line, got, at) {
  got = line
  while ((at = index(got, "*/")) == 0 && (getline line) > 0) got = got "\n" line
  rest = substr(got, at + 2)
  return substr(got, 1, at + 1)
}

# "code; /* comment */" -> "- `code;` comment"
function item(code, comment, before) {
  text = squeeze(before (before != "" && comment != "" ? " " : "") comment)
  printf "- `%s`%s\n", squeeze(code), text == "" ? "" : "  \n  " text
}

function struct_body(line, code, comment, before, at) {
  before = ""
  while ((getline line) > 0 && line !~ /^};/) {
    if (line ~ /^[ \t]*$/) { print ""; continue }
    if (line ~ /^[ \t]*\/\*/) { before = flat(whole(line)); continue }
    code = line
    while (code !~ /;/ && (getline line) > 0) code = code "\n" line
    at = index(code, "/*"); comment = ""
    if (at) { comment = flat(whole(substr(code, at))); code = substr(code, 1, at - 1) }
    if (squeeze(code) == "size_t size;" && comment == "" && before == "") continue
    item(code, comment, before)
    before = ""
  }
  print ""
}

BEGIN { print "# " name "\n"; print "<!-- Made from the header by plugin-api/reference.awk; do not edit. -->\n" }
/^#ifdef __cplusplus/ { while ((getline line) > 0 && line !~ /^#endif/) ; next }
/^#(ifndef|endif|include)/ || /^#define BERTH_[A-Z]+_H$/ || /^[ \t]*$/ { next }
/^\/\* -----/ {
  title = $0; gsub(/\/\* -+ *|\*\//, "", title); title = squeeze(title)
  print "## " toupper(substr(title, 1, 1)) substr(title, 2) "\n"; next
}
/^\/\*/ {
  text = prose(whole($0))
  if (!begun) { sub(/^berth\/[a-z]+\.h: /, "", text); print toupper(substr(text, 1, 1)) substr(text, 2) "\n"; begun = 1 }
  else doc = text
  next
}
/^#define/ {
  code = $0
  while (code ~ /\\$/ && (getline line) > 0) { sub(/\\$/, "", code); code = code line }
  at = index(code, "/*"); comment = ""
  if (at) { comment = flat(whole(substr(code, at))); code = substr(code, 1, at - 1) }
  sub(/^#define /, "", code); item(code, comment, take_doc()); print ""
  next
}
/^struct [a-z_]+;/ {
  at = index($0, "/*"); code = at ? substr($0, 1, at - 1) : $0
  item(code, at ? flat(whole(substr($0, at))) : "", take_doc()); print ""
  next
}
/^struct [a-z_]+ {/ { print "### struct " $2 "\n"; if (doc != "") print take_doc() "\n"; struct_body(); next }
/^(enum|typedef)/ {
  if (doc != "") print take_doc() "\n"
  print "```c"; print
  last = /^enum/ ? "};" : ";"
  while (index($0, last) == 0 && (getline) > 0) print
  print "```\n"
}
